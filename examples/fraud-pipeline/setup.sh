#!/bin/sh
# Makes a virtual environment with pyarrow, for the example and its test. Prints the path of its Python. Does nothing if the
# environment is there already.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${FRAUD_PIPELINE_VENV:-${CARGO_TARGET_DIR:-$here/../../target}/fraud-pipeline-venv}
if ! "$venv/bin/python" -c 'import pyarrow' 2>/dev/null; then
    command -v python3 >/dev/null || { echo 'fraud-pipeline: python3 is not installed' >&2; exit 1; }
    mkdir -p "$(dirname "$venv")"
    python3 -m venv "$venv" || { echo 'fraud-pipeline: python3 cannot make a virtual environment (Debian: apt-get install python3-venv)' >&2; exit 1; }
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" >&2 ||
        { echo 'fraud-pipeline: pyarrow cannot be installed from PyPI' >&2; exit 1; }
fi
echo "$venv/bin/python"
