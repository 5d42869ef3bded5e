// The TypeScript SDK's client against server-everything at a URL: arguments are the modules' folder and the URL.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import assert from "node:assert";

const [folder, url] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/`));
const load = (path) => import(pathToFileURL(require.resolve(path)).href);
const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");

async function one(number) {
  const client = new Client({ name: "suite", version: "1" });
  const transport = new StreamableHTTPClientTransport(new URL(url));
  await client.connect(transport);
  const { tools } = await client.listTools();
  assert(tools.some((tool) => tool.name === "echo"));
  for (let call = 0; call < 5; call += 1) {
    const answer = await client.callTool({ name: "echo", arguments: { message: `${number}/${call}` } });
    assert.equal(answer.content[0].text, `Echo: ${number}/${call}`);
  }
  const steps = [];
  await client.callTool(
    { name: "trigger-long-running-operation", arguments: { duration: 0.2, steps: 4 } },
    undefined,
    { onprogress: ({ progress }) => steps.push(progress) },
  );
  assert.deepEqual(steps, [1, 2, 3, 4]);
  await transport.terminateSession();
  await client.close();
}

await Promise.all(Array.from({ length: 8 }, (_, number) => one(number)));
console.log("ok");
