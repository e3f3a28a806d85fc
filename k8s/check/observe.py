"""`make observe-check`: alerts, runbooks and dashboards, on real fleets with real faults and a real Prometheus.

    observe.py PROGRAM [--short] [--keep] [--fault NAME ...]

1. Without a fleet: the cases of promtool, the runbook of each alert, the copies of the rules, the shape of the dashboards.
2. A healthy fleet works. No alert may fire for it, each query of each dashboard must have data, and every metric, setting, path,
   port and command that a file names must exist.
3. Beside it, each fault of faults.py happens to a fleet of its own. Each alert must fire for the fleet that is named in the fault.
4. All processes end, and the alert for this must fire.

The servers, ports and folders are private. Everything is stopped at the end. With `--keep` the logs stay. With
`--fault`, which may be repeated, only these faults happen, without a healthy fleet. With `--short` no fault happens: CI does
this, because the faults take three minutes.
"""

import argparse
import concurrent.futures
import contextlib
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import alerts
import broken_observe
import dashboards
import faults
import live
import prometheus
import render
from fleets import Fleet

HEALTHY = "healthy"
# A machine with too much to do makes stores and processes slow for seconds, and the windows of the alerts are seconds here.
BUSY = {"LeaseholdStoreUnavailableForSome", "LeaseholdReaperAbsent", "LeaseholdDrift"}
# How long an alert may take to fire.
PATIENCE_S = 120


def load(fleet):
    """A job of each sort for the healthy fleet: results, failures, jobs for later, a schedule."""
    fleet.enqueue("quick", 30)
    fleet.enqueue("flaky", 2, max_attempts=2)
    fleet.enqueue("quick", 5, run_at="now() + interval '2 s'")
    fleet.run("schedule", "set", "each-second", "--every", "1s", "--kind", "quick")


def healthy(lab, prom):
    """A fleet in which everything works: two workers, a reaper, and the HTTP interface."""
    fleet = Fleet(lab, prom, HEALTHY)
    fleet.start("reaper", "reaper")
    queues, handlers = ("--queue", "default=4", "--queue", "other=1"), ("--exec", "quick=true", "--exec", "flaky=exit 1")
    for pod in "worker-a", "worker-b":
        fleet.start(pod, "worker", *queues, *handlers)
    fleet.start("api", "api")
    load(fleet)
    return fleet


def start_fault(lab, prom, name, stack):
    """Makes the fleet of a fault. The fault itself is the rest of the function."""
    function, settings = faults.FAULTS[name]
    redis = own_redis(lab, stack) if name == faults.FLUSHED else None
    expected = [alert for alert, fleet in faults.EXPECTED.items() if fleet == name]
    fleet = Fleet(lab, prom, name, expected, redis, **settings)
    stack.callback(fleet.close)

    def work():
        """What went wrong with the fault itself, as lines."""
        try:
            function(fleet)
        except (AssertionError, subprocess.SubprocessError) as failed:
            return [f"the fault {name} did not happen: {failed}"]
        return []

    return work


def own_redis(lab, stack):
    port = lab.free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(lab.folder)]
    server = lab.start(command, {}, "redis-of-a-fault.log")
    stack.callback(live.stop, server, 10)
    ping = ["redis-cli", "-p", str(port), "PING"]
    live.eventually("a Redis", lambda: subprocess.run(ping, capture_output=True, check=False).stdout == b"PONG\n")
    return f"redis://127.0.0.1:{port}"


class Seen:
    """Alerts that have fired, each once, with the time that this took."""

    def __init__(self, prom, fleets):
        self.prom, self.began, self.at = prom, time.monotonic(), {}
        self.expected = {(alert, fleet) for alert, fleet in faults.EXPECTED.items() if fleet in fleets}

    def look(self):
        for one in self.prom.firing():
            self.at.setdefault(one, time.monotonic() - self.began)

    def missing(self):
        self.look()
        return self.expected - self.at.keys()


