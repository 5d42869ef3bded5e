// Clients of the TypeScript SDK that call without a pause until a file is there. Prints calls, and every failure. Arguments
// are the modules' folder, the URL and the file.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import assert from "node:assert";

const [folder, url, stop] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/`));
const load = (path) => import(pathToFileURL(require.resolve(path)).href);
const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");

const CLIENTS = 6;

async function calls(name) {
  const client = new Client({ name, version: "1" });
  // Without a credential nobody's sessions would be shared.
  const requestInit = { headers: { authorization: "Bearer typescript" } };
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit });
  await client.connect(transport);
  let done = 0;
  while (!existsSync(stop)) {
    const message = `${name}/${done}`;
    const answer = await client.callTool({ name: "echo", arguments: { message } });
    assert.ok(answer.content[0].text.includes(message));
    done += 1;
  }
  await transport.terminateSession();
  await client.close();
  return done;
}

const ended = await Promise.allSettled(
  Array.from({ length: CLIENTS }, (_, number) => calls(`typescript ${number}`)),
);
const failures = ended.filter(({ status }) => status === "rejected").map(({ reason }) => reason);
const done = ended.reduce((sum, { value }) => sum + (value ?? 0), 0);
console.log(`${done} calls, ${failures.length} failures`);
for (const failure of failures) console.error(failure, failure.cause ?? "");
process.exitCode = failures.length ? 1 : 0;
