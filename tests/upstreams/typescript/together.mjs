// Clients of the TypeScript SDK, all at once: what each is told and asked must be its own. Arguments are the modules' folder
// and the URL.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import assert from "node:assert";

const [folder, url] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/`));
const load = (path) => import(pathToFileURL(require.resolve(path)).href);
const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
const { CreateMessageRequestSchema } = await load("@modelcontextprotocol/sdk/types.js");

const CLIENTS = 4;
const ROUNDS = 10;

async function one(name) {
  const client = new Client({ name, version: "1" }, { capabilities: { sampling: {} } });
  client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
    const text = `${name} hears ${params.messages[0].content.text}`;
    return { role: "assistant", model: "none", content: { type: "text", text } };
  });
  const transport = new StreamableHTTPClientTransport(new URL(url));
  await client.connect(transport);
  const call = async (tool, more, options) => {
    const answer = await client.callTool({ name: tool, arguments: more }, undefined, options);
    return answer.content[0].text;
  };
  for (let turn = 0; turn < ROUNDS; turn += 1) {
    const message = `${name}/${turn}`;
    const seen = [];
    const onprogress = ({ progress, message: told }) => seen.push([progress, told]);
    const [echo, asked] = await Promise.all([
      call("echo", { message }),
      call("ask", { message }),
      call("steps", { message, count: 3 }, { onprogress }),
    ]);
    assert.equal(echo, message);
    assert.equal(asked, `${name} hears ${message}`);
    assert.deepEqual(seen, [1, 2, 3].map((step) => [step, message]));
  }
  await transport.terminateSession();
  await client.close();
}

await Promise.all(Array.from({ length: CLIENTS }, (_, number) => one(`typescript ${number}`)));
console.log("ok");
