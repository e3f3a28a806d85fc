"""The rules for every rendering. Each rule yields a line for each document that breaks it."""

import re

import pods

# After a TERM, a command has LEASEHOLD_WORKER__KILL_AFTER_MS to end. After KILL the worker waits this long for it:
# STOP_TIMEOUT in lib/worker/src/handler.rs.
STOP_TIMEOUT_S = 3
# To end idle waits for hints, to write the results and to give the other jobs back.
MARGIN_S = 10
# For how long cluster-autoscaler waits for a pod by default.
NODE_AUTOSCALER_WAITS_S = 600
# What keeps the node of a pod.
KEEPS_NODE = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}
# The grace of a pod that names none.
KUBERNETES_GRACE_S = 30


def stop_timeout_problems(root):
    """STOP_TIMEOUT_S is the constant of the worker."""
    source = (root / "lib/worker/src/handler.rs").read_text()
    if f"STOP_TIMEOUT: Duration = Duration::from_secs({STOP_TIMEOUT_S});" not in source:
        yield "drain: STOP_TIMEOUT in lib/worker/src/handler.rs has changed: change STOP_TIMEOUT_S, and docs/kubernetes.md"


def drain(documents):
    """terminationGracePeriodSeconds > preStop + worker.grace_ms + worker.kill_after_ms + STOP_TIMEOUT + margin."""
    for workload in pods.of_kind(documents, "Deployment"):
        if pods.component(workload) != "worker":
            continue
        container = pods.main(workload)
        variables = pods.environment(documents, container)
        missing = {"LEASEHOLD_WORKER__GRACE_MS", "LEASEHOLD_WORKER__KILL_AFTER_MS"} - variables.keys()
        if missing:
            yield f"{pods.name(workload)}: {', '.join(sorted(missing))} not set: the drain cannot be computed"
            continue
        pre_stop = container.get("lifecycle", {}).get("preStop", {})
        if pre_stop.keys() - {"sleep"}:
            yield f"{pods.name(workload)}: a preStop hook other than sleep takes an unknown time"
            continue
        needed = (
            pre_stop.get("sleep", {}).get("seconds", 0)
            + int(variables["LEASEHOLD_WORKER__GRACE_MS"]) / 1000
            + int(variables["LEASEHOLD_WORKER__KILL_AFTER_MS"]) / 1000
            + STOP_TIMEOUT_S
            + MARGIN_S
        )
        given = pods.pod(workload).get("terminationGracePeriodSeconds", KUBERNETES_GRACE_S)
        if given <= needed:
            yield f"{pods.name(workload)}: terminationGracePeriodSeconds is {given}, and a drain takes up to {needed:g} s"


def kept_nodes(documents):
    """A node autoscaler must not remove the node of a pod for which it would not wait."""
    for workload in pods.of_kind(documents, "Deployment"):
        if pods.pod(workload).get("terminationGracePeriodSeconds", KUBERNETES_GRACE_S) <= NODE_AUTOSCALER_WAITS_S:
            continue
        annotations = pods.template(workload)["metadata"].get("annotations", {})
        missing = [f"{key}: {value}" for key, value in KEEPS_NODE.items() if annotations.get(key) != value]
        yield from (f"{pods.name(workload)}: drains longer than node autoscalers wait, and lacks {one}" for one in missing)


def restricted(documents):
    """The Pod Security standard `restricted`, and a file system that cannot be written."""
    for workload in pods.workloads(documents):
        where, spec = pods.name(workload), pods.pod(workload)
        context = spec.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or context.get("runAsUser", 0) == 0:
            yield f"{where}: may run as root"
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{where}: has no seccomp profile"
        if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{where}: shares namespaces of the node"
        if any("hostPath" in volume for volume in spec.get("volumes", [])):
            yield f"{where}: mounts a folder of the node"
        for container in pods.containers(workload):
            own = container.get("securityContext", {})
            if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
                yield f"{where}, {container['name']}: may gain privileges"
            if own.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{where}, {container['name']}: keeps capabilities"
            if own.get("readOnlyRootFilesystem") is not True:
                yield f"{where}, {container['name']}: may write its file system"


