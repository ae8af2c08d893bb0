#!/usr/bin/env bash
# Makes a virtual environment with the Python package as it is now.
#   VENV     where (default ~/.cache/link-python-client)
#   PYTHON   which Python, 3.9 or newer (default python3)
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
VENV=${VENV:-$HOME/.cache/link-python-client}
[ -x "$VENV/bin/pip" ] || "${PYTHON:-python3}" -m venv "$VENV"
SOURCE=$(mktemp -d)
trap 'rm -rf "$SOURCE"' EXIT
# Building leaves files behind: not in the checkout.
cp -R "$HERE/../../clients/python/." "$SOURCE"
"$VENV/bin/pip" install --quiet --disable-pip-version-check --force-reinstall --no-deps "$SOURCE"
"$VENV/bin/python" -c "import websockets" 2>/dev/null ||
  "$VENV/bin/pip" install --quiet --disable-pip-version-check "websockets>=13,<17"
"$VENV/bin/python" -c "import link_agent; print('link_agent', link_agent.__version__)"
