"""Runs the example as a whole, with servers of its own: `python measure.py --bots 20 --jobs 10 --rounds 3 --faults`.

Each round enqueues jobs, lets the bots work, and runs the four queries. With `--faults` bots are killed in the first round, frozen in
the second, and cut off by the network in the third; then the three again. `--plain` runs plain.py and curl.sh instead. `--claims N`
measures claims. The package must be installed; `LEASEHOLD` names the program. Exit 1 if a job is lost or has two results.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bots import app
from faults import Network
from produce import produce

from leasehold import Client, _calls

HERE = Path(__file__).resolve().parent
PROGRAM = os.environ.get("LEASEHOLD", "leasehold")
LEASE_S = 2.0


def until(what: str, seen: Callable[[], Any], within_s: float = 60.0) -> Any:
    """Waits for a condition."""
    deadline = time.monotonic() + within_s
    while not (value := seen()):
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {within_s:g} s; last seen: {value!r}")
        time.sleep(0.02)
    return value


class Servers:
    """PostgreSQL, Redis, a reaper and the HTTP server, in a folder of their own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="leasehold-bots-"))
        self.folder.chmod(0o755)
        others = {name: value for name, value in os.environ.items() if not name.startswith("LEASEHOLD_")}
        self._log = (self.folder / "dev.log").open("wb")
        command = [PROGRAM, "dev", "--workers", "0", "--data-dir", str(self.folder / "data")]
        env = {**others, "LEASEHOLD_WORKER__LEASE_MS": str(round(LEASE_S * 1000))}
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=env, start_new_session=True)
        self.url = until("leasehold dev is up", self._address)
        settings = (self.folder / "data" / "leasehold.toml").read_text()
        self.database_url = settings.split('url = "', 1)[1].split('"', 1)[0]

    def _address(self) -> str | None:
        if self._process.poll() is not None:
            raise SystemExit((self.folder / "dev.log").read_text())
        lines = (self.folder / "dev.log").read_text().splitlines()
        return next((line.split()[1] for line in lines if line.strip().startswith("HTTP ")), None)

    def stop(self) -> None:
        """Ends all processes."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Bot:
    """A process of this package."""

    def __init__(self, fleet: Fleet, nth: int, url: str) -> None:
        self.log = fleet.folder / f"bot-{nth}.log"
        command = [sys.executable, "-m", "leasehold", "worker", "bots:app", "--queue", f"bots={fleet.slots}"]
        command += ["--lease", f"{LEASE_S:g}", "--wait", "2", "--request-timeout", "3", "--log-level", "DEBUG", "--url", url]
        env = {**os.environ, "BOTS_NOTES": str(fleet.notes)}
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=env, cwd=HERE, start_new_session=True)

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid


class Fleet:
    """All bots, their notes, and the faults that happen to them."""

    def __init__(self, servers: Servers, count: int, slots: int) -> None:
        self.folder, self.slots = servers.folder, slots
        self.notes = servers.folder / "notes"
        self.notes.touch()
        self.url = servers.url
        self.network = Network(int(servers.url.rsplit(":", 1)[1]))
        self.made = 0
        # Half of the bots are behind the network that can fail.
        self.bots = [self.start(behind=nth % 2 == 0) for nth in range(count)]
        self.gone: list[Bot] = []

    def start(self, *, behind: bool = False) -> Bot:
        """Starts a bot."""
        self.made += 1
        return Bot(self, self.made, self.network.url if behind else self.url)

    def until_ready(self) -> None:
        """Waits until all bots serve."""
        until("all bots serve", lambda: all("serves" in bot.log.read_text() for bot in self.bots), 300)

    def noted(self) -> list[tuple[str, int, str, int]]:
        """Job, epoch, `begin` or `end`, process."""
        return [tuple(json.loads(line)) for line in self.notes.read_text().splitlines()]

    def holding(self, ids: set[str]) -> list[int]:
        """The bots that are at work on one of these jobs."""
        noted = [one for one in self.noted() if one[0] in ids]
        ended = {(id, epoch) for id, epoch, what, _ in noted if what == "end"}
        alive = {bot.pid for bot in self.bots}
        return [pid for id, epoch, what, pid in noted if what == "begin" and (id, epoch) not in ended and pid in alive]

    def disturb(self, nth: int, ids: set[str]) -> str:
        """Kills, freezes or cuts off bots that are at work."""
        enough = min(4, len(ids), len(self.bots))
        pids = until("bots are at work", lambda: held if len(held := self.holding(ids)) >= enough else [])
        if nth % 3 == 0:
            victims = set(random.sample(sorted(set(pids)), k=max(1, len(set(pids)) // 3)))
            for bot in [bot for bot in self.bots if bot.pid in victims]:
                bot.process.send_signal(signal.SIGKILL)
                bot.process.wait()
                self.bots.remove(bot)
                self.gone.append(bot)
                self.bots.append(self.start())
            return f"{len(victims)} killed"
        if nth % 3 == 1:
            pid = pids[0]
            os.kill(pid, signal.SIGSTOP)
            held = next(id for id, _, what, by in reversed(self.noted()) if by == pid and what == "begin")
            until("another bot has the job", lambda: [one for one in self.noted() if one[0] == held and one[3] != pid])
            os.kill(pid, signal.SIGCONT)
            return "1 frozen for longer than its lease"
        return f"{self.network.swallow()} connections cut off"

    def accepted(self) -> dict[str, set[int]]:
        """Which bots were told that their success of a job was accepted."""
        accepted: dict[str, set[int]] = defaultdict(set)
        for bot in [*self.bots, *self.gone]:
            for line in bot.log.read_text().splitlines():
                if "the job " in line and line.endswith(" is succeeded"):
                    accepted[line.split("the job ")[1].split()[0]].add(bot.pid)
        return accepted

    def kill(self) -> None:
        """Ends the bots immediately."""
        for bot in self.bots:
            if bot.process.poll() is None:
                bot.process.kill()

    def stop(self) -> None:
        """Ends the bots gracefully."""
        for bot in self.bots:
            bot.process.send_signal(signal.SIGTERM)
        for bot in self.bots:
            bot.process.wait(60)


def verify(servers: Servers) -> str:
    """The four numbers."""
    env = {**os.environ, "LEASEHOLD_DATABASE_URL": servers.database_url}
    ended = subprocess.run(["sh", str(HERE / "verify.sh")], env=env, capture_output=True, text=True, timeout=60, check=False)
    if ended.returncode != 0:
        raise SystemExit(f"the queries do not answer 0: {ended.stdout}{ended.stderr}")
    return ended.stdout.strip()


def rounds(servers: Servers, given: argparse.Namespace) -> None:
    """The rounds of bots with the package."""
    client = Client(servers.url)
    app.client = client
    fleet = Fleet(servers, given.bots, given.slots)
    try:
        work(client, servers, fleet, given)
    finally:
        fleet.kill()


def work(client: Client, servers: Servers, fleet: Fleet, given: argparse.Namespace) -> None:
    """Lets the bots work, and checks the result."""
    fleet.until_ready()
    lost = double = again = 0
    for nth in range(given.rounds):
        batch = f"round-{nth}-{uuid.uuid4().hex[:8]}"
        begun = time.monotonic()
        pages = [f"https://example.org/{nth}/{page}" for page in range(given.jobs)]
        ids = produce(pages, seconds=1.0 if given.faults else given.seconds, batch=batch)
        told = fleet.disturb(nth, set(ids)) if given.faults else "no fault"
        client.wait_batch(batch, timeout=600)
        took = time.monotonic() - begun
        jobs = list(client.jobs(batch=batch))
        lost += sum(job.state != "succeeded" for job in jobs) + len(set(ids) - {job.id for job in jobs})
        double += sum(job.result is not None and job.result["epoch"] != job.epoch for job in jobs)
        again += sum(job.epoch - 1 for job in jobs)
        print(f"round {nth + 1}: {len(jobs)} jobs, {told}, {took:.1f} s, {len(jobs) / took:.0f} jobs/s; {verify(servers)}", flush=True)
    double += sum(len(bots) > 1 for bots in fleet.accepted().values())
    fleet.stop()
    print(f"{given.bots} bots, {given.jobs * given.rounds} jobs: lost {lost}, double {double}, runs again {again}")
    if lost or double:
        raise SystemExit(1)


def plain(servers: Servers) -> None:
    """The bots without the package."""
    env = {**os.environ, "LEASEHOLD_URL": servers.url}

    def run(*command: str) -> None:
        subprocess.run(command, env=env, cwd=HERE, check=True, stdout=subprocess.DEVNULL, timeout=120)

    run(sys.executable, "plain.py", "produce", "20")
    bots = [subprocess.Popen([sys.executable, "plain.py", "work"], env=env, cwd=HERE) for _ in range(3)]
    if any(bot.wait(120) for bot in bots):
        raise SystemExit("a bot of plain.py has failed")
    client = Client(servers.url)
    for name in range(5):
        client.enqueue("hello", str(name), queue="curl")
    run("sh", "curl.sh")
    for script, queue in (("plain.py", "plain"), ("curl.sh", "curl")):
        jobs = list(client.jobs(queue=queue))
        done = [job for job in jobs if job.state == "succeeded" and (queue == "curl" or job.result == job.payload**2)]
        print(f"{script}: {len(done)} of {len(jobs)} jobs succeeded; {verify(servers)}")


def claims(servers: Servers, count: int) -> None:
    """How long one claim takes while jobs wait."""
    app.client = client = Client(servers.url)
    produce([str(nth) for nth in range(count)])
    worker, times = str(uuid.uuid4()), list[float]()
    for _ in range(count):
        begun = time.perf_counter()
        (job,) = client.do(_calls.claim("bots", worker, ["visit"], str(uuid.uuid4()), 1, 2.0, 600_000))
        times.append((time.perf_counter() - begun) * 1000)
        client.do(_calls.end_run(job["id"], "complete", {"worker": worker, "epoch": job["epoch"]}))
    times.sort()
    print(f"{count} claims: p50 {statistics.median(times):.1f} ms, p99 {times[int(count * 0.99)]:.1f} ms, longest {times[-1]:.1f} ms")


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bots", type=int, default=20)
    parser.add_argument("--slots", type=int, default=1, help="jobs that one bot runs at once")
    parser.add_argument("--jobs", type=int, default=10, help="jobs of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.0, help="how long a visit takes")
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--claims", type=int, metavar="N")
    given = parser.parse_args()
    servers = Servers()
    try:
        if given.plain:
            plain(servers)
        elif given.claims:
            claims(servers, given.claims)
        else:
            rounds(servers, given)
    finally:
        servers.stop()


if __name__ == "__main__":
    main()
