"""An MCP server on the Python package `fastmcp`, at 127.0.0.1:$PORT/mcp. Its tools show what a session keeps and who is told what."""

import asyncio
import json
import os

from fastmcp import Context, FastMCP
from mcp_types import SamplingMessage, TextContent

server = FastMCP("fastmcp")
cancelled_messages = []
reading = {"readOnlyHint": True}


@server.tool(annotations=reading)
async def echo(message: str) -> str:
    return message


@server.tool(annotations=reading)
async def whoami(context: Context) -> str:
    return context.session_id


@server.tool(annotations=reading)
async def cancelled() -> str:
    return json.dumps(cancelled_messages)


@server.tool
async def remember(message: str, context: Context) -> str:
    await context.set_state("message", message)
    return "done"


@server.tool(annotations=reading)
async def recall(context: Context) -> str:
    return await context.get_state("message") or ""


@server.tool
async def sleep(ms: int, message: str, context: Context) -> str:
    await context.report_progress(0, None, message)
    try:
        await asyncio.sleep(ms / 1000)
    except asyncio.CancelledError:
        cancelled_messages.append(message)
        raise
    return message


@server.tool
async def steps(message: str, count: int, context: Context) -> str:
    for step in range(1, count + 1):
        await context.report_progress(step, count, message)
        await asyncio.sleep(0.005)
    return "done"


@server.tool
async def say(message: str, level: str, context: Context) -> str:
    await context.log(message, level=level)
    return "done"


@server.tool
async def ask(message: str, context: Context) -> str:
    answer = await context.session.create_message(
        [SamplingMessage(role="user", content=TextContent(type="text", text=message))],
        max_tokens=10,
        related_request_id=context.request_id,
    )
    return answer.content.text


server.run(
    transport="http",
    host="127.0.0.1",
    port=int(os.environ["PORT"]),
    path="/mcp",
    show_banner=False,
    log_level="error",
)
