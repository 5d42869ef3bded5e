"""An MCP server on the Python package `mcp`, at 127.0.0.1:$PORT/mcp. Its tools show what a session keeps."""

import asyncio
import json
import os

from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("python", version="1.0.0", instructions="Tools of the suites.", log_level="ERROR")
states = {}


def session_id(context):
    return (context.headers or {}).get("mcp-session-id", "")


@server.tool()
async def echo(message: str) -> str:
    return message


@server.tool()
async def sleep(seconds: float, message: str = "") -> str:
    await asyncio.sleep(seconds)
    return message


@server.tool()
async def progress(steps: int, context: Context) -> str:
    for step in range(steps):
        await context.report_progress(step, steps)
    return str(steps)


@server.tool()
async def whoami(context: Context) -> str:
    return session_id(context)


@server.tool()
async def set_state(key: str, value: str, context: Context) -> str:
    states.setdefault(session_id(context), {})[key] = value
    return "kept"


@server.tool()
async def get_state(key: str, context: Context) -> str:
    return json.dumps(states.get(session_id(context), {}).get(key))


@server.tool()
async def crash() -> str:
    os._exit(1)


asyncio.run(server.run_streamable_http_async(host="127.0.0.1", port=int(os.environ["PORT"])))
