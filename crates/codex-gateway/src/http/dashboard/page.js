// Signs in and out, sends changes to /api, keeps the page of what is running up to date. Every text goes in as text;
// the one exception is the fragment of the gateway's own page.
"use strict";

const element = (id) => document.getElementById(id);

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

const say = (text) => {
  const place = element("said") ?? element("state");
  if (place) place.textContent = text;
};

// Times in the viewer's zone.
const localTimes = (root) => {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    const pad = (number) => String(number).padStart(2, "0");
    const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
    time.title = time.dateTime;
    time.textContent = `${day} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  }
};
localTimes(document);

// The secret of a link stands behind the `#`, which browsers keep to themselves.
const link = new URLSearchParams(location.hash.slice(1)).get("sign-in");
const signIn = element("sign-in");
if (signIn && link) {
  say("Sign in with this link. It works once.");
  signIn.hidden = false;
  signIn.addEventListener("click", async () => {
    const answer = await api("POST", "session", { link });
    if (answer.ok) {
      // A used link need not stay in the address line.
      location.replace(location.pathname);
    } else {
      say(await reason(answer));
    }
  });
}
element("sign-out")?.addEventListener("click", async () => {
  const answer = await api("DELETE", "session");
  if (answer.ok) location.assign("/dashboard");
  else say(await reason(answer));
});

// `data-api="PUT teams/{team}"`: the members of a form fill the path, then the body.
const send = async (target, fields) => {
  const [method, path] = target.split(" ", 2);
  const rest = { ...fields };
  const filled = path.replace(/\{(\w+)\}/g, (_, name) => {
    const value = rest[name] ?? "";
    delete rest[name];
    return encodeURIComponent(value);
  });
  return api(method, filled, method === "DELETE" ? undefined : rest);
};

const showKey = (key) => {
  const place = element("new-key");
  place.hidden = false;
  place.querySelector("code").textContent = key;
  place.focus();
};

const done = async (answer) => {
  if (!answer.ok) return say(await reason(answer));
  const body = await answer.json();
  if (body.key) showKey(body.key);
  else location.reload();
};

for (const form of document.querySelectorAll("form[data-api]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const fields = {};
    for (const [name, value] of new FormData(form)) {
      if (value === "") continue;
      const kind = form.elements[name].dataset.kind;
      fields[name] = kind === "number" ? Number(value) : kind === "budget" ? [{ amount: value }] : kind === "list" ? value.split(",").map((part) => part.trim()) : value;
    }
    await done(await send(form.dataset.api, fields));
  });
}

// A change that cannot be taken back asks once more, in its own place.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-api]");
  if (!button) return;
  if (button.dataset.sure && !button.dataset.asked) {
    button.dataset.asked = "1";
    button.textContent = button.dataset.sure;
    return;
  }
  await done(await send(button.dataset.api, {}));
});

// What a bar says is repeated below its chart, for those who use no mouse.
for (const kind of ["pointerover", "focusin"]) {
  document.addEventListener(kind, (event) => {
    if (!event.target.matches?.(".hit")) return;
    event.target.closest("figure").querySelector(".tip").textContent = event.target.getAttribute("aria-label");
  });
}

// On a phone, the page that is open may stand outside of the navigation.
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

const live = element("live");
if (live) {
  const events = new EventSource("/dashboard/live");
  events.addEventListener("message", (event) => {
    live.innerHTML = event.data;
    localTimes(live);
  });
}
