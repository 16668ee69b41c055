#!/usr/bin/env bash
# Makes stand-ins for the images that Dockerfile and compose.yaml name, for a machine that reaches no image registry: Debian from
# debootstrap, the Rust toolchain and the crates of this machine. An image that is there already is left alone.
# Needs root, docker and debootstrap. Usage: scripts/container/stand-ins.sh    (DOCKER_HOST names the engine)
set -euo pipefail
cd "$(dirname "$0")/../.."

image_of() { # pattern file: the image that a file names
  grep -oE "$1" "$2" | head -n 1
}
rust=$(image_of 'rust:[^ ]+' Dockerfile)
base=$(image_of 'gcr\.io/[^ ]+' Dockerfile)
postgres=$(image_of 'postgres:[0-9][^ ]*' deploy/compose.yaml)
is_there() { docker image inspect "$1" >/dev/null 2>&1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
debian=codex-gateway-try/debian
if ! is_there "$debian"; then
  debootstrap --variant=minbase --include=ca-certificates,gcc,libc6-dev,make,postgresql,passwd bookworm "$work/debian" \
    "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$work/debootstrap.log" || { tail -n 20 "$work/debootstrap.log" >&2; exit 1; }
  rm -rf "$work/debian/var/cache/apt/archives/"*.deb
  tar -C "$work/debian" -c . | docker import - "$debian" >/dev/null
fi

if ! is_there "$rust"; then
  mkdir -p "$work/rust/usr/local" "$work/rust/cargo/registry"
  toolchain=$(rustc --print sysroot)
  for part in bin lib libexec; do
    [ ! -d "$toolchain/$part" ] || cp -r "$toolchain/$part" "$work/rust/usr/local/"
  done
  # Crates that were downloaded here; the build inside downloads nothing.
  cp -r "${CARGO_HOME:-$HOME/.cargo}/registry/cache" "${CARGO_HOME:-$HOME/.cargo}/registry/index" "$work/rust/cargo/registry/"
  printf '[net]\noffline = true\n' >"$work/rust/cargo/config.toml"
  printf 'FROM %s\nCOPY . /\nENV CARGO_HOME=/cargo\n' "$debian" >"$work/rust/Dockerfile"
  docker build --quiet --tag "$rust" "$work/rust" >/dev/null
fi

if ! is_there "$base"; then
  # What distroless has: the C library and its friends, certificates, time zones, a user; no shell.
  mkdir -p "$work/base"
  docker create --name "codex-gateway-try-$$" "$debian" /bin/true >/dev/null
  docker export "codex-gateway-try-$$" | tar -x -C "$work/base" --wildcards \
    './lib64' 'lib64' 'lib' 'usr/lib64' 'usr/lib64/*' 'usr/lib/x86_64-linux-gnu/ld-linux*' 'usr/lib/x86_64-linux-gnu/libc.so*' \
    'usr/lib/x86_64-linux-gnu/libm.so*' 'usr/lib/x86_64-linux-gnu/libgcc_s*' 'usr/lib/x86_64-linux-gnu/libpthread*' \
    'usr/lib/x86_64-linux-gnu/libdl*' 'usr/lib/x86_64-linux-gnu/librt*' 'usr/lib/x86_64-linux-gnu/libnss_*' \
    'usr/lib/x86_64-linux-gnu/libresolv*' 'etc/ssl/certs/ca-certificates.crt' 'etc/nsswitch.conf' 2>/dev/null || true
  docker rm "codex-gateway-try-$$" >/dev/null
  mkdir -p "$work/base/etc" "$work/base/tmp"
  printf 'root:x:0:0::/root:/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n' >"$work/base/etc/passwd"
  test -e "$work/base/etc/ssl/certs/ca-certificates.crt"
  tar -C "$work/base" -c . | docker import - "$base" >/dev/null
fi

if ! is_there "$postgres"; then
  mkdir "$work/postgres"
  # As much of the official image's entry point as compose.yaml uses.
  cat >"$work/postgres/start" <<'SCRIPT'
#!/bin/sh
set -e
programs=$(echo /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/data
mkdir -p "$data" && chown postgres "$data" && chmod 700 "$data"
run() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }
if [ ! -e "$data/PG_VERSION" ]; then
  printf %s "$POSTGRES_PASSWORD" >/tmp/password && chown postgres /tmp/password
  run "$programs/initdb" -D "$data" -U "$POSTGRES_USER" --pwfile /tmp/password --auth scram-sha-256 --encoding UTF8 >/dev/null
  rm /tmp/password
  echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
  run "$programs/pg_ctl" -D "$data" -o "-c listen_addresses=127.0.0.1 -k /tmp" -w start >/dev/null
  PGPASSWORD=$POSTGRES_PASSWORD run psql -q -h 127.0.0.1 -U "$POSTGRES_USER" -d postgres -c "CREATE DATABASE $POSTGRES_DB" || true
  run "$programs/pg_ctl" -D "$data" -w stop >/dev/null
fi
exec setpriv --reuid postgres --regid postgres --clear-groups "$programs/postgres" -D "$data" -c listen_addresses='*' -k /tmp
SCRIPT
  chmod 755 "$work/postgres/start"
  printf 'FROM %s\nCOPY start /start\nENTRYPOINT ["/start"]\n' "$debian" >"$work/postgres/Dockerfile"
  docker build --quiet --tag "$postgres" "$work/postgres" >/dev/null
fi
printf '%s\n' "$rust" "$base" "$postgres"
