#!/usr/bin/env bash
# Builds the present commit in two directories with names of different lengths, and compares the programs byte for byte.
# Usage: scripts/dist/try-reproducible.sh    (DIST_PROFILE=dev is faster)
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
commit=$(git rev-parse --short=12 HEAD)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export CODEX_GATEWAY_COMMIT=$commit SOURCE_DATE_EPOCH
for place in "$work/a" "$work/another-and-longer-name/b"; do
  mkdir -p "$place"
  git archive HEAD | tar -x -C "$place"
  program=$(cd "$place" && scripts/dist/build-program.sh)
  cp "$place/$program" "$place.program"
  rm -rf "${place:?}"
done
sha256sum "$work/a.program" "$work/another-and-longer-name/b.program" | sed "s|$work/||"
cmp "$work/a.program" "$work/another-and-longer-name/b.program"
printf 'two builds of %s in two directories are the same bytes\n' "$commit"
