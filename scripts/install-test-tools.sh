#!/usr/bin/env bash
# Installs what tests need beyond the Rust toolchain, each only where it is missing.
# Usage: scripts/install-test-tools.sh [node] [codex] [sdk] [schemathesis] [postgres] [promtool] [yaml] [chromium] [pages] [zsh]   (all of them without names)
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  printf 'install-test-tools: %s\n' "$1" >&2
  exit 1
}

has() {
  command -v "$1" >/dev/null
}

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  as_root=(sudo)
fi

apt_updated=no
apt_update() {
  if [ "$apt_updated" = no ]; then
    "${as_root[@]}" apt-get update -qq </dev/null || fail "apt-get update failed; is this user allowed to run it?"
    apt_updated=yes
  fi
}

apt_install() { # packages
  has apt-get || fail "please install $* with this system's package manager, then try again"
  apt_update
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null \
    || fail "apt-get could not install $*"
}

install_node() {
  if ! has node || ! has npm; then
    apt_install nodejs npm
  fi
  has npm || fail "npm is still missing"
}

install_codex() {
  scripts/install-codex.sh
}

# OpenAI's own client libraries, at the versions that the tests were written with.
install_sdk() {
  local tools="$PWD/tests/.tools" python=3.52.0 javascript=7.55.0
  if ! "$tools/sdk-python/bin/python" -c "import openai; assert openai.__version__ == '$python'" 2>/dev/null; then
    has python3 || apt_install python3
    rm -rf "$tools/sdk-python"
    python3 -m venv "$tools/sdk-python" 2>/dev/null || { apt_install python3-venv && python3 -m venv "$tools/sdk-python"; } \
      || fail "no virtual environment could be made with python3"
    "$tools/sdk-python/bin/pip" install --quiet --disable-pip-version-check "openai==$python" </dev/null \
      || fail "pip could not install openai==$python; is a registry reachable?"
  fi
  install_node
  if ! grep -qs "\"version\": \"$javascript\"" "$tools/sdk-node/node_modules/openai/package.json"; then
    rm -rf "$tools/sdk-node"
    mkdir -p "$tools/sdk-node"
    npm install --prefix "$tools/sdk-node" --no-audit --no-fund --loglevel=error "openai@$javascript" </dev/null \
      || fail "npm could not install openai@$javascript; is a registry reachable?"
  fi
}

# Tries an HTTP API against its own description.
install_schemathesis() {
  local tools="$PWD/tests/.tools" version=4.32.5
  if [ -x "$tools/schemathesis/bin/schemathesis" ] && "$tools/schemathesis/bin/schemathesis" --version 2>/dev/null | grep -qF "$version"; then
    return
  fi
  has python3 || apt_install python3
  rm -rf "$tools/schemathesis"
  python3 -m venv "$tools/schemathesis" 2>/dev/null || { apt_install python3-venv && python3 -m venv "$tools/schemathesis"; } \
    || fail "no virtual environment could be made with python3"
  "$tools/schemathesis/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version" </dev/null \
    || fail "pip could not install schemathesis==$version; is a registry reachable?"
}

# The server's programs are not on the PATH of Debian; tests look for them in /usr/lib/postgresql/*/bin as well.
install_postgres() {
  if ! has psql || ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && ! has initdb; then
    apt_install postgresql postgresql-client
  fi
}

# Only the program is taken from Debian's package: installing it would start a server.
install_promtool() {
  local tools="$PWD/tests/.tools"
  if has promtool || [ -x "$tools/bin/promtool" ]; then
    return
  fi
  has apt-get || fail "please put promtool (of Prometheus) on the PATH, then try again"
  mkdir -p "$tools/prometheus" "$tools/bin"
  apt_update
  (cd "$tools/prometheus" && apt-get download -qq -o "APT::Sandbox::User=$(id -un)" prometheus </dev/null && dpkg -x prometheus_*.deb . && rm prometheus_*.deb) \
    || fail "the package prometheus could not be fetched"
  ln -sf ../prometheus/usr/bin/promtool "$tools/bin/promtool"
}

# PyYAML, for scripts/check-containers.py.
install_yaml() {
  if ! python3 -c 'import yaml' 2>/dev/null; then
    apt_install python3 python3-yaml
  fi
}

install_chromium() {
  has chromium || has google-chrome || apt_install chromium
}

# What drives Chromium, and what looks for pages that some people cannot use.
install_pages() {
  local tools="$PWD/tests/.tools/pages" playwright=1.65.1 axe=4.14.1
  install_node
  if ! [ -e "$tools/node_modules/playwright-core" ] || ! [ -e "$tools/node_modules/axe-core" ]; then
    rm -rf "$tools"
    mkdir -p "$tools"
    printf '{"private": true}\n' >"$tools/package.json"
    PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm install --prefix "$tools" --no-audit --no-fund --loglevel=error "playwright-core@$playwright" "axe-core@$axe" </dev/null \
      || fail "npm could not install playwright-core and axe-core; is a registry reachable?"
  fi
}

install_zsh() {
  has zsh || apt_install zsh
}

if [ "$#" -eq 0 ]; then
  set -- node codex sdk schemathesis postgres promtool yaml chromium pages zsh
fi
for tool in "$@"; do
  case "$tool" in
    node | codex | sdk | schemathesis | postgres | promtool | yaml | chromium | pages | zsh) "install_$tool" ;;
    *) fail "there is no tool \`$tool\`; there are node, codex, sdk, schemathesis, postgres, promtool, yaml, chromium, pages and zsh" ;;
  esac
done