def plain(documents):
    """No token of the API server that is not needed, no variables of Services, resources for each container, images with a tag."""
    for workload in pods.workloads(documents):
        where, spec = pods.name(workload), pods.pod(workload)
        if spec.get("automountServiceAccountToken") is not bool(selector_of_costs(documents, workload)):
            yield f"{where}: has a token of the API server, or lacks one"
        if spec.get("enableServiceLinks") is not False:
            yield f"{where}: gets variables of every Service"
        for container in pods.containers(workload):
            resources = container.get("resources", {})
            if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get("limits", {}):
                yield f"{where}, {container['name']}: has no requests or no limit of memory"
            image = container["image"]
            if "@sha256:" not in image and (":" not in image.rpartition("/")[2] or image.endswith(":latest")):
                yield f"{where}, {container['name']}: the image {image} has no fixed tag"


def secrets(documents):
    """URLs of stores come from secrets that exist already."""
    for document in pods.of_kind(documents, "Secret"):
        yield f"{pods.name(document)}: a manifest must not hold a secret"
    for document in pods.of_kind(documents, "ConfigMap"):
        yield from (f"{pods.name(document)}: {key} belongs into a secret" for key in pods.STORES if key in document["data"])
    for workload in pods.workloads(documents):
        for container in pods.containers(workload):
            if not container["image"].partition(":")[0].endswith("leasehold"):
                continue
            for variable in container.get("env", []):
                if variable["name"] in pods.STORES and "value" in variable:
                    yield f"{pods.name(workload)}: {variable['name']} belongs into a secret"
            if not any("secretRef" in source for source in container.get("envFrom", [])):
                yield f"{pods.name(workload)}, {container['name']}: no secret says where the stores are"


def references(documents):
    """ConfigMaps and scaled Deployments exist with the names that they have after rendering."""
    maps = {document["metadata"]["name"] for document in pods.of_kind(documents, "ConfigMap")}
    for workload in pods.workloads(documents):
        for container in pods.containers(workload):
            for source in container.get("envFrom", []):
                wanted = source.get("configMapRef", {}).get("name")
                if wanted and wanted not in maps:
                    yield f"{pods.name(workload)}: there is no ConfigMap {wanted}"


def probes(documents):
    """Probes ask the port on which the process listens."""
    for workload in pods.of_kind(documents, "Deployment"):
        where, container = pods.name(workload), pods.main(workload)
        if pods.component(workload) not in ("worker", "reaper"):
            continue
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        variable = f"LEASEHOLD_{pods.component(workload).upper()}__LISTEN"
        address = pods.environment(documents, container).get(variable, "")
        if address != f"0.0.0.0:{ports.get('metrics')}":
            yield f"{where}: {variable} is {address!r}, and the port `metrics` is {ports.get('metrics')}"
        for probe, path in ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz"):
            asked = container.get(probe, {}).get("httpGet", {})
            if (asked.get("path"), asked.get("port")) != (path, "metrics"):
                yield f"{where}: {probe} must ask {path} on the port metrics"
        if container.get("readinessProbe", {}).get("timeoutSeconds", 1) <= 2:
            yield f"{where}: readinessProbe must wait longer than the 2 s that stores have to answer"


def proxied(documents):
    """The HTTP interface runs without tokens: only a proxy in the same pod may reach it, and Services send only to
    the proxy.
    """
    for workload in pods.of_kind(documents, "Deployment"):
        if pods.component(workload) != "api":
            continue
        where, container = pods.name(workload), pods.main(workload)
        if container.get("ports") or container["args"] != ["api"]:
            yield f"{where}: the HTTP interface must listen on loopback only"
        ports = {port["name"] for one in pods.pod(workload)["containers"] for port in one.get("ports", [])}
        services = [
            one
            for one in pods.of_kind(documents, "Service")
            if pods.matches({"matchLabels": one["spec"]["selector"]}, pods.labels(workload))
        ]
        if not any(port["targetPort"] in ports for one in services for port in one["spec"]["ports"]):
            yield f"{where}: no Service sends to it"
        waits = [one.get("lifecycle", {}).get("preStop") for one in pods.pod(workload)["containers"]]
        if any(wait != {"sleep": {"seconds": 5}} for wait in waits):
            yield f"{where}: a container stops before Services send no more requests"


def spread(documents):
    """Each Deployment has separate pods and one disruption budget, and is spread over zones and nodes."""
    deployments = pods.of_kind(documents, "Deployment")
    for workload in deployments:
        where, selector = pods.name(workload), workload["spec"]["selector"]
        owners = [pods.name(other) for other in deployments if pods.matches(selector, pods.labels(other))]
        if owners != [where]:
            yield f"{where}: its selector matches the pods of {', '.join(owners)}"
        budgets = [
            budget
            for budget in pods.of_kind(documents, "PodDisruptionBudget")
            if pods.matches(budget["spec"]["selector"], pods.labels(workload))
        ]
        if len(budgets) != 1:
            yield f"{where}: {len(budgets)} budgets for disruptions; an eviction needs exactly one"
        spreads = pods.pod(workload).get("topologySpreadConstraints", [])
        keys = {one["topologyKey"] for one in spreads if pods.matches(one["labelSelector"], pods.labels(workload))}
        if keys != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
            yield f"{where}: is not spread over zones and nodes"


