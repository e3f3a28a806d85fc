"""Runs the containers of the renderings as processes: the same variables and arguments, on servers of `leasehold dev`.

So the program itself checks every command, setting, path and metric that the manifests name. This cannot check the
image, the network, and what the cluster does with the pods.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import tomllib
import urllib.error
import urllib.request

import image
import pods
import rules
from render import CHART, ROOT

PATIENCE_S = 60
METRIC = re.compile(r"\bleasehold_[a-z_]+[a-z]\b")
# Names in the same form that are no metrics of the program.
NO_METRIC = {
    "leasehold_owner", "leasehold_worker", "leasehold_api", "leasehold_app", "leasehold_reader",  # roles of the database
}


def eventually(what, ask):
    """Repeats a question until the answer is true. Fails with the last answer."""
    end, last = time.monotonic() + PATIENCE_S, None
    while time.monotonic() < end:
        last = ask()
        if last:
            return last
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {PATIENCE_S} s; last: {last!r}")


def stop(process, within):
    """Stops a process as Kubernetes does. Returns its exit code, or None if it had to be killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(within)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def fetch(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return None, str(error)


def connects(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError:
        return False
    return True


def arguments(container):
    """The arguments of a container. Programs in /app belong to images of users, so `cat` takes their place."""
    return [re.sub(r"=/app/.*", "=cat", word) for word in container["args"]]


class Lab:
    """Servers, and an empty database for each rendering."""

    def __init__(self, program, folder):
        self.program, self.folder = str(pathlib.Path(program).resolve()), pathlib.Path(folder)
        self.clean = {key: value for key, value in os.environ.items() if not key.startswith("LEASEHOLD")}
        self.ports, self.ports_lock = set(), threading.Lock()
        self.servers_ended = False
        # Scripts of manifests call `leasehold`.
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "leasehold").symlink_to(self.program)
        self.clean["PATH"] = f"{programs}:{self.clean['PATH']}"

    @contextlib.contextmanager
    def servers(self):
        data = self.folder / "data"
        with open(self.folder / "dev.log", "w") as log:
            dev = subprocess.Popen(
                [self.program, "dev", "--workers", "1", "--data-dir", data],
                cwd=self.folder, env=self.clean, stdout=log, stderr=subprocess.STDOUT,
            )
        try:
            settings = data / "leasehold.toml"
            eventually("leasehold dev", lambda: settings.exists() or dev.poll() is not None)
            assert dev.poll() is None, (self.folder / "dev.log").read_text()
            read = tomllib.loads(settings.read_text())
            self.postgres, self.redis = read["database"]["url"].rpartition("/")[0], read["redis"]["url"]
            for role in "owner", "app", "worker", "reader":
                self.sql(f"CREATE ROLE leasehold_{role}")
            yield
        finally:
            self.servers_ended = dev.poll() is not None
            stop(dev, PATIENCE_S)

    def stores(self, database):
        """An empty database, and Redis with a separate key prefix."""
        self.sql(f'CREATE DATABASE "{database}"')
        return {
            "LEASEHOLD_DATABASE_URL": f"{self.postgres}/{database}",
            "LEASEHOLD_REDIS_URL": self.redis,
            "LEASEHOLD_REDIS__KEY_PREFIX": database,
        }

    def roles(self, stores):
        """Two roles as docs/kubernetes.md makes them: the stores for a migration, and for all others."""
        database = stores["LEASEHOLD_REDIS__KEY_PREFIX"]
        address = self.postgres.rpartition("@")[2]
        self.sql(f'GRANT CREATE ON DATABASE "{database}" TO leasehold_owner')
        made = []
        for role in "owner", "worker":
            self.sql(f"""CREATE ROLE "{database}-{role}" LOGIN PASSWORD 'secret' IN ROLE leasehold_{role}""")
            made.append(stores | {"LEASEHOLD_DATABASE_URL": f"postgres://{database}-{role}:secret@{address}/{database}"})
        return made

    def sql(self, statement):
        self.sql_in("leasehold", statement)

    def sql_in(self, database, statement):
        """Runs a statement in a database, and returns what psql prints."""
        found = shutil.which("psql") or next(pathlib.Path("/usr/lib/postgresql").glob("*/bin/psql"))
        return self.execute([str(found), f"{self.postgres}/{database}", "-qAtc", statement])

    def free_port(self):
        """A free port that this process has not used before."""
        with self.ports_lock:
            while True:
                with socket.socket() as listener:
                    listener.bind(("127.0.0.1", 0))
                    port = listener.getsockname()[1]
                if port not in self.ports:
                    self.ports.add(port)
                    return port

    def start(self, command, variables, log):
        with open(self.folder / log, "w") as sink:
            return subprocess.Popen(
                command, env=self.clean | variables, cwd=self.folder, stdout=sink, stderr=subprocess.STDOUT
            )

    def run(self, *command, **variables):
        return self.execute([self.program, *command], **variables)

    def is_healthy(self, log, variables):
        """What the health check of the image says about the process of this log."""
        check = ["bash", str(ROOT / "deploy" / "healthy.sh")]
        return subprocess.run(check, env=self.clean | variables, capture_output=True, check=False).returncode == 0

    def execute(self, command, **variables):
        done = subprocess.run(
            command, env=self.clean | variables, cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout


def secrets(workload):
    return [source["secretRef"] for source in pods.main(workload)["envFrom"] if "secretRef" in source]


def settings_of(lab, name, documents):
    """Yields a line for each variable that is no setting, and for values that the program refuses."""
    known = {setting["variable"] for setting in json.loads(lab.run("config", "--json"))}
    for workload in pods.workloads(documents):
        for container in pods.containers(workload):
            variables = pods.environment(documents, container)
            own = {key: value for key, value in variables.items() if key.startswith("LEASEHOLD")}
            yield from (f"{name}: {key} is no setting" for key in own.keys() - known)
            try:
                lab.run("config", **own)
            except AssertionError as refused:
                yield f"{name}, {pods.name(workload)}: {refused}"


def fleet_of(lab, name, documents, metrics):
    """Runs one rendering: all processes wait for the schema; then the migration runs; then each Deployment becomes
    ready, and stops.
    """
    (job,) = pods.of_kind(documents, "Job")
    migrating = stores = lab.stores(name)
    if secrets(job) != secrets(next(iter(pods.of_kind(documents, "Deployment")))):
        migrating, stores = lab.roles(stores)
    # Programs with handlers belong to users.
    deployments = [one for one in pods.of_kind(documents, "Deployment") if "command" not in pods.main(one)]
    variables = {pods.name(one): pods.environment(documents, pods.main(one)) | stores for one in deployments}
    waiting = {}
    for workload in deployments:
        init = next(one for one in pods.pod(workload)["initContainers"] if one["name"] == "wait-for-schema")
        log = f"{name}-{workload['metadata']['name']}-wait.log"
        waiting[log] = lab.start(init["command"] + init.get("args", []), variables[pods.name(workload)], log)
    processes, listens = [], {}
    try:
        # No process ends before the migration, and each process logs once what it waits for.
        for log in waiting:
            eventually(log, lambda log=log: (lab.folder / log).read_text())
        assert all(process.poll() is None for process in waiting.values()), f"{name}: somebody did not wait for the schema"
        container = pods.main(job)
        migrate = container.get("command", [lab.program]) + container["args"]
        lab.execute(migrate, **pods.environment(documents, container), **migrating)
        for log, process in waiting.items():
            eventually(f"{log} after the migration", lambda: process.poll() is not None)
            told = (lab.folder / log).read_text()
            assert process.returncode == 0, f"{log}: {told}"
            assert told == "waiting until the migration of this release is done\n", f"{log}: {told}"
        for workload in deployments:
            container, own, port = pods.main(workload), variables[pods.name(workload)], lab.free_port()
            own[f"LEASEHOLD_{container['args'][0].upper()}__LISTEN"] = f"127.0.0.1:{port}"
            if "LEASEHOLD_API__KEDA_LISTEN" in own:
                own["LEASEHOLD_API__KEDA_LISTEN"] = f"127.0.0.1:{lab.free_port()}"
            listens[pods.name(workload)] = own.get("LEASEHOLD_API__KEDA_LISTEN")
            log = f"{name}-{workload['metadata']['name']}.log"
            processes.append((workload, port, log, lab.start([lab.program, *arguments(container)], own, log)))
        lab.run("enqueue", "--kind", "nobody", "--queue", "default", **stores)
        for workload, port, log, process in processes:
            for probe in "readinessProbe", "livenessProbe":
                asked = pods.main(workload)[probe]
                if "tcpSocket" in asked:
                    answers = lambda: connects(listens[pods.name(workload)])
                else:
                    answers = lambda: fetch(port, asked["httpGet"]["path"])[0] == 200
                eventually(f"{name}: {probe} of {log}", lambda: process.poll() is not None or answers())
                assert process.poll() is None, (lab.folder / log).read_text()
            status, text = fetch(port, "/metrics")
            assert status == 200, f"{log}: /metrics answers {status}"
            metrics |= set(METRIC.findall(text))
    finally:
        for process in waiting.values():
            stop(process, 1)
        for _, _, _, process in processes:
            process.send_signal(signal.SIGTERM)
        ends = [(w, log, stop(process, pods.pod(w).get("terminationGracePeriodSeconds", 30))) for w, _, log, process in processes]
    for workload, log, code in ends:
        if code != 0:
            yield f"{name}, {pods.name(workload)}: ended with {code} after TERM: {(lab.folder / log).read_text()[-500:]}"


def compose_of(lab):
    """Runs the commands of deploy/compose.yaml, with the variables of .env.example and the URLs of the servers here."""
    services, stores = image.services(image.example()), lab.stores("compose")
    settings = {setting["variable"] for setting in json.loads(lab.run("config", "--json"))}
    for name, service in image.of_leasehold(services).items():
        yield from (f"compose: {name}: {key} is no setting" for key in service["environment"].keys() - settings)
        lab.run("config", **service["environment"])
    lab.run(*services["migrate"]["command"], **services["migrate"]["environment"] | stores)
    running = []
    try:
        for name in "api", "reaper", "worker":
            own, variable = services[name]["environment"] | stores, f"LEASEHOLD_{name.upper()}__LISTEN"
            own[variable] = f"127.0.0.1:{lab.free_port()}"
            log = f"compose-{name}.log"
            process = lab.start([lab.program, *services[name]["command"]], own, log)
            running.append((name, process))
            asked = lambda log=log, own=own: lab.is_healthy(log, own)
            eventually(f"compose: the health check of {name}", lambda: process.poll() is not None or asked())
            assert process.poll() is None, (lab.folder / f"compose-{name}.log").read_text()
        job = lab.run("enqueue", "--kind", "echo", "--payload", '{"a": 1}', **stores).strip()
        lab.run("job", "wait", job, "--timeout", "30s", **stores)
        process = running[-1][1]
        if (code := stop(process, 45)) != 0:
            yield f"compose: the worker ended with {code} after TERM"
        if asked():
            yield "compose: the health check finds a dead worker healthy"
    finally:
        for _, process in running:
            stop(process, 45)
    # Redis listens on no port here: this asks whether it takes its arguments, with the password.
    socket_path = lab.folder / "redis.sock"
    redis = lab.start([*services["redis"]["command"], "--port", "0", "--unixsocket", str(socket_path)], {}, "compose-redis.log")
    try:
        ask = ["redis-cli", "-s", str(socket_path), *services["redis"]["healthcheck"]["test"][2:]]
        auth = lab.clean | services["redis"]["environment"]
        pong = lambda: subprocess.run(ask, env=auth, capture_output=True, text=True, check=False).stdout == "PONG\n"
        eventually("compose: redis", lambda: redis.poll() is not None or pong())
        assert redis.poll() is None, (lab.folder / "compose-redis.log").read_text()
    finally:
        stop(redis, PATIENCE_S)


def drain_of(lab):
    """Checks the times of rules.drain: a worker whose command does not end by itself stops in time, and its job does
    not lose an attempt.
    """
    stores = lab.stores("drain")
    lab.run("migrate", **stores)
    grace_s, kill_s = 1, 1
    times = {"LEASEHOLD_WORKER__GRACE_MS": str(grace_s * 1000), "LEASEHOLD_WORKER__KILL_AFTER_MS": str(kill_s * 1000)}
    job = lab.run("enqueue", "--kind", "stubborn", **stores).strip()
    look = lambda: json.loads(lab.run("job", "show", job, "--json", **stores))
    command = [lab.program, "worker", "--queue", "default=1", "--exec", "stubborn=trap '' TERM; sleep 600"]
    process = lab.start(command, stores | times, "drain.log")
    try:
        eventually("the job runs", lambda: look()["state"] == "running")
        needed = grace_s + kill_s + rules.STOP_TIMEOUT_S + rules.MARGIN_S
        began = time.monotonic()
        code, took = stop(process, needed), time.monotonic() - began
    finally:
        stop(process, 1)
    left = look()
    if code != 0:
        yield f"drain: not within {needed} s: {(lab.folder / 'drain.log').read_text()[-500:]}"
    if took < grace_s + kill_s:
        yield f"drain: ended after {took:.1f} s: the command was not stubborn, so this shows nothing"
    if (left["state"], left["attempt"], left["crashes"]) != ("queued", 0, 0):
        yield f"drain: the job was not given back: {left}"


def metrics_named():
    """Each metric that a manifest, a rule or the guide names, with the file."""
    files = [*(ROOT / "k8s").rglob("*.yaml"), *CHART.rglob("*.yaml"), *CHART.rglob("*.tpl"), ROOT / "docs" / "kubernetes.md"]
    for path in files:
        if "golden" not in path.parts:
            for metric in METRIC.findall(path.read_text()):
                yield metric, path.relative_to(ROOT)


def problems(program, parsed):
    folder = tempfile.mkdtemp(prefix="leasehold-k8s-")
    try:
        # The server of PostgreSQL may run as another user.
        pathlib.Path(folder).chmod(0o711)
        lab = Lab(program, folder)
        for name, documents in parsed.items():
            yield from settings_of(lab, name, documents)
        metrics = set()
        with lab.servers(), concurrent.futures.ThreadPoolExecutor(4) as several:
            fleets = [several.submit(lambda *of: list(fleet_of(lab, *of, metrics)), *of) for of in parsed.items()]
            fleets += [several.submit(lambda run=run: list(run(lab))) for run in (compose_of, drain_of)]
            for fleet in fleets:
                yield from fleet.result()
        for metric, path in sorted(set(metrics_named())):
            if metric not in metrics | NO_METRIC:
                yield f"{path}: no worker and no reaper has the metric {metric}"
    except (AssertionError, subprocess.SubprocessError) as failed:
        servers = " `leasehold dev` had ended by itself." if lab.servers_ended else ""
        yield f"{failed}\nThe logs are in {folder}.{servers}"
    else:
        shutil.rmtree(folder)
