// Signs in with a one-time link, shows today's totals, signs out. Every text goes in as text, never as markup.
"use strict";

const element = (id) => document.getElementById(id);
const show = (id, isShown) => { element(id).hidden = !isShown; };
const say = (text) => { element("state").textContent = text; };

// The header shows the gateway that a change comes from this page.
const api = (method, path, body) => fetch(`/api/${path}`, {
  method,
  headers: { "x-gateway-session": "1", ...(body ? { "content-type": "application/json" } : {}) },
  body: body && JSON.stringify(body),
});

const reason = async (answer) => {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `the gateway answered ${answer.status}`;
  }
};

// The secret of a link stands behind the `#`, which browsers keep to themselves.
const link = new URLSearchParams(location.hash.slice(1)).get("sign-in");

const dollars = (nanos) => `$${(nanos / 1e9).toFixed(4)}`;

const showTotals = (total) => {
  const rows = [
    ["Requests", total.requests],
    ["Input tokens", total.input_tokens],
    ["of these from the cache", total.cached_input_tokens],
    ["Output tokens", total.output_tokens],
    ["Metered cost", dollars(total.cost_nanos_metered)],
    ["Plan usage at API prices", dollars(total.cost_nanos_plan)],
    ["Unpriced requests", total.unpriced_requests],
    ["Requests of unknown cost", total.unknown_requests],
  ];
  const body = element("totals").tBodies[0];
  body.replaceChildren(...rows.map(([name, value]) => {
    const row = document.createElement("tr");
    const [head, cell] = [document.createElement("th"), document.createElement("td")];
    head.scope = "row";
    head.textContent = name;
    cell.textContent = String(value);
    row.append(head, cell);
    return row;
  }));
  show("totals", true);
};

const look = async () => {
  const answer = await api("GET", "session");
  const isIn = answer.ok;
  show("sign-in", !isIn && Boolean(link));
  show("sign-out", isIn);
  show("totals", false);
  if (!isIn) {
    say(link
      ? "Sign in with this link. It works once."
      : "Not signed in. Run `codex-gateway dashboard` on the gateway's machine and open the link that it prints.");
    return;
  }
  const { expires_at: end } = await answer.json();
  say(end ? `Signed in until ${new Date(end).toLocaleString()}.` : "Signed in.");
  const midnight = new Date();
  midnight.setHours(0, 0, 0, 0);
  const usage = await api("GET", `usage?by=&since=${midnight.toISOString()}`);
  if (usage.ok) {
    showTotals((await usage.json()).total);
  } else {
    say(await reason(usage));
  }
};

element("sign-in").addEventListener("click", async () => {
  const answer = await api("POST", "session", { link });
  if (!answer.ok) {
    say(await reason(answer));
    return;
  }
  // A used link need not stay in the address line.
  history.replaceState(null, "", location.pathname);
  await look();
});

element("sign-out").addEventListener("click", async () => {
  const answer = await api("DELETE", "session");
  if (answer.ok) {
    await look();
  } else {
    say(await reason(answer));
  }
});

look().catch((error) => say(`The gateway cannot be asked: ${error.message}`));
