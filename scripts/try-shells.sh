#!/usr/bin/env bash
# Pastes the shell blocks of the README into interactive shells (scripts/try-shells.py); builds the programs and installs zsh.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-test-tools.sh zsh
# Of the whole workspace, as the tests before: a package alone has other features of its dependencies, which are then built anew.
cargo build --quiet --locked --workspace --bin codex-gateway --bin provider-sim
python3 scripts/try-shells.py "${CARGO_TARGET_DIR:-target}/debug"
