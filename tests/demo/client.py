#!/usr/bin/env python3
"""Calls a tool of an MCP server from many clients at once and checks that everyone gets their own answers.

The clients are those of the MCP SDK for Python. Prints a summary; exits with 1 if a call failed or was answered with
what another one asked.
"""

import argparse
import asyncio
import statistics
import sys
import time
import uuid

from mcp import Client


class Result:
    """What the calls came to."""

    def __init__(self):
        self.seconds = []
        self.failures = []

    async def call(self, client, tool, caller):
        message = f"{caller} {uuid.uuid4()}"
        begin = time.perf_counter()
        try:
            answer = await client.call_tool(tool, {"message": message})
        except Exception as error:  # whatever the SDK raises is a failed call
            self.failures.append(f"{caller}: {error}")
            return
        self.seconds.append(time.perf_counter() - begin)
        text = " ".join(getattr(block, "text", "") for block in answer.content)
        if answer.is_error or message not in text:
            self.failures.append(f"{caller}: asked for {message!r}, got {text!r}")


def cause(error):
    """The first real error in the groups that the SDK wraps errors in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def open_client(url, mode, failures, ready, go, work):
    try:
        async with Client(url, mode=mode, read_timeout_seconds=60) as client:
            ready()
            await go.wait()
            await work(client)
    except Exception as error:  # whatever the SDK raises is a failed client
        failures.append(f"a client could not connect: {cause(error)}")
    finally:
        ready()


async def run(arguments):
    result = Result()
    async with Client(arguments.url, mode=arguments.mode) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        server = client.server_info.name if client.server_info else "a server"
        print(f"{server} speaks {client.protocol_version} and has {len(tools)} tools: {', '.join(tools[:5])}, ...")
    if arguments.tool not in tools:
        sys.exit(f"the server has no tool {arguments.tool!r}: choose one with --tool that repeats its argument 'message'")

    go = asyncio.Event()
    waiting = set(range(arguments.clients))

    def ready(number):
        waiting.discard(number)
        if not waiting:
            go.set()

    async def client_of(number):
        calls = range(number, arguments.calls, arguments.clients)

        async def work(client):
            for call in calls:
                await result.call(client, arguments.tool, f"client {number}, call {call}:")

        await open_client(
            arguments.url, arguments.mode, result.failures, lambda: ready(number), go, work
        )

    async with asyncio.TaskGroup() as group:
        for number in range(arguments.clients):
            group.create_task(client_of(number))
        await go.wait()
        begin = time.perf_counter()
    elapsed = time.perf_counter() - begin
    return result, elapsed


def report(arguments, result, elapsed):
    done = len(result.seconds)
    for failure in result.failures[:5]:
        print(f"  failed: {failure}", file=sys.stderr)
    print(f"{done} calls of {arguments.tool!r} by {arguments.clients} clients at once: {len(result.failures)} errors")
    if done > 1:
        cuts = statistics.quantiles(result.seconds, n=100, method="inclusive")
        print(f"p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms, {done / elapsed:.0f} calls/s")
    complete = done == arguments.calls and not result.failures
    if complete:
        print("every answer was the caller's own")
    return complete


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="where the server is, for example http://127.0.0.1:8080/mcp")
    parser.add_argument("--clients", type=int, default=20, help="how many at once (default: 20)")
    parser.add_argument("--calls", type=int, default=200, help="of all clients together (default: 200)")
    parser.add_argument("--tool", default="echo", help="a tool that repeats its argument 'message' (default: echo)")
    parser.add_argument("--mode", default="auto", choices=["auto", "legacy"], help="how the protocol version is agreed")
    arguments = parser.parse_args()
    try:
        result, elapsed = asyncio.run(run(arguments))
    except Exception as error:  # as above
        sys.exit(f"{arguments.url} can't be used: {cause(error)}")
    sys.exit(0 if report(arguments, result, elapsed) else 1)


if __name__ == "__main__":
    main()
