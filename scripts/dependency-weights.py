#!/usr/bin/env python3
"""For each direct dependency of the shipped crates: how many crates the build has because of it alone, and how many it
depends on in all. The table in docs/dependencies.md has the first figure."""

import json
import subprocess

CRATES = {"gateway-wire", "gateway-policy", "gateway-ledger", "codex-gateway"}
COMMAND = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"]

metadata = json.loads(subprocess.check_output(COMMAND))
names = {package["id"]: package["name"] for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
members = set(metadata["workspace_members"])


def dependencies(package):
    for dependency in nodes[package]["deps"]:
        if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
            yield dependency["pkg"]


def reachable(packages):
    seen, waiting = set(), list(packages)
    while waiting:
        package = waiting.pop()
        if package not in seen:
            seen.add(package)
            waiting.extend(dependencies(package))
    return seen


shipped = [package for package in members if names[package] in CRATES]
direct = {found for package in shipped for found in dependencies(package)} - members
everything = reachable(direct)
print(f"{len(direct)} direct dependencies, {len(everything)} crates")
for package in sorted(direct, key=names.get):
    alone = everything - reachable(direct - {package})
    print(f"{names[package]:24} {len(alone):4} {len(reachable([package])):4}")
