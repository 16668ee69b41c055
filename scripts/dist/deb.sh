#!/usr/bin/env bash
# Writes a Debian package: the program, its manual and completions, the hardened unit with a user of its own, and the configuration.
# Usage: scripts/dist/deb.sh PROGRAM VERSION ARCHITECTURE DIRECTORY_OF_MAN_AND_COMPLETIONS OUTPUT_DIRECTORY    (SOURCE_DATE_EPOCH)
set -euo pipefail
program=$1 version=$2 architecture=$3 extras=$4 output=$5
root=$(cd "$(dirname "$0")/../.." && pwd)
umask 022

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
install -D -m 755 "$program" "$tree/usr/bin/codex-gateway"
install -D -m 644 "$root/config/gateway.toml" "$tree/etc/codex-gateway/gateway.toml"
install -D -m 644 "$extras/completions/codex-gateway.bash" "$tree/usr/share/bash-completion/completions/codex-gateway"
install -D -m 644 "$extras/completions/_codex-gateway" "$tree/usr/share/zsh/vendor-completions/_codex-gateway"
install -D -m 644 "$extras/completions/codex-gateway.fish" "$tree/usr/share/fish/vendor_completions.d/codex-gateway.fish"
for page in "$extras"/man/*.1; do
  mkdir -p "$tree/usr/share/man/man1"
  gzip -9nc "$page" >"$tree/usr/share/man/man1/$(basename "$page").gz"
done
doc=$tree/usr/share/doc/codex-gateway
install -D -m 644 "$root/LICENSE-MIT" "$doc/copyright"
printf '\n\nOr, at your option:\n\n' >>"$doc/copyright"
cat "$root/LICENSE-APACHE" >>"$doc/copyright"
# The same unit, with a user that lasts: commands are run as this user, beside the service, on its data.
mkdir -p "$tree/usr/lib/systemd/system"
sed -e 's|/usr/local/bin/|/usr/bin/|' -e '/^# cp codex-gateway/d' -e '/^# systemctl enable/d' \
  -e 's|^# A dynamic user with its own state directory\.|# A user of its own with its own state directory.|' \
  -e 's|^DynamicUser=yes|User=codex-gateway\nGroup=codex-gateway|' \
  "$root/deploy/systemd/codex-gateway.service" >"$tree/usr/lib/systemd/system/codex-gateway.service"
grep -q '^User=codex-gateway$' "$tree/usr/lib/systemd/system/codex-gateway.service"

mkdir "$tree/DEBIAN"
# The oldest C library that has every function the program calls.
libc=$(objdump -T "$program" | grep -oE 'GLIBC_[0-9.]+' | sed 's/GLIBC_//' | sort -Vu | tail -n 1)
cat >"$tree/DEBIAN/control" <<CONTROL
Package: codex-gateway
Version: $version
Architecture: $architecture
Maintainer: the codex-gateway contributors <noreply@example.invalid>
Depends: libc6 (>= $libc), libgcc-s1, ca-certificates, passwd
Section: net
Priority: optional
Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f1)
Description: HTTP gateway for OpenAI Codex traffic
 It sits between Codex and the services that serve its models, applies rules by auth route,
 falls back between models and records every token in a ledger.
 .
 The service listens on 127.0.0.1:8787 and is configured in /etc/codex-gateway/gateway.toml.
CONTROL
printf '/etc/codex-gateway/gateway.toml\n' >"$tree/DEBIAN/conffiles"
cat >"$tree/DEBIAN/postinst" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
  if ! getent passwd codex-gateway >/dev/null; then
    useradd --system --user-group --home-dir /var/lib/codex-gateway --no-create-home --shell /usr/sbin/nologin codex-gateway
  fi
  install -d -m 700 -o codex-gateway -g codex-gateway /var/lib/codex-gateway
  # An upgrade restarts the service, if it runs: Codex waits for the port and continues.
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    if [ -z "$2" ]; then systemctl enable --now codex-gateway || true; else systemctl try-restart codex-gateway || true; fi
  fi
fi
SCRIPT
cat >"$tree/DEBIAN/prerm" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl disable --now codex-gateway || true
fi
SCRIPT
cat >"$tree/DEBIAN/postrm" <<'SCRIPT'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
if [ "$1" = purge ]; then
  if [ -d /var/lib/codex-gateway ]; then
    echo "The ledger in /var/lib/codex-gateway is kept; delete it yourself if nobody needs it." >&2
  fi
  rmdir /etc/codex-gateway 2>/dev/null || true
fi
SCRIPT
chmod 755 "$tree/DEBIAN/postinst" "$tree/DEBIAN/prerm" "$tree/DEBIAN/postrm"
dpkg-deb --root-owner-group -Zxz --build "$tree" "$output/codex-gateway_${version}_$architecture.deb" >/dev/null
printf '%s\n' "$output/codex-gateway_${version}_$architecture.deb"
