#!/usr/bin/env bash
# Runs a command and says how long it took: scripts/timed.sh COMMAND [ARGUMENT ...]
set -uo pipefail
started=$SECONDS
printf '\n== %s\n' "$*"
"$@"
status=$?
printf '== %s: %ds%s\n' "$*" $((SECONDS - started)) "$([ $status = 0 ] || echo ", failed with exit code $status")"
exit $status
