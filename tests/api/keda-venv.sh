#!/bin/sh
# Makes the virtual environment for keda.py in the folder $1, once. The code of the messages comes from the protocol's own file.
set -eu
environment=$1
here=$(dirname "$0")
[ -x "$environment/bin/ready" ] && exit 0
python3 -m venv "$environment"
"$environment/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1 grpcio-tools==1.85.1
"$environment/bin/python" -m grpc_tools.protoc -I "$here/../../lib/api/proto" \
    --python_out="$environment" --grpc_python_out="$environment" externalscaler.proto
ln -s python "$environment/bin/ready"
