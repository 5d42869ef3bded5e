"""An MCP server on the Python package `mcp`, at 127.0.0.1:$PORT/mcp, that writes its spans as JSON lines to the file argv[1]
and tells which trace a call came with."""

import asyncio
import json
import os

import traced
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

traced.start("server")
server = MCPServer("traced", version="1.0.0", log_level="ERROR")


@server.tool(annotations={"readOnlyHint": True})
async def seen(secret: str, context: Context) -> str:
    """What came in headers and in _meta."""
    names = ("traceparent", "tracestate", "baggage")
    meta = context.request_context.meta or {}
    headers = context.headers or {}
    return json.dumps({
        "headers": {name: headers[name] for name in names if name in headers},
        "meta": {name: meta[name] for name in names if name in meta},
    })


@server.tool()
async def session(context: Context) -> str:
    """The id of the server's session."""
    return (context.headers or {}).get("mcp-session-id", "")


@server.tool()
async def fail(secret: str) -> str:
    raise ToolError(f"failed with {secret}")


asyncio.run(server.run_streamable_http_async(host="127.0.0.1", port=int(os.environ["PORT"])))
