#!/usr/bin/env bash
# Makes the virtual environment with the pinned schemathesis of requirements.txt; does nothing if it is there. About
# 10 s and 90 MB.
#   VENV     where (default ~/.cache/link-schemathesis/venv)
#   PYTHON   which Python, 3.10 or newer (default python3)
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
VENV=${VENV:-$HOME/.cache/link-schemathesis/venv}

if cmp -s "$HERE/requirements.txt" "$VENV/requirements.txt"; then
  echo "schemathesis is in $VENV"
  exit 0
fi
[ -x "$VENV/bin/python" ] || "${PYTHON:-python3}" -m venv "$VENV"
"$VENV/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$HERE/requirements.txt"
"$VENV/bin/pip" check --disable-pip-version-check
cp "$HERE/requirements.txt" "$VENV/requirements.txt"
echo "installed schemathesis into $VENV"