def network(documents):
    """Network policies deny every pod all connections that no policy allows. Every pod may use DNS and reach the
    stores.
    """
    policies = pods.of_kind(documents, "NetworkPolicy")
    for workload in pods.workloads(documents):
        of = [policy["spec"] for policy in policies if pods.matches(policy["spec"]["podSelector"], pods.labels(workload))]
        denied = any(
            set(spec["policyTypes"]) == {"Ingress", "Egress"} and not spec.get("ingress") and not spec.get("egress")
            for spec in of
        )
        if not denied:
            yield f"{pods.name(workload)}: no policy denies by default"
        ports = {port["port"] for spec in of for rule in spec.get("egress", []) for port in rule.get("ports", [])}
        yield from (f"{pods.name(workload)}: may not reach port {port}" for port in (53, 5432, 6379) if port not in ports)
        entered = any(port["port"] == "metrics" for spec in of for rule in spec.get("ingress", []) for port in rule["ports"])
        if pods.component(workload) in ("worker", "reaper") and not entered:
            yield f"{pods.name(workload)}: Prometheus may not reach it"


def selector_of_costs(documents, workload):
    """The pods whose deletion cost a reaper writes, as a label selector."""
    if workload["kind"] != "Deployment" or pods.component(workload) != "reaper":
        return None
    return pods.environment(documents, pods.main(workload)).get("LEASEHOLD_REAPER__POD_DELETION_COST")


def deletion_costs(documents):
    """A reaper that writes the costs of pods may list and patch pods, and reach the API server. No other pod has a
    role.
    """
    writers = [w for w in pods.workloads(documents) if selector_of_costs(documents, w)]
    owned = pods.of_kind(documents, "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    if not writers:
        yield from (f"{pods.name(one)}: nobody needs it" for one in owned)
        return
    if sorted(one["kind"] for one in owned) != ["Role", "RoleBinding", "ServiceAccount"]:
        yield f"an account, a role and a binding are needed, not {[pods.name(one) for one in owned]}"
        return
    (account,), (role,), (binding,) = (pods.of_kind(owned, kind) for kind in ("ServiceAccount", "Role", "RoleBinding"))
    if role["rules"] != [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "patch"]}]:
        yield f"{pods.name(role)}: may do more or less than list and patch pods"
    name, namespaces = account["metadata"]["name"], {one["metadata"].get("namespace", "leasehold") for one in owned}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": next(iter(namespaces))}
    if len(namespaces) != 1 or binding["subjects"] != [subject]:
        yield f"{pods.name(binding)}: gives the role to {binding['subjects']}"
    if (binding["roleRef"]["kind"], binding["roleRef"]["name"]) != ("Role", role["metadata"]["name"]):
        yield f"{pods.name(binding)}: gives another role"
    for workload in writers:
        where = pods.name(workload)
        if pods.pod(workload).get("serviceAccountName") != name:
            yield f"{where}: does not use the account {name}"
        selector = {"matchLabels": dict(term.split("=") for term in selector_of_costs(documents, workload).split(","))}
        for other in pods.workloads(documents):
            if pods.matches(selector, pods.labels(other)) != (pods.component(other) == "worker"):
                yield f"{where}: writes the costs of {pods.name(other)}, or not"
        ports = {
            port["port"]
            for policy in pods.of_kind(documents, "NetworkPolicy")
            if pods.matches(policy["spec"]["podSelector"], pods.labels(workload))
            for rule in policy["spec"].get("egress", [])
            for port in rule.get("ports", [])
        }
        yield from (f"{where}: may not reach port {port} of the API server" for port in (443, 6443) if port not in ports)


