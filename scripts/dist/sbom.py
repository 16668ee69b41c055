#!/usr/bin/env python3
"""Writes a CycloneDX 1.5 bill of materials: the crates that are in the program for a target, with licences, checksums and who needs
whom. No time and no random number, so that it is as reproducible as the program.

Usage: sbom.py TARGET_TRIPLE > codex-gateway.cdx.json
"""
import json
import pathlib
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = "codex-gateway"


def metadata(target):
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def shipped(nodes, root):
    """Package ids that are linked into the program: no dependencies of tests and none of build scripts."""
    needs, todo = {}, [root]
    while todo:
        package = todo.pop()
        if package in needs:
            continue
        deps = nodes[package]["deps"]
        needs[package] = sorted(dep["pkg"] for dep in deps if any(kind["kind"] is None for kind in dep["dep_kinds"]))
        todo += needs[package]
    return needs


def main(target):
    data = metadata(target)
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    (root,) = [package["id"] for package in data["packages"] if package["name"] == PROGRAM]
    needs = shipped(nodes, root)
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}

    def reference(package_id):
        return f"pkg:cargo/{packages[package_id]['name']}@{packages[package_id]['version']}"

    def component(package_id, kind):
        package = packages[package_id]
        entry = {"type": kind, "bom-ref": reference(package_id), "name": package["name"], "version": package["version"]}
        entry["purl"] = reference(package_id)
        if package.get("description"):
            entry["description"] = " ".join(package["description"].split())
        if package.get("license"):
            entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        checksum = checksums.get((package["name"], package["version"]))
        if checksum:
            entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        return entry

    parts = sorted((component(package, "library") for package in needs if package != root), key=lambda part: part["bom-ref"])
    graph = [{"ref": reference(package), "dependsOn": sorted({reference(dep) for dep in deps})} for package, deps in needs.items()]
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(root, "application"), "properties": [{"name": "target", "value": target}]},
        "components": parts,
        "dependencies": sorted(graph, key=lambda node: node["ref"]),
    }
    json.dump(bom, sys.stdout, indent=1, ensure_ascii=False)
    print()


main(*sys.argv[1:])
