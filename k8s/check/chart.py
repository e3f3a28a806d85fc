"""Checks which values the chart refuses, and what its notes say."""

import json
import re

import render

GOOD = ["--set", "stores.existingSecret=s", "--set", "workerPools.a.queues.a=8", "--set", "workerPools.a.exec.a=cat"]

# Values that are added to good ones, and a word of the answer.
REFUSED = [
    (["--set", "stores.existingSecret="], "set stores.existingSecret"),
    (["--set", "replicaCount=3"], "the value replicaCount is now workerPools.NAME.replicas"),
    (["--set", "workers.a.queues.a=1"], "the value workers is now workerPools"),
    (["--set", "redis.url=redis://cache"], "the value redis is now stores.existingSecret"),
    (["--set", "workerPools.a.slots=8"], "the value workerPools.a.slots is now queues"),
    (["--set", "workerPools.a.terminationGracePeriodSeconds=60"], "is now graceSeconds"),
    (["--set", "workerPools.a.queus.a=8"], "additional properties 'queus' not allowed"),
    (["--set", "reaper.replica=3"], "additional properties 'replica' not allowed"),
    (["--set", "workerPools.a.autoscaling=keda", "--set", "workerPools.a.replicas=3"], "replicas"),
    (["--set", "workerPools.a.minReplicas=3"], "minReplicas"),
    (["--set", "workerPools.a.autoscaling=keda", "--set", "workerPools.a.minReplicas=0"], "needs autoscaling: keda and keda.scaler.enabled"),
    (["--set", "workerPools.a.autoscaling=hpa", "--set", "workerPools.a.minReplicas=0", "--set", "keda.scaler.enabled=true"], "tells of the first job"),
    (["--set", "workerPools.a.autoscaling=vpa"], "'none', 'hpa', 'keda', 'external'"),
    (["--set", "workerPools.b.exec.b=cat"], "set workerPools.b.queues"),
    (["--set", "workerPools.b.queues.b=1"], "workerPools.b would never take a job"),
    (["--set", "workerPools.a.command={/app/x}"], "workerPools.a has a program of its own"),
    (["--set", "workerPools.a.queues.a=many"], "want integer"),
    (["--set", "workerPools.A.queues.a=8"], "additional properties 'A' not allowed"),
    (["--set-string", "settings.LEASEHOLD_DATABASE_URL=postgres://db"], "LEASEHOLD_DATABASE_URL"),
    (["--set-string", "settings.worker=1"], "does not match pattern"),
    (["--set", "image.tag=latest"], "image/tag"),
]


def refusals():
    render.helm(*GOOD)
    for values, wanted in REFUSED:
        try:
            render.helm(*GOOD, *values)
        except render.Refused as refused:
            if wanted not in str(refused):
                yield f"chart: {' '.join(values)}: the answer does not have {wanted!r}: {refused}"
        else:
            yield f"chart: {' '.join(values)} is accepted"


def notes():
    """The notes name objects that exist."""
    text = render.output(
        render.PROGRAMS / "helm", "install", "fleet", render.CHART, "--namespace", "leasehold", "--dry-run=client", *GOOD
    )
    told = text.partition("NOTES:")[2]
    names = {document["metadata"]["name"] for document in render.documents(render.helm(*GOOD))}
    for named in re.findall(r"deploy/(\S+)", told):
        if named not in names:
            yield f"chart: the notes name {named}, which does not exist"
    for word in ("doctor", "stats", "wait-for-schema"):
        if word not in told:
            yield f"chart: the notes do not name {word}: {told}"


def documented():
    """The comment in values.yaml lists every value of a pool that the schema has."""
    schema = json.loads((render.CHART / "values.schema.json").read_text())
    (pool,) = schema["properties"]["workerPools"]["patternProperties"].values()
    known = {name for name, value in pool["properties"].items() if not value.get("deprecated")}
    told = set(re.findall(r"^# {7}(\w+):", (render.CHART / "values.yaml").read_text(), re.MULTILINE))
    if known != told:
        yield f"chart: values.yaml and the schema differ in the values of a pool: {sorted(known ^ told)}"


def proxy():
    """A chart cannot read files outside of itself, so it has a copy."""
    kustomize, copy = (folder / "api.conf.template" for folder in (render.ROOT / "k8s/components/api", render.CHART / "files"))
    if kustomize.read_text() != copy.read_text():
        yield f"chart: {copy} is not a copy of {kustomize}"


def problems():
    yield from proxy()
    yield from refusals()
    yield from notes()
    yield from documented()
    try:
        render.output(render.PROGRAMS / "helm", "lint", "--strict", render.CHART, "--quiet", *GOOD)
    except render.Refused as refused:
        yield f"chart: {refused}"
