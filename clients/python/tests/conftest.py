"""A real fleet for the tests: `leasehold dev` with private stores, a reaper and an HTTP server, and worker processes of this package.

`LEASEHOLD` names the program. The tests run against the installed package, not against the sources.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from proxy import Proxy

import leasehold

HERE = Path(__file__).resolve().parent
PROGRAM = os.environ.get("LEASEHOLD", "leasehold")


def eventually(what: str, seen: Callable[[], Any], wanted: Callable[[Any], bool] = bool, within_s: float = 30.0) -> Any:
    """Waits for a condition, and reports the last value that it saw."""
    deadline = time.monotonic() + within_s
    while True:
        value = seen()
        if wanted(value):
            return value
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s; last seen: {value!r}"
        time.sleep(0.02)


def free_port() -> int:
    """A port of the loopback address that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A child process whose output is kept in a file."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str], cwd: Path | None = None) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=env, cwd=cwd, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def text(self) -> str:
        """What the process has written so far."""
        return self.log.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, within_s: float = 30.0) -> int:
        """Waits for the end. Returns the exit code."""
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the process does not end: {self.text[-3000:]}") from None

    def stop(self, within_s: float = 30.0) -> int:
        """Ends the process with TERM."""
        self.send(signal.SIGTERM)
        return self.wait(within_s)

    def kill(self) -> None:
        """Ends the process and its children with KILL."""
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()


class Fleet:
    """Stores, a reaper, and an HTTP server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        others = {name: value for name, value in os.environ.items() if not name.startswith("LEASEHOLD_")}
        # After its start, a reaper waits for this time before it expires a lease.
        self.env = {**others, "LEASEHOLD_REAPER__TICK_MS": "100", "LEASEHOLD_WORKER__LEASE_MS": "2000"}
        command = [PROGRAM, "dev", "--workers", "0", "--listen", f"127.0.0.1:{self.port}", "--data-dir", str(folder / "data")]
        self.dev = Process(command, folder / "dev.log", self.env, folder)
        eventually("the fleet is up", lambda: (self.dev.text, self._answers()), lambda seen: seen[1], within_s=60)

    def _answers(self) -> bool:
        try:
            leasehold.Client(self.url, retry_for_s=0).queues()
            return True
        except leasehold.LeaseholdError:
            return False

    def command(self, *arguments: str) -> list[str]:
        """A command of the program on the stores of this fleet."""
        return [PROGRAM, "--config", str(self.folder / "data" / "leasehold.toml"), *arguments]

    def has_webhook(self, id: str) -> None:
        """A webhook that is told only of the ends of jobs that name it."""
        command = self.command("webhook", "set", id, "--url", "https://example.com/hooks", "--queue", "no-such-queue")
        subprocess.run(command, env=self.env, check=True, timeout=60, capture_output=True)

    def api(self, port: int) -> Process:
        """Another HTTP server, which a test can kill."""
        log = self.folder / f"api-{port}-{uuid.uuid4()}.log"
        api = Process(self.command("api", "--listen", f"127.0.0.1:{port}"), log, self.env, self.folder)
        client = leasehold.Client(f"http://127.0.0.1:{port}", retry_for_s=30)
        client.queues()
        return api


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    # PostgreSQL may run as another user, who must be able to enter the folder.
    folder = Path(tempfile.mkdtemp(prefix="leasehold-python-"))
    folder.chmod(0o755)
    started = Fleet(folder)
    try:
        yield started
    finally:
        started.dev.stop()
        subprocess.run(["rm", "-rf", str(folder)], check=False)


@pytest.fixture
def client(fleet: Fleet) -> Iterator[leasehold.Client]:
    with leasehold.Client(fleet.url) as made:
        yield made


@pytest.fixture
def queue() -> str:
    """A queue that no other test uses."""
    return f"q-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def workers(fleet: Fleet, queue: str, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts worker processes with the app `jobs_of_tests:app` on the queue of the test."""
    started: list[Process] = []

    def start(*arguments: str, slots: int = 4, url: str | None = None) -> Process:
        command = [sys.executable, "-m", "leasehold", "worker", "jobs_of_tests:app", "--queue", f"{queue}={slots}"]
        env = {**os.environ, "LEASEHOLD_URL": url or fleet.url, "PYTHONPATH": str(HERE), "TEST_FOLDER": str(tmp_path)}
        log = tmp_path / f"worker-{len(started)}.log"
        worker = Process([*command, "--log-level", "DEBUG", *arguments], log, env, HERE)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()


@pytest.fixture
def proxy(fleet: Fleet) -> Iterator[Proxy]:
    made = Proxy(fleet.port)
    yield made
    made.close()
