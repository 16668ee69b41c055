#!/usr/bin/env bash
# Runs every fuzz target, or those that are named, for a while each: scripts/fuzz.sh [SECONDS] [TARGET…]
# A finding lies in fuzz/artifacts/<target>; `cargo fuzz run <target> <file>` shows it again.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
if ! command -v cargo-fuzz >/dev/null; then
    cargo install --locked cargo-fuzz
fi
# The sanitizer's flags are for nightly compilers; this lets the stable one of this repository take them.
export RUSTC_BOOTSTRAP=1
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <(cargo fuzz list)
fi
for target in "${targets[@]}"; do
    mkdir -p "fuzz/corpus/$target"
    cargo fuzz run "$target" "fuzz/corpus/$target" crates/gateway-wire/tests/fixtures/wire -- \
        -max_total_time="$seconds" -max_len=8192 -dict=fuzz/wire.dict -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
done
