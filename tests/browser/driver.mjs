// Drives Chromium for a test: one JSON command a line comes in, one JSON answer a line goes out, in the same order.
//   node driver.mjs NODE_MODULES
// Commands name what Playwright offers: {"page": 1, "on": "role=button", "call": "click", "arguments": []}.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const require = createRequire(`${process.argv[2]}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const PATIENCE = 20_000;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
const pages = [];

/** What a page did beside what it was told to. */
async function open(options) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const log = { console: [], errors: [], requests: [], bytes: 0 };
  page.on("console", (message) => log.console.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => log.errors.push(String(error.stack)));
  page.on("request", (request) => log.requests.push(request.url()));
  page.on("response", (response) => {
    if (new URL(response.url()).pathname.startsWith("/ui")) log.bytes += Number(response.headers()["content-length"] ?? 0);
  });
  return pages.push({ page, log }) - 1;
}

async function check(page) {
  // Scripts of a test are not the page's: its policy does not bind them.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map(({ html, failureSummary }) => `${html}\n${failureSummary}`) }));
}

async function run({ page: number, on, call, arguments: given = [] }) {
  if (call === "open") return open(given[0]);
  const { page, log } = pages[number];
  if (call === "log") return log;
  if (call === "axe") return check(page);
  if (call === "press") return page.keyboard.press(given[0]);
  if (call === "type") return page.keyboard.type(given[0]);
  if (call === "offline") return page.context().setOffline(given[0]);
  if (call === "isFocused") return page.locator(on).evaluate((element) => element === document.activeElement);
  if (call === "close") return page.context().close();
  const result = await (on ? page.locator(on) : page)[call](...given);
  // Handles and responses are of no use on the other side.
  return typeof result === "object" && result?.constructor !== Object && !Array.isArray(result) ? null : result;
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { result: (await run(JSON.parse(line))) ?? null };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
