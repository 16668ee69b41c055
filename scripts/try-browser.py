#!/usr/bin/env python3
"""Lets a page in a real Chromium call the gateway from another origin: a whole response and a stream, from an origin that is listed
in `origins` and from one that is not.

Usage: scripts/try-browser.py DIRECTORY_OF_THE_BUILT_PROGRAMS    (chromium comes from scripts/install-test-tools.sh chromium)
"""
import contextlib
import http.server
import json
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading

PAGE = """<!doctype html><script>
const ask = async (stream) => {
  const reply = await fetch("GATEWAY/v1/responses", {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer sk-example" },
    body: JSON.stringify({ model: "gpt-5.4", stream, input: "hello" }),
  });
  if (!stream) return { status: reply.status, id: reply.headers.get("x-gateway-request-id"), done: (await reply.json()).status };
  let text = "", parts = 0;
  for (const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();;) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value; parts += 1;
  }
  return { status: reply.status, parts, done: text.includes("response.completed") };
};
(async () => {
  const found = {};
  for (const stream of [false, true]) {
    try { found[stream] = await ask(stream); } catch (error) { found[stream] = String(error); }
  }
  await fetch("/result", { method: "POST", body: JSON.stringify(found) });
})();
</script>"""


@contextlib.contextmanager
def running(*command):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


class Site:
    """A page of its own origin, and what it finds."""

    def __init__(self):
        site = self
        self.gateway, self.found = "", queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = PAGE.replace("GATEWAY", site.gateway).encode()
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                site.found.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def visit(site, place):
    browser = shutil.which("chromium") or shutil.which("google-chrome") or sys.exit("try-browser: there is no chromium")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={place}", "--no-first-run"]
    with running(browser, *options, site.origin + "/"):
        return site.found.get(timeout=60)


def main(programs):
    listed, foreign = Site(), Site()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, running(f"{programs}/provider-sim") as upstream:
        place = pathlib.Path(name)
        url = json.loads(upstream.stdout.readline())["base_url"]
        config = place / "gateway.toml"
        config.write_text(f'[server]\nlisten = "127.0.0.1:0"\norigins = ["{listed.origin}"]\n[upstreams.openai]\nbase_url = "{url}"\n')
        with running(f"{programs}/codex-gateway", "--config", config, "--data-dir", place / "data", "serve") as gateway:
            address = re.search(r"serves on (\S+)", gateway.stdout.readline())[1]
            listed.gateway = foreign.gateway = address
            found = visit(listed, place / "listed")
            refused = visit(foreign, place / "foreign")
    whole, stream = found["false"], found["true"]
    expected = [
        whole.get("status") == 200 and whole.get("done") == "completed" and whole.get("id"),
        stream.get("status") == 200 and stream.get("done") and stream["parts"] >= 1,
        refused == {"false": "TypeError: Failed to fetch", "true": "TypeError: Failed to fetch"},
    ]
    if not all(expected):
        sys.exit(f"try-browser: listed origin: {found}\nforeign origin: {refused}")
    print(f"a page of a listed origin gets {whole} and {stream}; one of a foreign origin gets nothing")


main(*sys.argv[1:])
