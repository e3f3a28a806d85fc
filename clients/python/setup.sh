#!/bin/sh
# Makes a virtual environment for the tests, builds the wheel of this package, and installs the wheel. Prints the path of the Python of
# the environment. The environment is made again when `requirements-test.txt` changes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${LEASEHOLD_PYTHON_VENV:-${CARGO_TARGET_DIR:-$here/../../target}/python-client-venv}
python=$venv/bin/python
if ! cmp -s "$here/requirements-test.txt" "$venv/requirements-test.txt"; then
    command -v python3 >/dev/null || { echo 'clients/python: python3 is not installed' >&2; exit 1; }
    rm -rf "$venv"
    mkdir -p "$(dirname "$venv")"
    python3 -m venv "$venv" || { echo 'clients/python: python3 cannot make a virtual environment (Debian: apt-get install python3-venv)' >&2; exit 1; }
    "$python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements-test.txt" >&2 ||
        { echo 'clients/python: the packages for the tests cannot be installed from PyPI' >&2; exit 1; }
    cp "$here/requirements-test.txt" "$venv/requirements-test.txt"
fi
# A wheel of the sources of now. Hatchling is installed already, so nothing is downloaded.
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir "$wheels" "$here" >&2
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall "$wheels"/*.whl >&2
echo "$python"
