"""Watches one run: its handler, its timeout, its cancel, its lease. Then tells the server how the run has ended."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from .. import _calls, errors
from .._description import ClaimedJob
from .._http import has_too_long
from ..app import JobType
from ..client import Client
from ..run import Run
from .execution import Execution, Executor
from .leases import Held, Leases
from .outcome import Outcome, failed, interrupted
from .settings import Settings
from .slots import Slots

log = logging.getLogger("leasehold.worker")
#: A pause after this machine could not start a handler, so that the job is not claimed again immediately.
_LACK_PAUSE_S = 2.0
_UNREADABLE = "the payload, or the result of a parent, has a whole number with more digits than Python reads"


class Supervisor(threading.Thread):
    """The thread of one run. It holds the slot until the handler has really ended."""

    def __init__(
        self,
        job: JobType[Any, Any],
        claimed: ClaimedJob,
        slots: Slots,
        client: Client,
        leases: Leases,
        executor: Executor,
        settings: Settings,
        hurry: threading.Event,
    ) -> None:
        super().__init__(name=f"leasehold-run-{claimed['id']}", daemon=True)
        self._job, self._payload = job, claimed["payload"]
        self._slots, self._client, self._leases = slots, client, leases
        self._executor, self._settings, self._hurry = executor, settings, hurry
        timeout_ms = claimed.get("timeout_ms")
        self._timeout_s = settings.timeout_s if timeout_ms is None else timeout_ms / 1000
        run = Run(
            id=claimed["id"],
            epoch=claimed["epoch"],
            worker=claimed["worker"],
            kind=claimed["kind"],
            queue=claimed["queue"],
            attempt=claimed["attempt"],
            max_attempts=claimed["max_attempts"],
            crashes=claimed["crashes"],
            parents=claimed["parents"],
            traceparent=claimed.get("traceparent"),
        )
        self._held = Held(run, threading.Event())
        # The lease is renewed from the claim on, not from the start of this thread.
        leases.add(self._held)

    def run(self) -> None:
        """Runs the handler and settles."""
        execution: Execution | None = None
        is_unreadable = has_too_long([self._payload, self._held.run.parents])
        try:
            try:
                run = self._held.run
                if is_unreadable:
                    self._settle(failed(_UNREADABLE, never=True))
                    return
                execution = self._executor.start(self._job, run, self._payload, self._timeout_s, self._held.wake.set)
                outcome = self._watch(execution)
            except (OSError, RuntimeError) as error:
                # A lack of the worker spends no attempt.
                log.error("no handler can be started, so the job %s is given back: %s", self._held.run.id, error)
                outcome = Outcome("release")
            self._settle(outcome)
        except Exception:
            log.exception("a run was left to its lease: %s", self._held.run.id)
        finally:
            self._leases.remove(self._held)
            if execution is None and not is_unreadable:
                self._hurry.wait(_LACK_PAUSE_S)
            while execution is not None and execution.outcome is None and not self._hurry.is_set():
                # A thread cannot be killed. Its slot is free when the handler has ended.
                self._held.wake.wait(1.0)
                self._held.wake.clear()
            self._slots.give_back()

    def give_back(self) -> None:
        """The thread could not be started."""
        self._leases.remove(self._held)
        self._settle(Outcome("release"))

    def _watch(self, execution: Execution) -> Outcome:
        """Waits for the end of the handler, or ends the handler."""
        held, run = self._held, self._held.run
        deadline = time.monotonic() + self._timeout_s
        kill_at: float | None = None
        while True:
            outcome = execution.outcome
            if outcome is not None:
                return Outcome("drop") if run.why == "lease_lost" else outcome
            now = time.monotonic()
            if run.why is None and now >= deadline:
                run.interrupt("timeout")
            if run.why is not None and kill_at is None:
                kill_at = now + self._settings.stop_within_s
                execution.interrupt(run.why)
            if kill_at is not None and now >= kill_at:
                if not execution.kill():
                    log.warning("the handler of the job %s does not stop (%s); it keeps its slot", run.id, run.why)
                return interrupted(run.why, self._timeout_s)
            # No thread can miss an event, so the bound only limits the cost of a lost wake-up.
            held.wake.wait(min(1.0, max((kill_at or deadline) - now, 0.01)))
            held.wake.clear()

    def _settle(self, outcome: Outcome) -> None:
        """Tells the server. While the server is unavailable, keeps the end and sends it again. The fence of the run
        decides whether the server accepts it.
        """
        self._held.is_ending = True
        run = self._held.run
        deadline = time.monotonic() + self._settings.settle_within_s
        has_warned = False
        while outcome.operation != "drop":
            body = {"worker": run.fence.worker, "epoch": run.fence.epoch, **outcome.body}
            try:
                call = _calls.end_run(run.id, outcome.operation, body)
                settled = self._client.do(call, retry_for_s=1.0 if self._hurry.is_set() else 5.0)
                log.debug("the job %s is %s", run.id, settled["state"])
                return
            except errors.LeaseLost:
                log.warning("the end of a run came too late, its lease is lost: %s", run.id)
                return
            except (errors.Invalid, errors.TooLarge, errors.PayloadError, errors.ConfigError) as error:
                if outcome.operation == "fail":
                    raise
                outcome = failed(f"the end of the run cannot be stored: {error}")
            except errors.LeaseholdError as error:
                if isinstance(error, errors.Forbidden) and outcome.operation == "complete":
                    # The token may end runs, and may not enqueue the jobs that follow.
                    outcome = failed(f"the end of the run cannot be stored: {error}")
                    continue
                if not has_warned:
                    has_warned = True
                    log.warning("the end of the run of %s cannot be written yet: %s", run.id, error)
                if time.monotonic() >= deadline or self._hurry.is_set():
                    log.error("the end of the run of %s could not be written; its lease decides: %s", run.id, error)
                    return
                self._hurry.wait(0.5)
