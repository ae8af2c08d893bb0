#!/bin/sh
# Builds Link and this tool, fetches what it is measured next to, and measures. See docs/performance.md.
set -e
cd "$(dirname "$0")"
cargo build --release --locked --manifest-path ../../Cargo.toml --bin link
cargo build --release --locked
[ -d peers/node_modules ] || npm install --no-audit --no-fund --prefix peers
target="${CARGO_TARGET_DIR:-target}"
link="${CARGO_TARGET_DIR:-../../target}/release/link"
for needed in nginx nats-server; do
  command -v $needed >/dev/null || { echo "$needed is missing: apt-get install nginx libnginx-mod-nchan nats-server" >&2; exit 1; }
done
ulimit -n 20000
exec "$target/release/realtime" --link "$link" "$@"
