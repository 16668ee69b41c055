#!/usr/bin/env bash
# Builds every package for this machine's platform into dist/: a tarball, a Debian package, npm packages, a Python wheel, shell
# completions, manual pages, a bill of materials and checksums. `scripts/dist/try-packages.sh` installs and runs them.
# DIST_PROFILE=dev packs a debug build, for tests.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  printf 'dist: %s\n' "$1" >&2
  exit 1
}
for tool in cargo python3 npm dpkg-deb objdump tar gzip; do
  command -v "$tool" >/dev/null || fail "\`$tool\` is missing"
done

version=$(sed -nE '/^\[workspace\.package\]/,/^\[/s/^version = "(.*)"/\1/p' Cargo.toml)
triple=$(rustc -vV | sed -n 's/^host: //p')
case "$triple" in
  x86_64-unknown-linux-gnu) node=linux-x64 debian=amd64 machine=x86_64 ;;
  aarch64-unknown-linux-gnu) node=linux-arm64 debian=arm64 machine=aarch64 ;;
  *) fail "packages for $triple are made by the release workflow only" ;;
esac
# The time of every file in the packages: that of the commit. Packagers without git set it.
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
fi
if [ -z "${CODEX_GATEWAY_COMMIT:-}" ]; then
  CODEX_GATEWAY_COMMIT=$(git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null || true)
fi
export SOURCE_DATE_EPOCH CODEX_GATEWAY_COMMIT

built=$(scripts/dist/build-program.sh "${CARGO_TARGET_DIR:-target}/dist")
rm -rf dist
mkdir -p dist
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
# Symbols of functions stay, for the traces of panics; a debug build has more than that.
program=$stage/codex-gateway
cp "$built" "$program"
strip --strip-debug "$program"

mkdir "$stage/completions"
"$program" completions bash >"$stage/completions/codex-gateway.bash"
"$program" completions zsh >"$stage/completions/_codex-gateway"
"$program" completions fish >"$stage/completions/codex-gateway.fish"
"$program" completions powershell >"$stage/completions/_codex-gateway.ps1"
"$program" man "$stage/man"
scripts/dist/sbom.py "$triple" >"dist/codex-gateway-$version-$triple.cdx.json"

name=codex-gateway-$version-$triple
mkdir "$stage/$name"
cp -r "$program" "$stage/completions" "$stage/man" README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE config deploy "$stage/$name/"
tar --create --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w \
  --format=ustar --directory "$stage" "$name" | gzip -9n >"dist/$name.tar.gz"

scripts/dist/deb.sh "$program" "$version" "$debian" "$stage" dist >/dev/null
scripts/dist/npm.py "$program" "$version" "$node" dist >/dev/null
# The wheel says which C library it needs, so that pip refuses it where it would not start.
libc=$(objdump -T "$program" | grep -oE 'GLIBC_[0-9.]+' | sed 's/GLIBC_//' | sort -Vu | tail -n 1)
scripts/dist/wheel.py "$program" "$version" "manylinux_${libc//./_}_$machine" dist >/dev/null
(cd dist && sha256sum -- * >SHA256SUMS)
(cd dist && ls -l -- * | awk '{ printf "%10d  %s\n", $5, $NF }')
