"""Clients of the packages `mcp` and `fastmcp` at a URL, all at once: what each is told and asked must be its own."""

import asyncio
import sys

from fastmcp import Client as FastClient
from mcp import Client
from mcp_types import CreateMessageResult, TextContent

CLIENTS = 4
ROUNDS = 10


def result(text):
    return CreateMessageResult(role="assistant", model="none", content=TextContent(type="text", text=text))


async def rounds(client, name):
    for turn in range(ROUNDS):
        message = f"{name}/{turn}"
        seen = []

        async def follow(done, total, told):
            seen.append((done, told))

        progress = {"message": message, "count": 3}
        echo, asked, _ = await asyncio.gather(
            client.call_tool("echo", {"message": message}),
            client.call_tool("ask", {"message": message}),
            client.call_tool("steps", progress, **{client.follow: follow}),
        )
        assert echo.content[0].text == message, echo
        assert asked.content[0].text == f"{name} hears {message}", asked
        assert seen == [(step, message) for step in (1, 2, 3)], seen


async def official(url, name):
    async def answer(context, params):
        return result(f"{name} hears {params.messages[0].content.text}")

    async with Client(url, mode="legacy", sampling_callback=answer) as client:
        client.follow = "progress_callback"
        await rounds(client, name)


async def fast(url, name):
    async def answer(messages, params, context):
        return f"{name} hears {messages[0].content.text}"

    async with FastClient(url, mode="legacy", sampling_handler=answer) as client:
        client.follow = "progress_handler"
        await rounds(client, name)


async def main():
    url = sys.argv[1]
    clients = [make(url, f"{make.__name__} {number}") for make in (official, fast) for number in range(CLIENTS)]
    await asyncio.gather(*clients)
    print("ok")


asyncio.run(main())
