"""The run as its handler sees it, and the exceptions with which a handler ends a run without success."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .errors import LeaseholdError
from .model import Duration, NewJob


class Retry(LeaseholdError):
    """The run has failed: try again after this time. It counts as an attempt. Without `after`, the `retry` of the job
    decides when.
    """

    def __init__(self, after: Duration | None = None, error: str = "the handler wants to try again") -> None:
        super().__init__(error)
        self.after, self.error = after, error


class Never(LeaseholdError):
    """The job can never succeed: it is dead immediately."""


class Snooze(LeaseholdError):
    """The job is not at fault: run it again after this time. The run does not count as an attempt."""

    def __init__(self, after: Duration, reason: str | None = None) -> None:
        super().__init__(reason or "not now")
        self.after, self.reason = after, reason


class Cancelled(LeaseholdError):
    """The run must stop: `Run.check` raises this. `Run.why` has the reason."""


@dataclass(frozen=True)
class Fence:
    """Names one run. Another system can refuse a write whose epoch is lower than an epoch that it has already
    seen.
    """

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
        """Enqueues a job when this run succeeds, in the same transaction. If the run does not succeed, there is no
        such job.
        """
        if job.traceparent is None:
            job = replace(job, traceparent=self.followers_traceparent)
        self._followers.append(job)

    @property
    def followers(self) -> Sequence[NewJob]:
        """The jobs that were passed to `then`."""
        return tuple(self._followers)

    @property
    def is_cancelled(self) -> bool:
        """Whether the handler must stop. A result that it returns later is ignored, unless it returns before the stop
        takes effect.
        """
        return self._stop.is_set()

    @property
    def why(self) -> str | None:
        """Why the handler must stop: `cancelled`, `timeout`, `lease_lost`, or `stopping` if the worker stops."""
        return self._why

    def check(self) -> None:
        """Raises `Cancelled` if the handler must stop. Call it between the steps of a long handler."""
        if self._stop.is_set():
            raise Cancelled(f"the run is to stop: {self._why}")

    def sleep(self, seconds: float) -> None:
        """Sleeps, but raises `Cancelled` immediately if the handler must stop."""
        self._stop.wait(seconds)
        self.check()

    def interrupt(self, why: str) -> None:
        """Tells the handler to stop. The worker calls this method; a unit test may call it too."""
        if self._why is None:
            self._why = why
        self._stop.set()
