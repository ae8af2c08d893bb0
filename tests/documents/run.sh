#!/usr/bin/env bash
# Installs the stock Yjs client in $1. Needs Node 20, npm and its registry; changes nothing in this tree.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
run="${1:?say where}"
mkdir -p "$run"
cp -r "$here/package.json" "$here/package-lock.json" "$here/src" "$run/"
cd "$run"
npm ci --silent --no-audit --no-fund --no-update-notifier
