#!/usr/bin/env bash
# Start a stub LLM and one real Penguin web server, both on 127.0.0.1, headless.
# usage: start_penguin.sh start|stop|status   (env: see below)
#   VENV      python venv made by install.sh                      (default ~/.cache/link-penguin/venv)
#   RUN       state directory for this instance                    (default ~/.cache/link-penguin/run)
#   PENGUIN_PORT / STUB_PORT                                        (default 18090 / 18080)
#   AUTH      "off" (default) | "on"  -> on: PENGUIN_API_KEYS=$API_KEY, LINK_API_KEY=$LINK_KEY
#   STUB      "own" (default) starts a stub; "none" uses STUB_PORT as already running
set -u
VENV=${VENV:-$HOME/.cache/link-penguin/venv}
RUN=${RUN:-$HOME/.cache/link-penguin/run}
PENGUIN_PORT=${PENGUIN_PORT:-18090}
STUB_PORT=${STUB_PORT:-18080}
AUTH=${AUTH:-off}
STUB=${STUB:-own}
API_KEY=${API_KEY:-ordinary-client-key}
LINK_KEY=${LINK_KEY:-link-service-key}
A2A_KEY=${A2A_KEY:-a2a-service-key}
HERE=$(cd "$(dirname "$0")" && pwd)

stop_one() { # pidfile
  [ -f "$1" ] || return 0
  local p; p=$(cat "$1"); kill "$p" 2>/dev/null
  for _ in $(seq 50); do kill -0 "$p" 2>/dev/null || break; sleep 0.1; done
  kill -9 "$p" 2>/dev/null; rm -f "$1"
}

case "${1:-start}" in
stop)   stop_one "$RUN/penguin.pid"; stop_one "$RUN/stub.pid"; exit 0 ;;
status) curl -sS -m 3 "http://127.0.0.1:$PENGUIN_PORT/api/v1/health"; echo; exit $? ;;
start)  ;;
*) echo "start|stop|status"; exit 2 ;;
esac

[ -x "$VENV/bin/penguin-web" ] || { echo "no Penguin in $VENV: run $HERE/install.sh first"; exit 1; }
mkdir -p "$RUN/home" "$RUN/workspace" "$RUN/project"
if [ "$STUB" = own ]; then
  python3 "$HERE/stub_llm.py" --port "$STUB_PORT" --log "$RUN/stub.jsonl" >"$RUN/stub.out" 2>&1 &
  echo $! >"$RUN/stub.pid"
fi
# Without any config file Penguin 0.9.3 ignores PENGUIN_DEFAULT_MODEL and falls back
# to openai/gpt-4o with a 100k "emergency" window, so give it a file.
cat >"$RUN/config.yml" <<YML
workspace: {path: $RUN/workspace}
model:
  default: stub/stub-1
  provider: openrouter
  client_preference: openrouter
  context_window: 128000
  max_output_tokens: 4096
model_configs:
  stub/stub-1: {provider: openrouter, client_preference: openrouter, context_window: 128000, max_output_tokens: 4096, streaming_enabled: true, native_tools: true}
diagnostics: {enabled: false}
YML
# A project directory that is its own git repo: Penguin looks upward for one.
[ -d "$RUN/project/.git" ] || git -C "$RUN/project" init -q

if [ "$AUTH" = on ]; then
  export PENGUIN_AUTH_ENABLED=true PENGUIN_API_KEYS="$API_KEY" PENGUIN_JWT_SECRET="jwt-secret-for-tests-0123456789abcdef"
else
  export PENGUIN_AUTH_ENABLED=false
fi
cd "$RUN/project"
# HTTPS_PROXY -> a closed loopback port: Penguin counts tokens with tiktoken, which tries to
# download its tables from the internet on EVERY count when they are not cached; without this
# each try costs a DNS time-out (measured up to 5 s) on the server's event loop.
env -u OPENAI_API_KEY -u ANTHROPIC_API_KEY \
  HOME="$RUN/home" XDG_CONFIG_HOME="$RUN/home/.config" \
  PENGUIN_WORKSPACE="$RUN/workspace" PENGUIN_PROJECT_ROOT="$RUN/project" PENGUIN_CWD="$RUN/project" PENGUIN_WRITE_ROOT=project \
  HTTPS_PROXY=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 HTTP_PROXY= http_proxy= NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost \
  PENGUIN_NO_SETUP=1 CI=true PENGUIN_CONFIG_PATH="$RUN/config.yml" \
  PENGUIN_DEFAULT_MODEL=stub/stub-1 PENGUIN_DEFAULT_PROVIDER=openrouter PENGUIN_CLIENT_PREFERENCE=openrouter \
  OPENROUTER_BASE_URL="http://127.0.0.1:$STUB_PORT/api/v1" OPENROUTER_API_KEY=sk-or-stub-key \
  PENGUIN_MAX_OUTPUT_TOKENS=4096 PENGUIN_MAX_CONTEXT_WINDOW_TOKENS=128000 \
  PENGUIN_PROVIDER_CATALOG_BACKGROUND=0 \
  LINK_API_KEY="$LINK_KEY" LINK_INFERENCE_BASE_URL="${LINK_INFERENCE_BASE_URL:-http://127.0.0.1:$STUB_PORT/link/api/v1}" \
  LINK_INFERENCE_SERVICE_TOKEN=link-inference-token \
  PENGUIN_A2A_API_KEY="$A2A_KEY" PENGUIN_A2A_BASE_URL="http://127.0.0.1:$PENGUIN_PORT" \
  HOST=127.0.0.1 PORT="$PENGUIN_PORT" \
  ${PENGUIN_EXTRA_ENV:-} \
  "$VENV/bin/penguin-web" --host 127.0.0.1 --port "$PENGUIN_PORT" >"$RUN/penguin.out" 2>&1 &
echo $! >"$RUN/penguin.pid"

t0=$(date +%s.%N)
for _ in $(seq 600); do            # 60 s bound
  if curl -sf -m 2 "http://127.0.0.1:$PENGUIN_PORT/api/v1/health" >"$RUN/health.json" 2>/dev/null; then
    printf 'penguin up on http://127.0.0.1:%s after %.1fs (pid %s)\n' "$PENGUIN_PORT" "$(echo "$(date +%s.%N) - $t0" | bc)" "$(cat "$RUN/penguin.pid")"
    exit 0
  fi
  kill -0 "$(cat "$RUN/penguin.pid")" 2>/dev/null || { echo "penguin died:"; tail -20 "$RUN/penguin.out"; exit 1; }
  sleep 0.1
done
echo "penguin not up in 60s"; tail -20 "$RUN/penguin.out"; exit 1
