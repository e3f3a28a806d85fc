"""Runs the pipeline of today and the pipeline on Leasehold on the same batches, and compares them.

    python measure.py --batches 40 --rows 100000 --pods 4

Needs PostgreSQL and Redis, and the schema: run `leasehold dev --workers 0` beside it, or set LEASEHOLD_DATABASE_URL and
LEASEHOLD_REDIS_URL. Exit 1 if a batch was lost, was scored twice, or if a race was logged."""

import argparse
import atexit
import collections
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from produce import batch, drop

HERE = os.path.dirname(os.path.abspath(__file__))
LEASEHOLD = os.environ.get("LEASEHOLD", "leasehold")
QUICK = {"LEASEHOLD_WORKER__LEASE_MS": "3000", "LEASEHOLD_WORKER__BACKOFF_BASE_MS": "100"}
TIMEOUT_S = 120


class Processes:
    """Child processes, each with a log."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen] = []
        self.logs: list[str] = []
        # Also when the measurement fails.
        atexit.register(self.stop)

    def start(self, *command: str, quick: bool = False) -> subprocess.Popen:
        log = os.path.join(self.folder, f"log-{len(self.logs)}")
        self.logs.append(log)
        environment = {**os.environ, **QUICK} if quick else None
        with open(log, "w") as file:
            child = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
        self.running.append(child)
        return child

    def kill(self, child: subprocess.Popen) -> None:
        child.send_signal(signal.SIGKILL)
        child.wait()
        self.running.remove(child)

    def stop(self) -> None:
        for child in self.running:
            child.terminate()
        for child in self.running:
            child.wait(60)
        self.running.clear()

    def lines_with(self, *words: str) -> list[str]:
        lines = (line.rstrip() for log in self.logs for line in open(log, errors="replace"))
        return [line for line in lines if any(word in line for word in words)]


BEGUN = time.monotonic()


def until(what: str, holds) -> None:
    begun = time.monotonic()
    print(f"{begun - BEGUN:6.1f} s  until {what}", file=sys.stderr, flush=True)
    while not holds():
        if time.monotonic() - begun > TIMEOUT_S:
            sys.exit(f"not so within {TIMEOUT_S} s: {what}")
        time.sleep(0.02)


def files(*path: str) -> set[str]:
    folder = os.path.join(*path)
    return set(name for name in os.listdir(folder) if name.endswith(".parquet")) if os.path.isdir(folder) else set()


def runs_of(path: str) -> collections.Counter:
    return collections.Counter(open(path).read().split()) if os.path.exists(path) else collections.Counter()


def today(folder: str, topic: str, pods: int, batches: set[str]) -> dict:
    processes = Processes(folder)
    runs = os.path.join(folder, "runs-today")
    begun = time.monotonic()
    for _ in range(pods):
        processes.start(sys.executable, os.path.join(HERE, "rename_loop.py"), topic, runs)
    until("all batches are in completed/", lambda: files(topic, "completed") == batches)
    took = time.monotonic() - begun
    processes.stop()
    return {"seconds": took, "race_lines": len(processes.lines_with("ERROR")), "runs": runs_of(runs)}


def leasehold(*arguments: str) -> str:
    return subprocess.run([LEASEHOLD, *arguments], check=True, capture_output=True, text=True).stdout


def waiting(queue: str) -> int:
    return sum(row["queued"] for row in json.loads(leasehold("queue", "list", "--json")) if row["queue"] == queue)


class Pipeline:
    """A watcher, a reaper, and pods: each a worker and a resident process."""

    def __init__(self, folder: str, topic: str, queue: str) -> None:
        self.folder, self.topic, self.queue = folder, topic, queue
        self.processes = Processes(folder)
        self.runs = os.path.join(folder, f"runs-{queue}")
        self.pods: list[subprocess.Popen] = []
        self.processes.start(LEASEHOLD, "reaper", quick=True)
        self.watch()

    def watch(self) -> None:
        self.watcher = self.processes.start(
            LEASEHOLD, "watch", self.topic, "--queue", self.queue, "--kind", "score", "--pattern", "*.parquet",
            "--settle-ms", "50")

    def pod(self) -> None:
        socket = os.path.join(self.folder, f"{self.queue}-{len(self.pods)}.sock")
        self.processes.start(sys.executable, os.path.join(HERE, "scoring.py"), socket, self.runs)
        command = shlex.join([sys.executable, "-I", "-S", os.path.join(HERE, "score.py"), socket])
        self.pods.append(self.processes.start(
            LEASEHOLD, "worker", "--queue", f"{self.queue}=1", "--exec", f"score={command}", quick=True))

    def completed(self) -> set[str]:
        return files(self.topic, "completed")


def on_leasehold(folder: str, topic: str, pods: int, batches: set[str], queue: str) -> dict:
    pipeline = Pipeline(folder, topic, queue)
    begun = time.monotonic()
    for _ in range(pods):
        pipeline.pod()
    until("all batches are in completed/", lambda: pipeline.completed() == batches)
    took = time.monotonic() - begun
    runs = runs_of(pipeline.runs)
    pipeline.processes.stop()
    return {"seconds": took, "race_lines": len(pipeline.processes.lines_with("WARN", "ERROR")), "runs": runs}


def under_kills(folder: str, topic: str, pods: int, tables: list, queue: str) -> dict:
    """Kills the watcher and pods while batches come, then resets the topic. Returns what went wrong."""
    os.makedirs(topic)
    pipeline = Pipeline(folder, topic, queue)
    for _ in range(pods):
        pipeline.pod()
    names = set()
    for number, table in enumerate(tables):
        names.add(drop(topic, number, table))
        if number % 4 == 3:
            pipeline.processes.kill(pipeline.watcher)
            pipeline.watch()
        if number % 8 == 5:
            pipeline.processes.kill(pipeline.pods.pop(0))
            pipeline.pod()
    until("all batches are in completed/", lambda: pipeline.completed() == names)
    jobs = json.loads(leasehold("job", "list", "--queue", queue, "--limit", "1000", "--json"))
    results = collections.Counter(job["payload"]["name"] for job in jobs if job["state"] == "succeeded")
    rows = sum(job["result"]["rows"] for job in jobs if job["state"] == "succeeded")

    # The reset: waiting batches are given up while the pods run. The pods notice nothing.
    leasehold("queue", "pause", queue)
    given_up = {drop(topic, len(tables) + nth, tables[0]) for nth in range(3)}
    until("the batches have jobs", lambda: waiting(queue) == 3)
    leasehold("queue", "purge", queue, "--yes")
    until("the batches are in failed/", lambda: files(topic, "failed") == given_up)
    leasehold("queue", "resume", queue)
    pipeline.processes.stop()
    return {
        "lost": len(names - set(results)), "double": sum(count - 1 for count in results.values()),
        "rows_wrong": rows - sum(table.num_rows for table in tables),
        # A restarted watcher or a killed pod is no race.
        "race_lines": len(pipeline.processes.lines_with("WARN", "ERROR")), "left": len(files(topic)),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--batches", type=int, default=40)
    arguments.add_argument("--rows", type=int, default=100_000, help="rows in each batch; a million is usual")
    arguments.add_argument("--pods", type=int, default=4)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="fraud-") as folder:
        # A new name each time, so that no run meets the jobs of another.
        queue = f"raw-transactions-{os.getpid()}-{int(time.time())}"
        tables = [batch(number, given.rows) for number in range(given.batches)]
        topics = [os.path.join(folder, name) for name in ("today", "leasehold")]
        for topic in topics:
            os.makedirs(topic)
        names = {drop(topics[0], number, table) for number, table in enumerate(tables)}
        for name in names:
            shutil.copy2(os.path.join(topics[0], name), topics[1])
        results = {
            "today (rename loop)": today(folder, topics[0], given.pods, names),
            "Leasehold": on_leasehold(folder, topics[1], given.pods, names, f"{queue}-a"),
        }
        print(f"{given.batches} batches of {given.rows:,} rows, {given.pods} pods\n")
        print(f"{'':22}{'rows/s':>12}{'seconds':>10}{'lost':>7}{'double':>8}{'lines of races':>16}")
        bad = False
        for name, result in results.items():
            rate = given.batches * given.rows / result["seconds"]
            lost, double = len(names - set(result["runs"])), sum(count - 1 for count in result["runs"].values())
            print(f"{name:22}{rate:>12,.0f}{result['seconds']:>10.2f}{lost:>7}{double:>8}{result['race_lines']:>16}")
            bad |= name == "Leasehold" and (lost, double, result["race_lines"]) != (0, 0, 0)
        killed = under_kills(folder, os.path.join(folder, "killed"), given.pods, tables, f"{queue}-b")
        print("\nWatcher and pods killed while batches came, then a reset: "
              + ", ".join(f"{name} {count}" for name, count in killed.items()))
        sys.exit(1 if bad or any(killed.values()) else 0)


if __name__ == "__main__":
    main()
