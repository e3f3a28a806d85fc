"""What a handler knows about its run, and how it says that the run ends otherwise than well."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .errors import LeaseholdError
from .model import Duration, NewJob


class Retry(LeaseholdError):
    """The run has failed: try again, after this time. The attempt is spent. Without `after`, as the job's `retry` says."""

    def __init__(self, after: Duration | None = None, error: str = "the handler wants to try again") -> None:
        super().__init__(error)
        self.after, self.error = after, error


class Never(LeaseholdError):
    """The job can never succeed: it is dead at once."""


class Snooze(LeaseholdError):
    """Not the fault of the job: run it again after this time. The attempt is given back."""

    def __init__(self, after: Duration, reason: str | None = None) -> None:
        super().__init__(reason or "not now")
        self.after, self.reason = after, reason


class Cancelled(LeaseholdError):
    """The run is to stop: `Run.check` raises this. `Run.why` says why."""


@dataclass(frozen=True)
class Fence:
    """Names one run. Another system can refuse a write whose epoch is lower than one that it has seen."""

    id: str
    epoch: int
    worker: str


class Run:
    """One run of a job."""

    def __init__(
        self,
        *,
        id: str,
        epoch: int,
        worker: str,
        kind: str,
        queue: str,
        attempt: int = 1,
        max_attempts: int = 5,
        crashes: int = 0,
        parents: Sequence[Any] = (),
        traceparent: str | None = None,
    ) -> None:
        self.id, self.kind, self.queue = id, kind, queue
        #: The number of this attempt; 1 is the first.
        self.attempt, self.max_attempts = attempt, max_attempts
        #: How many workers were lost while they ran this job.
        self.crashes = crashes
        #: The jobs that this one depends on, with their results.
        self.parents = list(parents)
        #: The trace that the job was enqueued in: `traceparent` of W3C Trace Context.
        self.traceparent = traceparent
        self.fence = Fence(id, epoch, worker)
        #: The trace of the jobs that `then` is called with and that name none.
        self.followers_traceparent: str | None = None
        self._followers: list[NewJob] = []
        self._stop = threading.Event()
        self._why: str | None = None

    def then(self, job: NewJob) -> None:
        """Enqueues a job together with the success of this run: in the same transaction, or not at all."""
        if job.traceparent is None:
            job = replace(job, traceparent=self.followers_traceparent)
        self._followers.append(job)

    @property
    def followers(self) -> Sequence[NewJob]:
        """The jobs that `then` was called with."""
        return tuple(self._followers)

    @property
    def is_cancelled(self) -> bool:
        """Whether the handler is to stop. What it returns afterwards is not used, unless it is quicker than the stop."""
        return self._stop.is_set()

    @property
    def why(self) -> str | None:
        """Why the handler is to stop: `cancelled`, `timeout`, `lease_lost` or `stopping` (of the worker)."""
        return self._why

    def check(self) -> None:
        """Raises `Cancelled` if the handler is to stop. Call it between the steps of a long handler."""
        if self._stop.is_set():
            raise Cancelled(f"the run is to stop: {self._why}")

    def sleep(self, seconds: float) -> None:
        """Sleeps, but ends at once with `Cancelled` when the handler is to stop."""
        self._stop.wait(seconds)
        self.check()

    def interrupt(self, why: str) -> None:
        """Tells the handler to stop. The worker calls this; a unit test may."""
        if self._why is None:
            self._why = why
        self._stop.set()
