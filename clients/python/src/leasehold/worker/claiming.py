"""Claims jobs of one queue, in a separate thread.

A claim has an id. If its answer is lost, the worker sends the same claim again, and the server gives the same jobs.
When the worker stops, it aborts the waiting claim and sends it once more without waiting. It gives back the jobs that
the claim had got immediately, so these jobs lose no attempt.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Final

from .. import _calls, errors
from .._description import ClaimedJob
from .._sockets import Abort, SocketTransport
from ..client import Client
from .settings import Settings
from .slots import Slots

log = logging.getLogger("leasehold.worker")
_PAUSE_MAX_S: Final = 5.0
_LAST_ASK_WITHIN_S: Final = 5.0
#: Another try does not help.
_FATAL: Final = (errors.Invalid, errors.Malformed, errors.NotFound, errors.MethodNotAllowed, errors.ConfigError)
_REFUSED: Final = (errors.Unauthorized, errors.Forbidden)


class ClaimLoop(threading.Thread):
    """The thread of one queue."""

    def __init__(
        self,
        client: Client,
        queue: str,
        kinds: Sequence[str],
        worker: str,
        settings: Settings,
        begin: Callable[[ClaimedJob, Slots], None],
        on_fatal: Callable[[str], None],
        on_quiet: Callable[[], None],
    ) -> None:
        super().__init__(name=f"leasehold-claim-{queue}", daemon=True)
        self.slots = Slots(settings.queues[queue])
        self._client, self._queue, self._kinds, self._worker = client, queue, list(kinds), worker
        self._settings, self._begin, self._on_fatal = settings, begin, on_fatal
        self._on_quiet = on_quiet
        self._halt = threading.Event()
        self._abort = Abort()
        self._was_accepted = False
        self._fails = False

    def stop(self) -> None:
        """Stops claiming. Aborts a waiting claim."""
        self._halt.set()
        self._abort.now()

    def run(self) -> None:
        """Claims until the stop."""
        while not self._halt.is_set():
            free = self.slots.reserve_all(within_s=0.5)
            if free == 0:
                continue
            claimed: list[ClaimedJob] = []
            try:
                claimed = self._claim(str(uuid.uuid4()), free)
            except errors.Draining:
                log.info("an operator drains this worker")
                self._on_quiet()
                self._halt.set()
            except errors.LeaseholdError as error:
                self._on_fatal(f"jobs of the queue {self._queue} cannot be claimed: {error}")
                self._halt.set()
            self.slots.give_back(free - len(claimed))
            for job in claimed:
                self._begin(job, self.slots)

    def _claim(self, claim_id: str, free: int) -> list[ClaimedJob]:
        """Sends one claim until there is an answer. Raises errors that another attempt cannot fix."""
        pause = 0.1
        while not self._halt.is_set():
            try:
                jobs = self._ask(claim_id, free, self._settings.wait_s, self._abort)
                self._is_up()
                return jobs
            except (*_FATAL, errors.Draining):
                raise
            except _REFUSED as error:
                # A worker whose token has just been changed continues when the server knows the new token.
                if not self._was_accepted:
                    raise
                self._is_down(error)
            except errors.LeaseholdError as error:
                if not self._halt.is_set():
                    self._is_down(error)
                if isinstance(error, errors.ApiError) and error.retry_after_s:
                    pause = max(pause, min(error.retry_after_s, 2 * _PAUSE_MAX_S))
            self._halt.wait(random.uniform(pause / 2, pause))
            pause = min(pause * 2, _PAUSE_MAX_S)
        self._give_back(claim_id, free)
        return []

    def _ask(self, claim_id: str, free: int, wait_s: float, abort: Abort | None) -> list[ClaimedJob]:
        lease_ms = self._settings.lease_ms
        call = _calls.claim(self._queue, self._worker, self._kinds, claim_id, free, wait_s, lease_ms)
        request = call.request(self._client.timeout_s)
        transport = self._client.transport
        answer = transport.send(request, abort) if isinstance(transport, SocketTransport) else transport.send(request)
        return call.read(answer, False)

    def _give_back(self, claim_id: str, free: int) -> None:
        """Gives back the jobs of a claim that was aborted: its answer, with jobs, may have been under way."""
        deadline = time.monotonic() + _LAST_ASK_WITHIN_S
        while time.monotonic() < deadline:
            try:
                jobs = self._ask(claim_id, free, 0.0, None)
                for job in jobs:
                    fence = {"worker": self._worker, "epoch": job["epoch"]}
                    self._client.do(_calls.end_run(job["id"], "release", fence), retry_for_s=1)
                return
            except errors.LeaseLost:
                continue
            except errors.LeaseholdError as error:
                if not isinstance(error, (errors.ConnectionFailed, errors.Unavailable)):
                    return
                time.sleep(0.2)

    def _is_down(self, error: errors.LeaseholdError) -> None:
        if not self._fails:
            self._fails = True
            log.warning("jobs of the queue %s cannot be claimed, trying again: %s", self._queue, error)

    def _is_up(self) -> None:
        self._was_accepted = True
        if self._fails:
            self._fails = False
            log.info("jobs of the queue %s are claimed again", self._queue)
