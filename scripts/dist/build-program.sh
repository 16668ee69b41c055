#!/usr/bin/env bash
# Builds the program so that the same commit gives the same bytes in any directory: no path of this machine and no time is in it.
# Prints the path of the program. Packagers without git set CODEX_GATEWAY_COMMIT and SOURCE_DATE_EPOCH.
# Usage: scripts/dist/build-program.sh [TARGET_DIRECTORY]
set -euo pipefail
cd "$(dirname "$0")/../.."

target=${1:-target/dist}
# `dev` is faster to build and is what the test of the packages takes; what is shipped is `release`.
profile=${DIST_PROFILE:-release}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot)
remap() { # flag
  printf '%s=%s=/src %s=%s=/cargo %s=%s=/rust' "$1" "$PWD" "$1" "$cargo_home" "$1" "$sysroot"
}
RUSTFLAGS="$(remap --remap-path-prefix)"
# SQLite, zstd and ring are C, whose assertions name their file.
CFLAGS="$(remap -ffile-prefix-map) -g0"
export RUSTFLAGS CFLAGS CARGO_INCREMENTAL=0 LC_ALL=C TZ=UTC
cargo build --locked --profile "$profile" --target-dir "$target" -p codex-gateway --bin codex-gateway >&2
case "$profile" in dev) profile=debug ;; esac
printf '%s\n' "$target/$profile/codex-gateway"
