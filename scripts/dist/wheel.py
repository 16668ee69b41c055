#!/usr/bin/env python3
"""Writes a Python wheel that contains the program as a script, so that `pip install`, `pipx install` and `uvx` put it on the PATH.
There is no Python code in it.

Usage: wheel.py PROGRAM VERSION PLATFORM_TAG OUTPUT_DIRECTORY    (SOURCE_DATE_EPOCH is the time of its files)
"""
import base64
import hashlib
import os
import pathlib
import sys
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NAME = "codex_gateway"


def main(program, version, platform, output):
    when = max(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), 315_532_800)  # A zip file begins in 1980.
    info = f"{NAME}-{version}.dist-info"
    tag = f"py3-none-{platform}"
    description = (ROOT / "scripts/dist/about.md").read_text()
    script = "codex-gateway.exe" if platform.startswith("win") else "codex-gateway"
    files = {
        f"{NAME}-{version}.data/scripts/{script}": pathlib.Path(program).read_bytes(),
        f"{info}/METADATA": "\n".join([
            "Metadata-Version: 2.1", "Name: codex-gateway", f"Version: {version}",
            "Summary: A local and team-wide HTTP gateway for OpenAI Codex traffic", "License: MIT OR Apache-2.0",
            "Requires-Python: >=3.8", "Description-Content-Type: text/markdown", "", description,
        ]).encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: codex-gateway\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
    }
    for licence in ("LICENSE-MIT", "LICENSE-APACHE"):
        files[f"{info}/licenses/{licence}"] = (ROOT / licence).read_bytes()
    record = ""
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    path = pathlib.Path(output) / f"{NAME}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, time.gmtime(when)[:6])
            mode = 0o755 if "/scripts/" in name else 0o644
            entry.external_attr, entry.create_system, entry.compress_type = (0o100000 | mode) << 16, 3, zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    print(path)


main(*sys.argv[1:])
