"""The Python SDK's client against a URL: calls echo from several clients at once, and follows progress."""

import asyncio
import sys

from mcp import Client


async def one(url, number):
    async with Client(url, mode="legacy") as client:
        assert "echo" in [tool.name for tool in (await client.list_tools()).tools]
        for call in range(5):
            message = f"{number}/{call}"
            answer = await client.call_tool("echo", {"message": message})
            assert answer.content[0].text == message, answer
        seen = []

        async def follow(done, total, message):
            seen.append(done)

        await client.call_tool("progress", {"steps": 4}, progress_callback=follow)
        assert seen == [0, 1, 2, 3], seen


async def main():
    await asyncio.gather(*(one(sys.argv[1], number) for number in range(8)))
    print("ok")


asyncio.run(main())
