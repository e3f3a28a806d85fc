"""Renews the leases of all runs of a worker, in a separate thread with its own connection. It is the last thread to
stop.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .. import _calls, errors
from ..client import Client
from ..run import Run

log = logging.getLogger("leasehold.worker")
#: A cancel is heard with a renewal, so renewals are not rarer than this.
_EVERY_MAX_S: Final = 5.0
_SOON_S: Final = 0.5
_RUNS_MAX: Final = 1_000


@dataclass(eq=False)
class Held:
    """A run whose lease is renewed."""

    run: Run
    #: Wakes the supervisor of the run.
    wake: threading.Event
    #: The handler has ended, and the worker sends the end to the server. The lease is renewed until the server has the end.
    #: If the lease is lost after that, this is no error.
    is_ending: bool = False

    def interrupt(self, why: str) -> None:
        """Tells the handler and its supervisor."""
        self.run.interrupt(why)
        self.wake.set()


class Leases(threading.Thread):
    """The thread."""

    def __init__(self, client: Client, worker: str, lease_ms: int, on_quiet: Callable[[], None]) -> None:
        super().__init__(name="leasehold-leases", daemon=True)
        self._client, self._worker, self._lease_ms = client, worker, lease_ms
        self._on_quiet = on_quiet
        self._every_s = min(lease_ms / 3000, _EVERY_MAX_S)
        self._lock = threading.Lock()
        self._held: dict[tuple[str, int], Held] = {}
        self._ended = threading.Event()
        self._fails_since: float | None = None

    def add(self, held: Held) -> None:
        """Renews this run from now on. Its claim has just given it a whole lease."""
        with self._lock:
            self._held[held.run.id, held.run.fence.epoch] = held

    def remove(self, held: Held) -> None:
        """The run has ended."""
        with self._lock:
            self._held.pop((held.run.id, held.run.fence.epoch), None)

    def all(self) -> list[Held]:
        """The runs that are held now."""
        with self._lock:
            return list(self._held.values())

    def stop(self, within_s: float) -> None:
        """Stops the thread as soon as no run is left."""
        self._ended.set()
        self.join(within_s)

    def run(self) -> None:
        """Renews until the worker has ended."""
        pause = self._every_s
        while not self._ended.wait(pause):
            begun = time.monotonic()
            is_well = self._renew_all()
            # The time of the requests counts: a slow server must not make renewals rarer.
            spent = time.monotonic() - begun
            pause = max(self._every_s - spent, 0.05) if is_well else min(_SOON_S, self._every_s)

    def _renew_all(self) -> bool:
        held = self.all()
        is_well = True
        for start in range(0, len(held), _RUNS_MAX):
            try:
                is_well = self._renew(held[start : start + _RUNS_MAX]) and is_well
                self._is_up()
            except errors.LeaseholdError as error:
                self._is_down(error)
                return False
        return is_well

    def _renew(self, held: list[Held]) -> bool:
        fences = [(one.run.id, one.run.fence.epoch) for one in held]
        answers, is_drained = self._client.do(_calls.renew_all(self._worker, fences, self._lease_ms), retry_for_s=0)
        is_well = True
        for one, answer in zip(held, answers):
            if one.is_ending:
                continue
            if "error" in answer:
                log.warning("the lease of the job %s is lost: its handler is told to stop", one.run.id)
                self.remove(one)
                one.interrupt("lease_lost")
            else:
                if answer.get("cancel_wanted"):
                    one.interrupt("cancelled")
                is_well = is_well and bool(answer.get("renewed", True))
        if is_drained:
            self._on_quiet()
        return is_well

    def _is_down(self, error: errors.LeaseholdError) -> None:
        if self._fails_since is None:
            self._fails_since = time.monotonic()
            log.warning("leases cannot be renewed, trying again: %s", error)

    def _is_up(self) -> None:
        if self._fails_since is not None:
            log.info("leases are renewed again, after %.1f s", time.monotonic() - self._fails_since)
            self._fails_since = None
