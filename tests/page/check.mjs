// Drives Debian's Chromium through the dashboard: every page at two widths in both themes, its figures beside the admin
// API's, keys made and revoked by clicking; no console error, no request elsewhere, no finding of axe.
// Usage: node check.mjs BASE_URL SIGN_IN_LINK ADMIN_TOKEN TOOLS [DIRECTORY_FOR_SCREENSHOTS]
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { slow } from "./traffic.mjs";

const [base, link, token, tools, shots] = process.argv.slice(2);
const require = createRequire(`${tools}/package.json`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const api = async (path) => {
  const answer = await fetch(`${base}/api/${path}`, { headers: { authorization: `Bearer ${token}` } });
  assert.equal(answer.status, 200, path);
  return answer.json();
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
const page = await context.newPage();
const wrong = [];
page.on("console", (message) => { if (message.type() === "error") wrong.push(`console: ${message.text()}`); });
page.on("pageerror", (error) => wrong.push(`script: ${error.message}`));
page.on("request", (request) => {
  const url = new URL(request.url());
  if (url.origin !== new URL(base).origin) wrong.push(`request elsewhere: ${request.url()}`);
});

const findings = async (name) => {
  // By the debugger's own channel: the page's policy allows no script from elsewhere.
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations.map((it) => `${it.id}: ${it.nodes.map((node) => node.html.slice(0, 160)).slice(0, 3).join(" | ")}`);
  });
  assert.deepEqual(found, [], `axe: ${name}`);
};

const shot = async (name) => {
  if (shots) await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
};

// Signing in: the page says how, the link's button does it.
await page.goto(`${base}/dashboard`);
assert.match(await page.textContent("#state"), /Not signed in/);
await findings("sign-in");
await shot("sign-in");
await page.goto(link);
await page.reload();
await page.click("#sign-in");
await page.waitForSelector("h1:text('Now')");

const exchanges = await api("exchanges?limit=50");
const known = exchanges.items.find((it) => it.session_id === "session-0" && it.outcome === "completed");
const pages = {
  now: "/dashboard", usage: "/dashboard/usage", "usage-repo": "/dashboard/usage?by=repo&since=24h",
  sessions: "/dashboard/sessions", session: "/dashboard/sessions/session-0", exchanges: "/dashboard/exchanges",
  exchange: `/dashboard/exchanges/${known.id}`, plan: "/dashboard/plan",
  models: "/dashboard/models?route=api_key&model=gpt-5.5", keys: "/dashboard/keys", health: "/dashboard/health",
};
for (const [width, size] of [[1280, "wide"], [390, "phone"]]) {
  for (const scheme of ["light", "dark"]) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme: scheme });
    for (const [name, path] of Object.entries(pages)) {
      const answer = await page.goto(base + path);
      assert.equal(answer.status(), 200, path);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(overflow <= 0, `${name} at ${width}: ${overflow} pixels too wide`);
      await findings(`${name}, ${size}, ${scheme}`);
      await shot(`${name}-${size}-${scheme}`);
    }
  }
}
await page.setViewportSize({ width: 1280, height: 900 });
await page.emulateMedia({ colorScheme: "light" });

// The figures of the usage page are those of the admin API, as exact as they are.
const digits = (number) => String(number).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
const usd = (nanos) => {
  const text = (BigInt(nanos) * 1n).toString().padStart(10, "0");
  const fraction = text.slice(-9).replace(/0+$/, "").padEnd(2, "0");
  return `$${text.slice(0, -9)}.${fraction}`;
};
for (const by of ["model", "repo", "key", "team", "route", "upstream", "kind"]) {
  await page.goto(`${base}/dashboard/usage?by=${by}&since=2026-01-01`);
  const report = await api(`usage?by=${by}&since=2026-01-01`);
  const rows = await page.$$eval("main table tbody tr", (rows) => rows.map((row) =>
    [...row.cells].map((cell) => cell.querySelector("[title]")?.title ?? cell.textContent.trim())));
  const shown = rows.map((cells) => [cells[1], cells[2], cells[4], cells[5], cells[6]].join(" ")).sort();
  const expected = report.rows.map((row) => [digits(row.requests), digits(row.input_tokens), digits(row.output_tokens),
    usd(row.cost_nanos_metered), usd(row.cost_nanos_plan)].join(" ")).sort();
  assert.deepEqual(shown, expected, `usage by ${by}`);
  // And the bars of its chart add up to the same: each says its own sum in tokens.
  const tokens = report.total.input_tokens + report.total.output_tokens;
  assert.ok(tokens > 0 && (await page.$$("figure.chart")).length >= 2, `charts by ${by}`);
}
const csv = await (await context.request.get(`${base}/dashboard/usage.csv?by=model&since=2026-01-01`)).text();
const model = await api("usage?by=model&since=2026-01-01");
assert.equal(csv.trim().split("\r\n").length, model.rows.length + 1, "a line for each row, and the head");

