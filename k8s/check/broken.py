"""Tests the rules: for each rule it breaks a rendering in one way, which the rule must notice."""

import copy

import pods
import rules
import schemas


def worker(documents):
    """The first worker; `None` for a rendering without workers."""
    workers = [one for one in pods.of_kind(documents, "Deployment") if pods.component(one) == "worker"]
    return workers[0] if workers else None


def edit(find):
    """A break that changes the first worker."""
    return lambda documents: find(worker(documents)) if worker(documents) else None


def edit_api(find):
    """A break that changes the HTTP interface, if the rendering has one."""
    return lambda documents: [find(a) for a in pods.of_kind(documents, "Deployment") if pods.component(a) == "api"]


def edit_kind(kind, find):
    """A break that changes the first object of a kind, if the rendering has one."""
    return lambda documents: [find(one) for one in pods.of_kind(documents, kind)[:1]]


def edit_reaper(find):
    """A break that changes the reaper."""
    return lambda documents: [find(r) for r in pods.of_kind(documents, "Deployment") if pods.component(r) == "reaper"]


def remove(kind, ending=""):
    def break_it(documents):
        documents[:] = [d for d in documents if d["kind"] != kind or not d["metadata"]["name"].endswith(ending)]

    return break_it


def settings(**changes):
    def break_it(documents):
        pods.of_kind(documents, "ConfigMap")[0]["data"].update(changes)

    return break_it


def add_env(**variable):
    return edit(lambda w: pods.main(w).setdefault("env", []).append(variable))


def wait(seconds):
    return edit(lambda w: pods.main(w).update(lifecycle={"preStop": {"sleep": {"seconds": seconds}}}))


