#!/usr/bin/env python3
"""Writes the npm packages: one for the platform, with the program, and `codex-gateway`, which depends on those of all platforms that
are built and starts the one that npm installed. npm leaves out optional dependencies for other platforms.

Usage: npm.py PROGRAM VERSION OS-CPU[,OS-CPU…] OUTPUT_DIRECTORY    (the first platform is that of the program)
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
COMMON = {"license": "MIT OR Apache-2.0", "engines": {"node": ">=18"}}
LAUNCHER = """#!/usr/bin/env node
// Starts the program of this platform, and is as it is: the same input and output, signals and exit code.
"use strict";
const { spawn } = require("node:child_process");
const { constants } = require("node:os");

const name = `codex-gateway-${process.platform}-${process.arch}`;
const file = process.platform === "win32" ? "codex-gateway.exe" : "codex-gateway";
let program;
try {
  program = require.resolve(`${name}/bin/${file}`);
} catch {
  console.error(`codex-gateway: there is no package for ${process.platform} on ${process.arch}, or npm left it out `
    + `(--omit=optional). Install ${name}, or build the program from its sources.`);
  process.exit(1);
}
const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
// A terminal sends SIGINT to both; the program decides when it ends.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => signal === "SIGINT" && process.stdin.isTTY || child.kill(signal));
child.on("error", (error) => { console.error(`codex-gateway: ${error.message}`); process.exit(1); });
child.on("exit", (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : code));
"""


def pack(files, manifest, output):
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        (place / "package.json").write_text(json.dumps(manifest, indent=2) + "\n")
        for path, content in files.items():
            target = place / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, pathlib.Path):
                shutil.copy(content, target)
            else:
                target.write_text(content)
            target.chmod(0o755 if path.startswith("bin/") else 0o644)
        for licence in ("LICENSE-MIT", "LICENSE-APACHE"):
            shutil.copy(ROOT / licence, place)
        shutil.copy(ROOT / "scripts/dist/about.md", place / "README.md")
        # `npm pack` gives every file the same time, so that the package is as reproducible as the program.
        command = ["npm", "pack", "--silent", "--pack-destination", str(pathlib.Path(output).resolve())]
        print(subprocess.run(command, cwd=place, check=True, capture_output=True, text=True).stdout.strip())


def main(program, version, platforms, output):
    platforms = platforms.split(",")
    system, cpu = platforms[0].split("-")
    file = "codex-gateway.exe" if system == "win32" else "codex-gateway"
    manifest = {"name": f"codex-gateway-{platforms[0]}", "version": version, "os": [system], "cpu": [cpu], **COMMON}
    manifest["description"] = f"The program of codex-gateway for {system} on {cpu}"
    pack({f"bin/{file}": pathlib.Path(program)}, manifest, output)
    manifest = {
        "name": "codex-gateway", "version": version, **COMMON,
        "description": "A local and team-wide HTTP gateway for OpenAI Codex traffic",
        "bin": {"codex-gateway": "bin/codex-gateway.js"},
        "optionalDependencies": {f"codex-gateway-{platform}": version for platform in platforms},
    }
    pack({"bin/codex-gateway.js": LAUNCHER}, manifest, output)


main(*sys.argv[1:])
