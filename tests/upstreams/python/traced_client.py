"""The Python SDK's client against the URL argv[1], traced into the file argv[2]: prints what the server saw of the trace."""

import asyncio
import sys

import traced
from mcp import Client

tracer = traced.start("client")


async def main():
    with tracer.start_as_current_span("work"):
        async with Client(sys.argv[1], mode="legacy") as client:
            print((await client.call_tool("seen", {"secret": "s3cret"})).content[0].text)
            failed = await client.call_tool("fail", {"secret": "s3cret"})
            assert failed.is_error, failed


asyncio.run(main())