// The chart says its figures to the keyboard too.
await page.goto(`${base}/dashboard/usage`);
const bar = page.locator("figure.chart .wide .hit").last();
await bar.focus();
const tip = await page.textContent("figure.chart:last-of-type .tip");
assert.equal(tip, await bar.getAttribute("aria-label"));

// A session as a tree, with the costs of the ledger.
await page.goto(`${base}/dashboard/sessions/session-0`);
const whole = await api("usage?by=&session=session-0");
assert.equal(await page.getAttribute(".tiles dd span", "title"), usd(whole.total.cost_nanos_metered));
assert.match(await page.textContent("table"), /└/);

// One exchange: the lines of its cost add up to the recorded cost.
await page.goto(`${base}/dashboard/exchanges/${known.id}`);
const sum = page.locator("table:has(caption:text('How the cost comes about')) tr:last-child span");
assert.equal(await sum.getAttribute("title"), usd(known.cost_nanos));

// What runs is seen while it runs.
await page.goto(`${base}/dashboard`);
const running = slow(base);
await page.waitForSelector("table:has(caption:text('In flight')) td:text('gpt-slow')", { timeout: 20_000 });
await running;
await page.waitForSelector("table:has(caption:text('Ended last')) td:text('gpt-slow')", { timeout: 20_000 });

// A key is made, used, rotated and revoked by clicking.
await page.goto(`${base}/dashboard/keys`);
const form = page.locator("form[data-api='POST keys']");
await form.locator("[name=name]").fill("by-hand");
await form.locator("[name=team]").fill("core");
await form.locator("[name=budgets]").fill("3.00/day");
await form.locator("button").click();
await page.waitForSelector("#new-key:not([hidden])");
const first = await page.textContent("#new-key code");
assert.match(first, /^cgw_/);
const works = async (key) => (await fetch(`${base}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).status;
assert.equal(await works(first), 200);
await page.goto(`${base}/dashboard/keys`);
await page.getByRole("button", { name: "Rotate by-hand" }).click();
await page.getByRole("button", { name: "Rotate by-hand" }).click();
await page.waitForSelector("#new-key:not([hidden])");
const second = await page.textContent("#new-key code");
assert.notEqual(second, first);
await page.getByRole("button", { name: "Revoke by-hand" }).click();
assert.equal(await works(second), 200, "one click revokes nothing");
await page.getByRole("button", { name: "Revoke by-hand" }).click();
await page.waitForSelector("tr:has-text('by-hand'):has-text('revoked')");
const keys = await api("keys");
assert.ok(keys.items.find((key) => key.name === "by-hand").revoked_at, "revoked in the store");
// What is wrong is said in words.
const budget = page.locator("form[data-api='PUT budgets/{scope}']");
await budget.locator("[name=scope]").fill("team:core");
await budget.locator("[name=amount]").fill("much");
await budget.locator("button").click();
await page.waitForFunction(() => document.getElementById("said").textContent.includes("5.00/day"));
await budget.locator("[name=amount]").fill("7.50/week");
await budget.locator("button").click();
await page.waitForSelector("td:has-text('7.50 / week')");

await page.click("#sign-out");
await page.waitForSelector("#state");
const after = await page.goto(`${base}/dashboard/usage`);
assert.equal(after.status(), 403);

await browser.close();
// Refusals on purpose are shown on the console by the browser itself.
const unexpected = wrong.filter((it) => !/status of (400|403|422)/.test(it));
assert.deepEqual(unexpected, [], "console, scripts, requests");
console.log("page: all passed");
