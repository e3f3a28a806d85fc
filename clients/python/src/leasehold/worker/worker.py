"""Starts the threads of a worker, and stops them in order: first the claims, then the runs, and last the renewal of
leases.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time
import uuid
from collections.abc import Callable
from types import FrameType
from typing import Final

from .. import errors
from .._description import ClaimedJob
from .._sockets import SocketTransport
from ..app import App
from ..client import Client
from .children import ProcessExecutor
from .claiming import ClaimLoop
from .execution import Executor, ThreadExecutor
from .leases import Leases
from .settings import Settings
from .slots import Slots
from .supervisor import Supervisor

log = logging.getLogger("leasehold.worker")
_LOOK_S: Final = 0.2
#: A claim that waits is broken off, and asked for once more: see `claiming`.
_CLAIMS_END_WITHIN_S: Final = 10.0


class Worker:
    """A worker process. `run` returns when the worker has stopped."""

    def __init__(self, app: App, settings: Settings, *, target: str | None = None, client: Client | None = None) -> None:
        if settings.isolation == "process" and target is None:
            raise errors.ConfigError("isolation by processes needs the name of the app, such as module:app")
        self.settings = settings
        #: New at each start, so that the server can distinguish this process from the previous one.
        self.id = str(uuid.uuid4())
        self._app = app
        self._client = client or app.client
        self._settling = self._own_client(settings.request_timeout_s)
        self._executor: Executor = ProcessExecutor(target) if target and settings.isolation == "process" else ThreadExecutor(app)
        self._leases = Leases(self._own_client(min(settings.request_timeout_s, 5.0, settings.lease_s / 3)), self.id, settings.lease_ms, self._stop_once)
        self._hurry = threading.Event()
        self._runs: set[Supervisor] = set()
        self._runs_lock = threading.Lock()
        self._claims = [self._claim_loop(queue) for queue in settings.queues]
        self._wanted = 0
        self._fatal: str | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)

    def stop(self) -> None:
        """Asks the worker to stop, from any thread. After a second call it does not wait for handlers."""
        self._wanted += 1
        self._wake()

    def _stop_once(self) -> None:
        """Asks the worker to stop. It waits for handlers even if this is called several times."""
        self._wanted = max(self._wanted, 1)
        self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"x")
        except OSError:
            pass

    def run(self, *, signals: bool = True) -> int:
        """Works until the stop. Returns the exit code. With `signals`, TERM and INT stop the worker."""
        restore = self._catch_signals() if signals else None
        log.info("the worker %s serves %s", self.id, dict(self.settings.queues))
        self._leases.start()
        for claim in self._claims:
            claim.start()
        try:
            while self._wanted == 0:
                self._look(_LOOK_S * 5)
            self._drain()
        finally:
            if restore is not None:
                restore()
        if self._fatal is not None:
            log.error("%s", self._fatal)
            return 1
        return 0

    def _drain(self) -> None:
        deadline = time.monotonic() + self.settings.grace_s
        log.info("stopping: no more claims, and handlers may finish for %g s", self.settings.grace_s)
        for claim in self._claims:
            claim.stop()
        claims_end = time.monotonic() + _CLAIMS_END_WITHIN_S
        for claim in self._claims:
            claim.join(max(0.0, claims_end - time.monotonic()))
        while self._live_runs() and time.monotonic() < deadline and self._wanted < 2:
            self._look(_LOOK_S)
        # Cancels and lost leases are received until the end: `_leases` still works.
        for held in self._leases.all():
            held.interrupt("stopping")
        end = time.monotonic() + self.settings.stop_within_s + 1.0
        while self._leases.all() and time.monotonic() < end:
            self._look(_LOOK_S / 4)
        self._hurry.set()
        last = time.monotonic() + 5.0
        while self._live_runs() and time.monotonic() < last:
            self._look(_LOOK_S / 4)
        self._leases.stop(within_s=6.0)
        self._executor.close()
        left = len(self._live_runs())
        if left:
            log.warning("stopped; %d handlers did not end", left)
        else:
            log.info("stopped")

    def _begin(self, claimed: ClaimedJob, slots: Slots) -> None:
        job = self._app.jobs[claimed["kind"]]
        supervisor = Supervisor(
            job, claimed, slots, self._settling, self._leases, self._executor, self.settings, self._hurry
        )
        with self._runs_lock:
            self._runs = {run for run in self._runs if run.is_alive()}
        try:
            supervisor.start()
        except RuntimeError as error:
            log.error("no thread can be started, so the job %s is given back: %s", claimed["id"], error)
            supervisor.give_back()
            slots.give_back()
            return
        with self._runs_lock:
            self._runs.add(supervisor)

    def _live_runs(self) -> list[Supervisor]:
        with self._runs_lock:
            return [run for run in self._runs if run.is_alive()]

    def _claim_loop(self, queue: str) -> ClaimLoop:
        kinds = list(self._app.jobs)
        client = self._own_client(self.settings.request_timeout_s)
        return ClaimLoop(client, queue, kinds, self.id, self.settings, self._begin, self._on_fatal, self._stop_once)

    def _own_client(self, timeout_s: float) -> Client:
        """A client with its own connections, so that no thread waits for a connection of another thread."""
        transport = self._client.transport
        if isinstance(transport, SocketTransport):
            transport = SocketTransport(transport.place)
        return Client(transport=transport, timeout_s=timeout_s)

    def _on_fatal(self, why: str) -> None:
        self._fatal = why
        self._stop_once()

    def _look(self, within_s: float) -> None:
        """Waits for a signal or a stop. A handler of a signal must not take a lock that this thread may hold."""
        select.select([self._wake_read], [], [], within_s)
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass

    def _catch_signals(self) -> Callable[[], None]:
        def on_signal(number: int, frame: FrameType | None) -> None:
            del number, frame
            self.stop()

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return restore


