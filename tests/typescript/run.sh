#!/usr/bin/env bash
# Packs the TypeScript client, compiles what must and must not compile against it, and leaves in $1 a program that runs
# the stock tRPC client against the Link whose address it is given. Needs Node 20, npm and its registry; changes nothing
# in this tree.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
run="${1:?say where to build}"
mkdir -p "$run"
copy() { mkdir -p "$2" && (cd "$1" && tar -cf - --exclude=node_modules --exclude=dist --exclude=out .) | tar -xf - -C "$2"; }
npm() { command npm --no-audit --no-fund --no-update-notifier "$@"; }

copy "$here/../../clients/typescript" "$run/client"
cd "$run/client"
npm ci --silent
npm pack --silent --pack-destination "$run" >/dev/null

copy "$here" "$run/test"
cd "$run/test"
npm ci --silent
mkdir -p node_modules/@link/client
tar -xzf "$run"/link-client-*.tgz -C node_modules/@link/client --strip-components=1
# The README's first call, as it is printed.
sed -n '/^### With TypeScript$/,/^### /p' "$here/../../README.md" | sed -n '/^```ts$/,/^```$/p' | sed '1d;$d' > src/readme.ts
[ "$(wc -l < src/readme.ts)" = 3 ] || { echo "the README's first call with TypeScript is not three lines"; exit 1; }
npx --no-install tsc --noEmit
npx --no-install tsc
