// Requests as Codex sends them: several models, repositories, sessions with subagents, a broken cache, refusals.
const body = (model, metadata, more = {}) => ({
  model, stream: true, store: false,
  input: [{ type: "message", role: "user", content: [{ type: "input_text", text: "hello" }] }],
  client_metadata: { "x-codex-turn-metadata": JSON.stringify(metadata) }, ...more,
});

const metadata = (session, thread, turn, repo, more = {}) => ({
  session_id: session, thread_id: thread, turn_id: turn, root_turn_id: `${session}-turn-1`, request_kind: "turn",
  thread_source: "user",
  workspaces: { "/home/somebody/work": {
    associated_remote_urls: { origin: `https://github.com/${repo}.git` },
    latest_git_commit_hash: "b9602482787b4e76328c47df8fd69e383667ce64" } },
  ...more,
});

export const send = async (base, bearer, model, meta, more) => {
  const answer = await fetch(`${base}/v1/responses`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${bearer}`, "content-type": "application/json", originator: "codex_exec",
      "x-codex-turn-metadata": JSON.stringify(meta),
    },
    body: JSON.stringify(body(model, meta, more)),
  });
  await answer.text();
  return answer.status;
};

export const traffic = async (base, key) => {
  const models = ["gpt-5.5", "gpt-5.4", "gpt-5.4-mini", "gpt-6.2-sol"];
  const repos = ["acme/shop", "acme/api", "acme/infra"];
  let sent = 0;
  for (const [number, model] of models.entries()) {
    const session = `session-${number}`;
    for (let turn = 1; turn <= 5; turn += 1) {
      const meta = metadata(session, `${session}-main`, `${session}-turn-${turn}`, repos[number % repos.length]);
      await send(base, "sk-caller", model, meta);
      sent += 1;
    }
    const child = metadata(session, `${session}-child`, `${session}-turn-9`, repos[number % repos.length],
      { thread_source: "subagent", parent_thread_id: `${session}-main` });
    await send(base, "sk-caller", "gpt-5.4-mini", child);
    await send(base, "sk-caller", "gpt-5.4-mini", child);
    sent += 2;
  }
  for (let turn = 1; turn <= 3; turn += 1) {
    await send(base, key, "gpt-5.4", metadata("team-session", "team-main", `t${turn}`, "acme/shop"));
    sent += 1;
  }
  await send(base, "sk-caller", "gpt-5.5", metadata("session-0", "session-0-main", "last", "acme/shop", { compaction: {} }));
  return sent + 1;
};

export const slow = (base) => send(base, "sk-caller", "gpt-slow", metadata("live", "live-main", "t1", "acme/shop"));
