"""Clients of the package `mcp` that call without a pause until a file is there. Prints calls, and every failure."""

import asyncio
import os
import sys

from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

CLIENTS = 6


async def calls(url, stop, name):
    done = 0
    # Without a credential nobody's sessions would be shared.
    http = create_mcp_http_client(headers={"authorization": "Bearer python"})
    transport = streamable_http_client(url, http_client=http)
    async with http, Client(transport, mode="legacy", read_timeout_seconds=60) as client:
        while not os.path.exists(stop):
            message = f"{name}/{done}"
            answer = await client.call_tool("echo", {"message": message})
            assert message in answer.content[0].text, answer
            done += 1
    return done


async def main():
    url, stop = sys.argv[1:]
    clients = [calls(url, stop, f"python {number}") for number in range(CLIENTS)]
    ended = await asyncio.gather(*clients, return_exceptions=True)
    failures = [repr(end) for end in ended if isinstance(end, BaseException)]
    print(f"{sum(end for end in ended if isinstance(end, int))} calls, {len(failures)} failures")
    if failures:
        sys.exit("\n".join(failures))


asyncio.run(main())
