#!/usr/bin/env bash
# Makes the virtual environment with the real Penguin that the recordings and the real test use; does nothing if it
# is there. About 70 s and 600 MB.
#   VENV     where (default ~/.cache/link-penguin/venv)
#   PYTHON   which Python, 3.10 to 3.12 (default python3)
set -eu
VENV=${VENV:-$HOME/.cache/link-penguin/venv}
VERSION=0.9.3

if "$VENV/bin/python" -c "import importlib.metadata as m; assert m.version('penguin-ai') == '$VERSION'" 2>/dev/null; then
  echo "penguin-ai $VERSION is in $VENV"
  exit 0
fi
[ -x "$VENV/bin/python" ] || "${PYTHON:-python3}" -m venv "$VENV"
"$VENV/bin/pip" install --quiet --disable-pip-version-check "penguin-ai[web]==$VERSION"
echo "installed penguin-ai $VERSION into $VENV"