# Rule, name of the break, break.
BREAKS = [
    (rules.drain, "no grace for the pod", edit(lambda w: pods.pod(w).pop("terminationGracePeriodSeconds"))),
    (rules.drain, "a grace as long as the drain", edit(lambda w: pods.pod(w).update(terminationGracePeriodSeconds=41))),
    (rules.drain, "a longer grace in the settings", settings(LEASEHOLD_WORKER__GRACE_MS="30000")),
    (rules.drain, "a longer time to kill", add_env(name="LEASEHOLD_WORKER__KILL_AFTER_MS", value="8000")),
    (rules.drain, "a preStop hook", wait(5)),
    (rules.kept_nodes, "hours of grace on any node", edit(lambda w: pods.pod(w).update(terminationGracePeriodSeconds=7500))),
    (rules.restricted, "root", edit(lambda w: pods.pod(w)["securityContext"].update(runAsUser=0))),
    (rules.restricted, "capabilities", edit(lambda w: pods.main(w)["securityContext"].pop("capabilities"))),
    (rules.restricted, "a writable init container",
     edit(lambda w: pods.containers(w)[0]["securityContext"].update(readOnlyRootFilesystem=False))),
    (rules.plain, "variables of Services", edit(lambda w: pods.pod(w).pop("enableServiceLinks"))),
    (rules.plain, "no limit of memory", edit(lambda w: pods.main(w)["resources"].pop("limits"))),
    (rules.plain, "the tag latest", edit(lambda w: pods.main(w).update(image="registry:5000/leasehold:latest"))),
    (rules.plain, "no tag", edit(lambda w: pods.main(w).update(image="registry:5000/leasehold"))),
    (rules.secrets, "a URL in the settings", settings(LEASEHOLD_REDIS_URL="redis://cache")),
    (rules.secrets, "a URL in a variable", add_env(name="LEASEHOLD_DATABASE_URL", value="postgres://db/jobs")),
    (rules.references, "a ConfigMap of another name",
     edit(lambda w: pods.main(w)["envFrom"][0].update(configMapRef={"name": "settings"}))),
    (rules.probes, "another port", settings(LEASEHOLD_WORKER__LISTEN="0.0.0.0:9465")),
    (rules.probes, "loopback", settings(LEASEHOLD_WORKER__LISTEN="127.0.0.1:9464")),
    (rules.probes, "liveness asks the stores",
     edit(lambda w: pods.main(w)["livenessProbe"]["httpGet"].update(path="/readyz"))),
    (rules.proxied, "open to everybody", edit_api(lambda a: pods.main(a).update(args=["api", "--listen", "0.0.0.0:8080"]))),
    (rules.proxied, "no Service", remove("Service", "-api")),
    (rules.proxied, "a stop during requests", edit_api(lambda a: pods.main(a).pop("lifecycle"))),
    (rules.spread, "no budget", remove("PodDisruptionBudget")),
    (rules.spread, "a selector for all workers",
     lambda documents: [w["spec"]["selector"]["matchLabels"].pop("leasehold.dev/pool")
                        for w in pods.of_kind(documents, "Deployment") if pods.component(w) == "worker"]),
    (rules.spread, "no spread", edit(lambda w: pods.pod(w).pop("topologySpreadConstraints"))),
    (rules.network, "nothing denied", remove("NetworkPolicy", "default-deny")),
    (rules.network, "no way to the stores", remove("NetworkPolicy", "stores")),
    (rules.network, "no way to the metrics", remove("NetworkPolicy", "metrics")),
    (rules.plain, "a token for workers", edit(lambda w: pods.pod(w).update(automountServiceAccountToken=True))),
    (rules.plain, "no token for the reaper", edit_reaper(lambda r: pods.pod(r).update(automountServiceAccountToken=False))),
    (rules.deletion_costs, "more rights", edit_kind("Role", lambda role: role["rules"][0]["verbs"].append("delete"))),
    (rules.deletion_costs, "a role for somebody else",
     edit_kind("RoleBinding", lambda binding: binding["subjects"][0].update(namespace="default"))),
    (rules.deletion_costs, "another role", edit_kind("RoleBinding", lambda binding: binding["roleRef"].update(name="edit"))),
    (rules.deletion_costs, "another account", edit_reaper(lambda r: pods.pod(r).pop("serviceAccountName", None))),
    (rules.deletion_costs, "costs of all pods",
     edit_reaper(lambda r: pods.main(r).get("env", [{}])[0].update(value="app.kubernetes.io/name=leasehold"))),
    (rules.deletion_costs, "no way to the API server", remove("NetworkPolicy", "-api-server")),
    (rules.deletion_costs, "a role that nobody needs", edit_reaper(lambda r: pods.main(r).pop("env", None))),
    (rules.migration, "one name for every release",
     lambda documents: pods.of_kind(documents, "Job")[0]["metadata"].update(name="leasehold-migrate")),
    (rules.migration, "nobody waits", edit(lambda w: pods.pod(w).pop("initContainers"))),
    (rules.scaling, "two owners", edit(lambda w: w["spec"].update(replicas=3))),
    (rules.scaling, "no Service for the scaler", remove("Service", "-scaler")),
    (rules.scaling, "a scaler on loopback",
     lambda documents: [pods.main(one)["env"][0].update(value="127.0.0.1:9465")
                        for one in pods.of_kind(documents, "Deployment") if pods.component(one) == "scaler"]),
    (rules.scaling, "an empty pool by Prometheus",
     lambda documents: [one["spec"].update(minReplicaCount=0) for one in pods.of_kind(documents, "ScaledObject")]),
    (rules.scaling, "more slots, the same target",
     edit(lambda w: pods.main(w).update(args=["worker", "--queue", "default=32", "--exec", "echo=cat"]))),
]


def unnoticed(renderings):
    """Yields a line for each break that no rule notices in any rendering. The first rendering has two pools, each
    with an autoscaler.
    """

    def noticed(rule, break_it):
        for documents in renderings:
            broken = copy.deepcopy(documents)
            break_it(broken)
            if broken != documents and list(rule(broken)):
                return True
        return False

    for rule, what, break_it in BREAKS:
        if not noticed(rule, break_it):
            yield f"the rule {rule.__name__} does not notice: {what}"
    for kind in ("Deployment", "ScaledObject", "ServiceMonitor", "PrometheusRule"):
        found = [one for documents in renderings for one in pods.of_kind(copy.deepcopy(documents), kind)]
        if not found:
            yield f"no rendering has a {kind}"
        for document in found[:2]:
            document["spec"]["replicaz"] = 1
            if not list(schemas.problems(document)):
                yield f"the schema of {kind} accepts an unknown field"
