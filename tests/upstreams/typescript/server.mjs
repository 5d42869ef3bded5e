// An MCP server on the TypeScript SDK, at 127.0.0.1:$PORT/mcp: its argument is the modules' folder. Its tools show what a
// session keeps and who is told what.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { createServer } from "node:http";
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

const require = createRequire(pathToFileURL(`${process.argv[2]}/`));
const load = (path) => import(pathToFileURL(require.resolve(path)).href);
const { Server } = await load("@modelcontextprotocol/sdk/server/index.js");
const { StreamableHTTPServerTransport } = await load("@modelcontextprotocol/sdk/server/streamableHttp.js");
const types = await load("@modelcontextprotocol/sdk/types.js");

const READING = ["echo", "recall", "whoami", "cancelled"];
const CHANGING = ["sleep", "steps", "remember", "say", "ask", "touch"];
const LEVELS = types.LoggingLevelSchema.options;

const sessions = new Map();
const cancelled = [];

async function tell(message, progress, extra) {
  const progressToken = extra._meta?.progressToken;
  if (progressToken === undefined) return;
  await extra.sendNotification({ method: "notifications/progress", params: { progressToken, progress, message } });
}

class Session {
  memory = "";
  level = 0;
  subscriptions = new Set();

  constructor() {
    this.server = new Server(
      { name: "typescript", version: "1" },
      { capabilities: { tools: {}, logging: {}, resources: { subscribe: true } } },
    );
    const handle = (schema, handler) => this.server.setRequestHandler(schema, handler);
    handle(types.ListToolsRequestSchema, () => ({
      tools: [...READING, ...CHANGING].map((name) => ({
        name,
        inputSchema: { type: "object" },
        annotations: { readOnlyHint: READING.includes(name) },
      })),
    }));
    handle(types.CallToolRequestSchema, async (request, extra) => {
      const text = await this.run(request.params.name, request.params.arguments ?? {}, extra);
      return { content: [{ type: "text", text }] };
    });
    handle(types.SetLevelRequestSchema, (request) => {
      this.level = LEVELS.indexOf(request.params.level);
      return {};
    });
    handle(types.SubscribeRequestSchema, (request) => {
      this.subscriptions.add(request.params.uri);
      return {};
    });
    handle(types.UnsubscribeRequestSchema, (request) => {
      this.subscriptions.delete(request.params.uri);
      return {};
    });
    this.transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void sessions.set(id, this),
      onsessionclosed: (id) => void sessions.delete(id),
    });
  }

  async run(tool, { message, ms, count, level, uri }, extra) {
    switch (tool) {
      case "echo":
        return message;
      case "whoami":
        return extra.sessionId;
      case "recall":
        return this.memory;
      case "cancelled":
        return JSON.stringify(cancelled);
      case "remember":
        this.memory = message;
        return "done";
      case "sleep":
        await tell(message, 0, extra);
        await pause(ms, undefined, { signal: extra.signal }).catch(() => cancelled.push(message));
        return message;
      case "steps":
        for (let progress = 1; progress <= count; progress += 1) {
          await tell(message, progress, extra);
          await pause(5);
        }
        return "done";
      case "say":
        if (LEVELS.indexOf(level) >= this.level) {
          await extra.sendNotification({ method: "notifications/message", params: { level, data: message } });
        }
        return "done";
      case "ask": {
        const content = { type: "text", text: message };
        const params = { messages: [{ role: "user", content }], maxTokens: 10 };
        const request = { method: "sampling/createMessage", params };
        return (await extra.sendRequest(request, types.CreateMessageResultSchema)).content.text;
      }
      case "touch":
        for (const session of sessions.values()) {
          if (session.subscriptions.has(uri)) await session.server.sendResourceUpdated({ uri });
        }
        return "done";
      default:
        throw new Error(`no tool ${tool}`);
    }
  }
}

createServer(async (request, response) => {
  const id = request.headers["mcp-session-id"];
  let session = sessions.get(id);
  if (id && !session) {
    response.writeHead(404, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id: null, error: { code: -32001, message: "Session not found" } }));
    return;
  }
  if (!session) {
    session = new Session();
    await session.server.connect(session.transport);
  }
  await session.transport.handleRequest(request, response);
}).listen(Number(process.env.PORT), "127.0.0.1");
