"""Validates documents against the schemas of Kubernetes, and custom resources against our own small, strict
schemas.
"""

import json
import pathlib

import jsonschema
import kubernetes_validate

# The oldest version that the manifests support, and the newest version with schemas.
VERSIONS = ["1.31.0", "1.37.0"]
# The published schemas of these custom resources accept unknown fields, so a misspelt field would go unnoticed.
OWN = {
    json.loads(path.read_text())["title"]: json.loads(path.read_text())
    for path in (pathlib.Path(__file__).parent / "schemas").glob("*.json")
}


def problems(document):
    kind = f"{document.get('apiVersion')}/{document.get('kind')}"
    if kind in OWN:
        for error in jsonschema.Draft202012Validator(OWN[kind]).iter_errors(document):
            yield f"{kind}: {error.json_path}: {error.message}"
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = ".".join(str(part) for part in error.path)
            yield f"{kind} in Kubernetes {version}: {where}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError:
            yield f"{kind}: there is no schema for Kubernetes {version}"
