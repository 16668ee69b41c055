#!/usr/bin/env python3
"""Starts the gateway on a terminal, in its own session as `nohup` or `disown` leave it, closes the terminal, and checks that requests
are answered whole and signals are heard: what a log that cannot be written must not cost.

Usage: scripts/try-terminal.py DIRECTORY_OF_THE_BUILT_PROGRAMS
"""
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request


def ask(address):
    body = json.dumps({"model": "gpt-5.4", "stream": True, "input": "hello"}).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer sk-example"}
    with urllib.request.urlopen(urllib.request.Request(f"{address}/v1/responses", body, headers), timeout=20) as reply:
        return "response.completed" in reply.read().decode()


def main(programs):
    with tempfile.TemporaryDirectory() as name, subprocess.Popen([f"{programs}/provider-sim"], stdout=subprocess.PIPE, text=True) as upstream:
        url = json.loads(upstream.stdout.readline())["base_url"]
        config = pathlib.Path(name) / "gateway.toml"
        config.write_text(f'[server]\nlisten = "127.0.0.1:0"\n[upstreams.openai]\nbase_url = "{url}"\n')
        terminal, side = pty.openpty()
        command = [f"{programs}/codex-gateway", "--config", config, "--data-dir", f"{name}/data", "serve"]
        gateway = subprocess.Popen(command, stdin=side, stdout=side, stderr=side, start_new_session=True)
        os.close(side)
        shown = ""
        while not (found := re.search(r"serves on (\S+)", shown)):
            shown += os.read(terminal, 4096).decode()
        # Gone: every write to it fails from now on.
        os.close(terminal)
        answered = [ask(found[1]) for _ in range(20)]
        with urllib.request.urlopen(f"{found[1]}/metrics", timeout=20) as reply:
            dropped = re.search(r"codex_gateway_log_lines_dropped_total (\d+)", reply.read().decode())
        gateway.send_signal(signal.SIGTERM)
        status = gateway.wait(20)
        upstream.terminate()
    if not all(answered) or status != 0 or not dropped or int(dropped[1]) < 20:
        sys.exit(f"try-terminal: {sum(answered)} of 20 answered, exit code {status}, dropped lines: {dropped and dropped[1]}")
    print(f"on a closed terminal: 20 of 20 streams whole, {dropped[1]} log lines dropped and counted, SIGTERM ended it with 0")


main(*sys.argv[1:])
