#!/usr/bin/env python3
"""Prints the options of a service of deploy/compose.yaml as flags of `docker run`, one a line, without ports, volumes and secrets.

Usage: compose-flags.py SERVICE
"""
import os
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def main(name):
    service = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"][name]
    flags = ["--read-only"] if service.get("read_only") else []
    flags += [f"--cap-drop={capability}" for capability in service.get("cap_drop", [])]
    flags += [f"--security-opt={option}" for option in service.get("security_opt", [])]
    if "stop_grace_period" in service:
        flags.append(f"--stop-timeout={service['stop_grace_period'].rstrip('s')}")
    for variable, value in service.get("environment", {}).items():
        named = re.match(r"\$\{(\w+)", value)
        flags.append(f"--env={variable}={os.environ[named[1]] if named else value}")
    print("\n".join(flags))


main(sys.argv[1])
