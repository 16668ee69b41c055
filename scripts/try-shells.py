#!/usr/bin/env python3
"""Pastes every block of shell commands of the README into an interactive bash and an interactive zsh, and checks that each command
is understood and succeeds. Blocks of the other pages are only parsed by both.

An interactive zsh takes `#` for a word and `?` for a pattern, so a block that is fine as a script can fail when it is pasted.

What a block must not really do here is replaced: `make` checks its targets and starts the built gateway instead of building it;
`codex`, `npm`, `npx`, `pip`, `pipx`, `uvx` and `cargo` answer nothing. The port 8787 becomes a free one, and upstreams are scripted.

Usage: scripts/try-shells.py DIRECTORY_OF_THE_BUILT_PROGRAMS
"""
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHELLS = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}
# What shells, make and curl say about something that does not work.
COMPLAINTS = re.compile(
    r"command not found|no matches found|parse error|syntax error|unknown file attribute|bad pattern|event not found"
    r"|No rule to make target|No such file|curl: \(|\berror[: ]|Permission denied|unrecognized",
)
DEADLINE = 60


def blocks(path):
    text = path.read_text(encoding="utf-8")
    return [match[1] for match in re.finditer(r"^```sh[^\n]*\n(.*?)^```", text, re.M | re.S)]


def is_parsed(block, shell):
    """Whether the shell takes the block as it takes it on a terminal: zsh without comments."""
    options = ["-f", "-n", "+o", "interactivecomments"] if shell == "zsh" else ["-n"]
    if shell == "zsh" and re.search(r"(^|\s)#", block, re.M):
        return "a comment, which an interactive zsh takes for words"
    checked = subprocess.run([shell, *options], input=block, text=True, capture_output=True, check=False)
    return None if checked.returncode == 0 else checked.stderr.strip()


def replace_programs(place, programs, port):
    """What blocks call, in a directory that comes first on the PATH."""
    bin_dir = place / "bin"
    bin_dir.mkdir()
    make = f"""#!/bin/sh
{shutil.which("make")} --no-print-directory --silent -n -C {ROOT} "$@" >/dev/null || exit
if [ "$1" = run ]; then exec {programs}/codex-gateway serve --listen 127.0.0.1:{port}; fi
"""
    scripts = dict.fromkeys(["codex", "npm", "npx", "pip", "pipx", "uvx", "cargo"], "#!/bin/sh\nexit 0\n")
    for name, text in {**scripts, "make": make}.items():
        (bin_dir / name).write_text(text)
        (bin_dir / name).chmod(0o755)
    return f"{bin_dir}:{programs}:{os.environ['PATH']}"


def start_upstream(place, programs):
    script = place / "script.json"
    script.write_text("{}")
    upstream = subprocess.Popen([programs / "provider-sim", "--script", script], stdout=subprocess.PIPE, text=True)
    return upstream, json.loads(upstream.stdout.readline())["base_url"]


def paste(shell, block, place, environment):
    """What the shell shows, and the status of the last command; None if the block does not end."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(place)
        os.execvpe(SHELLS[shell][0], SHELLS[shell], environment)
    ended = re.compile(rb"the end is (\d+)\.")
    end = b"echo the end is $?.\n"
    os.write(terminal, block.encode() + end)
    shown, deadline, is_interrupted, is_asked_again = b"", time.monotonic() + DEADLINE, False, False
    while time.monotonic() < deadline and not ended.search(shown):
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                shown += os.read(terminal, 65536)
            except OSError:
                break
        # A server in the foreground ends when its user presses Ctrl-C.
        if b"serves on" in shown and not is_interrupted and not re.search(r"&\s*$", block, re.M):
            is_interrupted = True
            os.write(terminal, b"\x03")
        # What was typed meanwhile is lost with it.
        elif is_interrupted and not is_asked_again and not select.select([terminal], [], [], 1)[0]:
            is_asked_again = True
            os.write(terminal, end)
    found = ended.search(shown)
    # Hangs up, as a closed window does.
    os.kill(pid, signal.SIGHUP)
    os.close(terminal)
    os.waitpid(pid, 0)
    return shown.decode(errors="replace"), int(found[1]) if found else None


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def stop_gateways(place):
    """The gateways that a block started and left running: those whose home is this place."""
    for process in pathlib.Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if f"HOME={place}/home".encode() in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)
        except (OSError, PermissionError):
            continue


def try_block(shell, block, programs):
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        (place / "home/.codex").mkdir(parents=True)
        upstream, url = start_upstream(place, programs)
        port = free_port()
        config = place / "gateway.toml"
        config.write_text(f'[upstreams.openai]\nbase_url = "{url}"\n[upstreams.chatgpt]\nbase_url = "{url}"\n')
        environment = {
            "PATH": replace_programs(place, programs, port), "HOME": f"{place}/home", "TERM": "dumb", "LC_ALL": "C.UTF-8",
            "CODEX_GATEWAY_CONFIG": str(config), "OPENAI_API_KEY": "sk-example", "DATA_DIR": str(place / "home"),
        }
        try:
            return paste(shell, block.replace("8787", str(port)), place, environment)
        finally:
            stop_gateways(place)
            upstream.terminate()
            upstream.wait()


def main(programs):
    problems, pasted, parsed = [], 0, 0
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "deploy/README.md", *sorted(ROOT.glob("docs/**/*.md"))]
    for page in pages:
        for number, block in enumerate(blocks(page), 1):
            for shell in SHELLS:
                parsed += 1
                where = f"{page.relative_to(ROOT)}, block {number}, {shell}"
                problem = is_parsed(block, shell)
                if problem is None and page.name == "README.md" and page.parent == ROOT:
                    pasted += 1
                    shown, status = try_block(shell, block, programs)
                    said = COMPLAINTS.search(shown)
                    if status is None or status != 0 or said:
                        problem = f"status {status}, {said[0] if said else 'no complaint'}:\n{shown}"
                if problem:
                    problems.append(f"{where}: {problem}\n{block}")
    for problem in problems:
        print(f"try-shells: {problem}", file=sys.stderr)
    if problems or not pasted:
        sys.exit(1)
    print(f"{parsed} blocks parsed and {pasted} pasted, in {' and '.join(SHELLS)}")


main(pathlib.Path(sys.argv[1]).resolve())
