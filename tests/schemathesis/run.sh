#!/usr/bin/env bash
# Has schemathesis call every operation of a Link of its own, as its description says and in every other way, with all
# checks on. Ends with 0 only if nothing was found. Needs install.sh to have run, and a built `link`.
#   LINK     the binary (default: what cargo built for debugging)
#   VENV     where schemathesis is (default ~/.cache/link-schemathesis/venv)
#   SEED     where chance begins (default 1)
#   EXAMPLES per operation and phase (default 12)
# Arguments go to `schemathesis run`, as in `run.sh --include-operation-id tasks.create`.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
LINK=${LINK:-${CARGO_TARGET_DIR:-$HERE/../../target}/debug/link}
VENV=${VENV:-$HOME/.cache/link-schemathesis/venv}
RUN=$(mktemp -d "${TMPDIR:-/tmp}/link-schemathesis.XXXXXX")
# The database runs as another user and has to reach its directory.
chmod 755 "$RUN"

stop() {
  [ -z "${NODE:-}" ] || { kill -TERM "$NODE" 2>/dev/null && wait "$NODE" || true; }
  [ -z "${PROVIDER:-}" ] || kill "$PROVIDER" 2>/dev/null || true
  rm -rf "$RUN"
}
trap stop EXIT

free_port() { "$VENV/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
export LINK_URL="http://127.0.0.1:$(free_port)"
PROVIDER_PORT=$(free_port)
"$VENV/bin/python" "$HERE/provider.py" "$PROVIDER_PORT" &
PROVIDER=$!
export LINK_OIDC_ISSUER="http://127.0.0.1:$PROVIDER_PORT" LINK_OIDC_CLIENT_ID=link
export LINK_OIDC_REDIRECT_URL="$LINK_URL/auth/oidc/callback" LINK_OIDC_RETURN_URL="$LINK_URL/arrived"
# Nobody else calls this node, and schemathesis is faster than a person.
env -u DATABASE_URL RUST_LOG=warn LINK_RATE_READS=0 LINK_RATE_WRITES=0 LINK_RATE_CREDENTIALS=0 LINK_CLUSTER_ADDR="127.0.0.1:$(free_port)" \
  "$LINK" serve --http-addr "${LINK_URL#http://}" --data-dir "$RUN/data" >"$RUN/link.log" 2>&1 &
NODE=$!

"$VENV/bin/python" "$HERE/prepare.py" "$RUN" || { cat "$RUN/link.log"; exit 1; }
cd "$RUN"
export LINK_HOOKS="$HERE/hooks.py" LINK_KNOWN="$RUN/known.json" PYTHONDONTWRITEBYTECODE=1
"$VENV/bin/schemathesis" --config-file "$RUN/schemathesis.toml" run "$LINK_URL/api/v1/openapi.json" \
  --seed "${SEED:-1}" --max-examples "${EXAMPLES:-12}" --no-color "$@"

if grep -E "ERROR|panicked" "$RUN/link.log"; then
  echo "the node complained while it answered" >&2
  exit 1
fi