def migration(documents):
    """A finished Kubernetes Job cannot be changed, so each release has a separate migration."""
    jobs = pods.of_kind(documents, "Job")
    if len(jobs) != 1:
        yield f"{len(jobs)} migrations"
    for job in jobs:
        tag = pods.main(job)["image"].rpartition(":")[2].replace("_", "-").lower()
        # The chart also has the number of the upgrade in the name.
        if not re.sub(r"-r\d+$", "", job["metadata"]["name"]).endswith(f"-migrate-{tag}"):
            yield f"{pods.name(job)}: is not named by the release {tag}"
        if any("configMapRef" in source for source in pods.main(job).get("envFrom", [])):
            yield f"{pods.name(job)}: changes with every setting, which a finished job cannot"
    for workload in pods.of_kind(documents, "Deployment"):
        names = [container["name"] for container in pods.pod(workload).get("initContainers", [])]
        if "wait-for-schema" not in names:
            yield f"{pods.name(workload)}: does not wait for the migration"


def scaling(documents):
    """Only one object sets the number of workers, and the target is nine tenths of the slots of one worker."""
    deployments = {document["metadata"]["name"]: document for document in pods.of_kind(documents, "Deployment")}
    scaled = []
    for scaler in pods.of_kind(documents, "HorizontalPodAutoscaler", "ScaledObject"):
        spec, where = scaler["spec"], pods.name(scaler)
        workload = deployments.get(spec["scaleTargetRef"]["name"])
        if workload is None:
            yield f"{where}: there is no Deployment {spec['scaleTargetRef']['name']}"
            continue
        scaled.append(workload["metadata"]["name"])
        slots = pods.slots(workload)
        if scaler["kind"] == "ScaledObject":
            for trigger in spec["triggers"]:
                metadata = trigger["metadata"]
                if trigger["type"] == "external-push":
                    # The scaler takes nine tenths of the slots by itself.
                    queues, target = metadata["queue"].split(","), 0.9 * float(metadata["slotsPerReplica"])
                    yield from (f"{where}: {line}" for line in unreachable(documents, metadata["scalerAddress"]))
                else:
                    queues = [queue for queue in slots if f'queue="{queue}"' in metadata["query"]]
                    target = float(metadata["threshold"])
                    if spec["minReplicaCount"] == 0:
                        yield f"{where}: Prometheus tells of the first job too late for an empty pool"
                yield from (f"{where}: {line}" for line in off_target(slots, queues, target))
        else:
            for metric in spec["metrics"]:
                queue = metric["external"]["metric"]["selector"]["matchLabels"]["queue"]
                target = int(metric["external"]["target"]["averageValue"].removesuffix("m")) / 1000
                yield from (f"{where}: {line}" for line in off_target(slots, [queue], target))
    for name, workload in deployments.items():
        owned_outside = workload["metadata"].get("annotations", {}).get("leasehold.dev/autoscaling") == "external"
        owners = scaled.count(name) + ("replicas" in workload["spec"]) + owned_outside
        if owners != 1:
            yield f"{pods.name(workload)}: its number of pods has {owners} owners"


def unreachable(documents, address):
    """The Service of the scaler has this name and this port, and sends to a container that listens on this port."""
    host, _, port = address.rpartition(":")
    name, namespace = host.split(".")[:2]
    for service in pods.of_kind(documents, "Service"):
        meta = service["metadata"]
        if (meta["name"], meta.get("namespace", namespace)) != (name, namespace):
            continue
        if not any(str(one["port"]) == port for one in service["spec"]["ports"]):
            yield f"the Service {name} has no port {port}"
        for workload in pods.of_kind(documents, "Deployment"):
            if pods.matches({"matchLabels": service["spec"]["selector"]}, pods.labels(workload)):
                ports = {one["name"]: one["containerPort"] for one in pods.main(workload).get("ports", [])}
                listens = pods.environment(documents, pods.main(workload)).get("LEASEHOLD_API__KEDA_LISTEN")
                targets = [one["targetPort"] for one in service["spec"]["ports"]]
                if any(listens != f"0.0.0.0:{ports.get(target)}" for target in targets):
                    yield f"{pods.name(workload)}: listens on {listens}, and the Service sends to {targets}"
                return
        yield f"the Service {name} sends to no pod"
        return
    yield f"there is no Service {host}"


def off_target(slots, queues, target):
    if len(queues) != 1 or queues[0] not in slots:
        yield f"scales on the queues {queues}, and the pool serves {list(slots)}"
    elif abs(target - 0.9 * slots[queues[0]]) > 0.001:
        yield f"the target {target:g} is not nine tenths of {slots[queues[0]]} slots"


RULES = [
    drain, kept_nodes, restricted, plain, secrets, references, probes, proxied, spread, network, deletion_costs, migration, scaling,
]


def problems(documents):
    for rule in RULES:
        yield from (f"{rule.__name__}: {line}" for line in rule(documents))
