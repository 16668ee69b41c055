#!/usr/bin/env bash
# Checks dependencies (cargo-deny, cargo-machete) and spelling (typos). Tools that are missing go into tests/.tools.
#
# `cargo deny check advisories` is not among the checks: its database lives on a git host, which a build machine may
# not reach. Run it by hand, or in a job that has a network.
set -euo pipefail
cd "$(dirname "$0")/.."
tools="$PWD/tests/.tools"
export PATH="$PATH:$tools/bin:$tools/python/bin"

# name, crate. A debug-like build: the tool runs for seconds, so building it fast beats running it fast.
cargo_tool() {
  if ! command -v "$1" >/dev/null; then
    printf 'installing %s from crates.io\n' "$2"
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
      cargo install --quiet --locked --root "$tools" --target-dir "$tools/build" "$2"
    rm -rf "$tools/build"
  fi
}

# typos comes prebuilt for pip; without Python it is built.
install_typos() {
  if command -v typos >/dev/null; then
    return
  fi
  printf 'installing typos\n'
  if python3 -m venv "$tools/python" 2>/dev/null && "$tools/python/bin/pip" install --quiet typos; then
    return
  fi
  cargo_tool typos typos-cli
}

cargo_tool cargo-deny cargo-deny
cargo_tool cargo-machete cargo-machete
install_typos

cargo deny --locked --log-level error check licenses bans sources
cargo machete --with-metadata
typos