def of_healthy(lab, prom, stack):
    """Asks the dashboards until each has data. Then: the metrics, paths and ports that files name."""
    fleet = healthy(lab, prom)
    stack.callback(fleet.close)
    end, left = time.monotonic() + PATIENCE_S, ["nothing was asked"]
    while left and time.monotonic() < end:
        # A histogram without new values has no quantile.
        fleet.enqueue("quick", 3)
        fleet.enqueue("quick", 2, run_at="now() + interval '0.5 s'")
        left = list(dashboards.without_data(prom, HEALTHY))
        time.sleep(0.2 if left else 0)
    yield from left
    ports = {pod: port for name, pod, port in prom.targets if name == HEALTHY}
    texts = [live.fetch(port, "/metrics")[1] for port in ports.values()]
    metrics = {metric for text in texts for metric in live.METRIC.findall(text)}
    yield from alerts.unknown_metrics(metrics)
    yield from alerts.unknown_places(lambda path: live.fetch(ports["api"], path)[0] not in (None, 404), port_of_manifests())
    yield from alerts.commands(lab)
    yield from alerts.settings(lab)


def port_of_manifests():
    """The port of the metrics in the base of the manifests."""
    documents = render.documents((render.ROOT / "k8s/base/reaper.yaml").read_text())
    (reaper,) = [one for one in documents if one["kind"] == "Deployment"]
    (port,) = reaper["spec"]["template"]["spec"]["containers"][0]["ports"]
    return port["containerPort"]


def on_fleets(lab, names, with_healthy):
    lab.clean["LEASEHOLD_DATABASE__MAX_CONNECTIONS"] = "60"
    with contextlib.ExitStack() as stack:
        stack.enter_context(lab.servers())
        del lab.clean["LEASEHOLD_DATABASE__MAX_CONNECTIONS"]
        lab.run("migrate", **lab.stores("observed"))
        prom = stack.enter_context(prometheus.Prometheus(lab, lab.folder))
        live.eventually("Prometheus", prom.is_ready)
        with contextlib.ExitStack() as fleets:
            # One after the other: PostgreSQL copies a database only while no session uses it.
            works = [start_fault(lab, prom, name, fleets) for name in names]
            seen = Seen(prom, names)
            with concurrent.futures.ThreadPoolExecutor(len(works) + 1) as several:
                asked = several.submit(lambda: list(of_healthy(lab, prom, fleets)) if with_healthy else [])
                running = [several.submit(work) for work in works]
                while time.monotonic() < seen.began + PATIENCE_S and (seen.missing() or not asked.done()):
                    time.sleep(0.2)
                for one in [*running, asked]:
                    yield from one.result()
            for alert, name in sorted(seen.missing()):
                waits = "is pending" if (alert, name) in prom.pending() else "is not even pending"
                yield f"{alert}: did not fire for the fleet {name} within {PATIENCE_S} s, and {waits}"
            wrong = [alert for alert, name in seen.at if name == HEALTHY and alert not in BUSY]
            yield from (f"{alert}: fires for the healthy fleet" for alert in wrong)
            told = {alert: seen.at[alert, name] for alert, name in faults.EXPECTED.items() if (alert, name) in seen.at}
        live.eventually(f"{faults.ABSENT} fires when nothing runs", lambda: (faults.ABSENT, "") in prom.firing())
        in_order = sorted(told.items(), key=lambda one: one[1])
        fired = ", ".join(f"{alert.removeprefix('Leasehold')} {at:.0f} s" for alert, at in in_order)
        print(f"{len(told) + 1} alerts fired: {fired}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--keep", action="store_true")
    arguments.add_argument("--fault", choices=sorted(faults.FAULTS), action="append")
    arguments.add_argument("program")
    arguments = arguments.parse_args()
    began = time.monotonic()
    problems = [f"{program} is not installed" for program in faults.needs()]
    if not problems:
        problems = [*alerts.problems(), *dashboards.shape(), *broken_observe.unnoticed()]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="leasehold-observe-"))
    # The server of PostgreSQL may run as another user.
    folder.chmod(0o711)
    if not problems:
        try:
            names = arguments.fault or ([] if arguments.short else list(faults.FAULTS))
            problems += on_fleets(live.Lab(arguments.program, folder), names, with_healthy=not arguments.fault)
        except (AssertionError, subprocess.SubprocessError) as failed:
            problems.append(str(failed))
    for line in problems:
        print(line, file=sys.stderr)
    if problems or arguments.keep:
        print(f"The logs are in {folder}.", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    print(f"observe-check: {len(problems)} problems, {time.monotonic() - began:.1f} s")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
