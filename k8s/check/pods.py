"""Reads the values that the rules need from rendered documents."""

import re

STORES = "LEASEHOLD_DATABASE_URL", "LEASEHOLD_REDIS_URL"


def of_kind(documents, *kinds):
    return [document for document in documents if document["kind"] in kinds]


def name(document):
    return f"{document['kind']} {document['metadata']['name']}"


def workloads(documents):
    return of_kind(documents, "Deployment", "Job")


def template(workload):
    return workload["spec"]["template"]


def pod(workload):
    return template(workload)["spec"]


def labels(workload):
    return template(workload)["metadata"]["labels"]


def containers(workload):
    return pod(workload).get("initContainers", []) + pod(workload)["containers"]


def main(workload):
    return pod(workload)["containers"][0]


def component(workload):
    """The role of the first container: worker, reaper or migrate."""
    return labels(workload)["app.kubernetes.io/component"]


def matches(selector, of):
    if any(of.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "In" for expression in expressions), "only In is known here"
    return all(of.get(expression["key"]) in expression["values"] for expression in expressions)


def environment(documents, container):
    """The variables that Kubernetes sets for a container: first from ConfigMaps, then its own. Without secrets."""
    maps = {document["metadata"]["name"]: document["data"] for document in of_kind(documents, "ConfigMap")}
    found = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found |= maps[source["configMapRef"]["name"]]
    return found | {variable["name"]: variable["value"] for variable in container.get("env", []) if "value" in variable}


def slots(workload):
    """The slots of each queue of a pool, from `--queue NAME=SLOTS`."""
    args = main(workload)["args"]
    named = [args[at + 1] for at, word in enumerate(args) if word == "--queue"]
    return {queue: int(count) for queue, count in (re.fullmatch(r"([^=]+)=(\d+)", one).groups() for one in named)}
