#!/usr/bin/env bash
# Installs the real Codex CLIs that the tests drive into tests/.tools/codex-<version>/, each with a link `codex` to its
# native program (without npm's wrapper, so that stopping a test stops Codex itself). Does nothing where they are.
# Usage: scripts/install-codex.sh [version…]
set -euo pipefail

cd "$(dirname "$0")/.."
tools="$PWD/tests/.tools"
if [ "$#" -eq 0 ]; then
  # The newest, the one that most tests are measured with, and the last one that spoke Chat Completions.
  set -- 0.171.0 0.169.0 0.77.0
fi

fail() {
  printf 'install-codex: %s\n' "$1" >&2
  exit 1
}

works() { # directory version
  [ "$("$1/codex" --version 2>/dev/null)" = "codex-cli $2" ]
}

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) triple=x86_64-unknown-linux-musl ;;
  Linux-aarch64) triple=aarch64-unknown-linux-musl ;;
  *) fail "Codex is only tested on Linux, x86_64 and aarch64; this is $(uname -s) on $(uname -m)" ;;
esac

for version in "$@"; do
  target="$tools/codex-$version"
  if works "$target" "$version"; then
    printf 'codex %s is there\n' "$version"
    continue
  fi
  command -v npm >/dev/null || fail "npm is missing; install Node.js (scripts/install-test-tools.sh node) and try again"
  rm -rf "$target" "$target.partial"
  mkdir -p "$target.partial"
  npm install --prefix "$target.partial" --no-audit --no-fund --loglevel=error "@openai/codex@$version" </dev/null \
    || fail "npm could not install @openai/codex@$version; is a registry reachable?"
  program=$(cd "$target.partial" && find node_modules -type f -name codex -path "*$triple*" | head -n 1)
  [ -n "$program" ] || fail "@openai/codex@$version holds no program for $triple"
  ln -s "$program" "$target.partial/codex"
  works "$target.partial" "$version" || fail "the installed codex does not say that it is version $version"
  mv "$target.partial" "$target"
  printf 'codex %s is installed\n' "$version"
done
