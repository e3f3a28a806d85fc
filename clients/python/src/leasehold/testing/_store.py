"""The jobs of the server in memory, and their transitions. Time is a number that only `advance` moves."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from .._ids import new_id
from ..model import FINAL_STATES, time_of

_PRIORITY_STEP_S: Final = 3600.0
_MAX_CRASHES: Final = 3
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, code: str, message: str, status: int, details: list[dict[str, str]] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.details = code, message, status, details or []


def bad(pointer: str, message: str, code: str = "invalid") -> dict[str, str]:
    """One bad field."""
    return {"pointer": pointer, "code": code, "message": message}


def invalid(details: list[dict[str, str]]) -> Refused:
    """Bad fields."""
    message = f"{details[0]['pointer']}: {details[0]['message']}" if len(details) == 1 else f"{len(details)} fields are not valid"
    return Refused("invalid", message, 422, details)


def seconds_of(text: object) -> float:
    """Reads a duration such as `1h30m`. Raises `ValueError`."""
    if not isinstance(text, str) or not re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h|d|w))+", text):
        raise ValueError("must be a length of time such as 10s or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)(ms|s|m|h|d|w)", text))


@dataclass
class FakeJob:
    """A job of the server in memory."""

    id: str
    kind: str
    queue: str
    payload: Any
    created_at: datetime
    run_at: datetime
    state: str = "queued"
    priority: int = 0
    max_attempts: int = 5
    timeout_s: float | None = None
    unique_key: str | None = None
    batch: str | None = None
    fair_key: str | None = None
    #: It has no effect: the server in memory has no webhooks, so it accepts every id.
    webhook: str | None = None
    #: The word of the job, or the header of the request that has made the job.
    traceparent: str | None = None
    limit_keys: list[str] | None = None
    retry: dict[str, Any] | None = None
    expires_at: datetime | None = None
    depends_on: list[str] = field(default_factory=list[str])
    on_parent_failure: str = "cancel"
    attempt: int = 0
    crashes: int = 0
    epoch: int = 0
    worker: str | None = None
    claim_id: str | None = None
    lease_until: datetime | None = None
    cancel_requested_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: Any = None
    last_error: str | None = None
    #: How the run with each epoch has ended: operation and state.
    ends: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self.state in FINAL_STATES

    @property
    def line_at(self) -> tuple[float, str]:
        """Its place in the line."""
        return self.run_at.timestamp() - self.priority * _PRIORITY_STEP_S, self.id


class Store:
    """All jobs, and the clock."""

    def __init__(self, start: datetime | None = None) -> None:
        self.now = start or datetime(2030, 1, 1, tzinfo=timezone.utc)
        self.jobs: dict[str, FakeJob] = {}
        #: The queues that are paused, and the kinds in them.
        self.paused: set[tuple[str, str | None]] = set()

    # Time

    def next_due(self) -> datetime | None:
        """When the next job becomes due, or the next lease ends."""
        times = [job.run_at for job in self.jobs.values() if job.state == "scheduled"]
        times += [job.lease_until for job in self.jobs.values() if job.state == "running" and job.lease_until]
        return min(times, default=None)

    def advance(self, seconds: float) -> None:
        """Moves the time, and does the work of a reaper for each moment in between."""
        end = self.now + timedelta(seconds=seconds)
        while (due := self.next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            self._reap()
        self.now = max(self.now, end)
        self._reap()

    def _reap(self) -> None:
        for job in list(self.jobs.values()):
            if job.state in ("queued", "scheduled") and job.attempt == 0 and job.expires_at and job.expires_at <= self.now:
                job.last_error = "the job has expired before it began"
                self._finish(job, "cancelled")
            elif job.state == "scheduled" and job.run_at <= self.now:
                job.state = "queued"
            elif job.state == "running" and job.lease_until is not None and job.lease_until <= self.now:
                self._expire(job)

    def _expire(self, job: FakeJob) -> None:
        job.crashes += 1
        self._leave(job)
        if job.cancel_requested_at is not None:
            self._finish(job, "cancelled")
        elif job.crashes >= _MAX_CRASHES or job.attempt >= job.max_attempts:
            job.last_error = "the lease of the run was lost"
            self._finish(job, "dead")
        else:
            job.state = "queued"

    # Enqueue

    def add(self, words: dict[str, Any], pointer: str = "") -> tuple[FakeJob, bool]:
        """Makes a job, or finds the existing job with its id or its unique key."""
        made = self.read(words, pointer)
        existing = self.jobs.get(made.id) or self._holder(made)
        if existing is not None:
            return existing, False
        parents = [self.jobs.get(parent) for parent in made.depends_on]
        if None in parents:
            raise invalid([bad(f"{pointer}/depends_on", "names a job that does not exist")])
        self.jobs[made.id] = made
        if made.run_at > self.now:
            made.state = "scheduled"
        if made.depends_on:
            made.state = "blocked"
            self._unblock(made)
        return made, True

    def read(self, words: dict[str, Any], pointer: str) -> FakeJob:
        """Checks the fields of a job."""
        words = dict(words)
        problems: list[dict[str, str]] = []

        def take(name: str, check: Callable[[Any], Any], default: Any = None) -> Any:
            value = words.pop(name, None)
            if value is None:
                return default
            try:
                return check(value)
            except (TypeError, ValueError) as error:
                problems.append(bad(f"{pointer}/{name}", str(error)))
                return default

        if "kind" not in words:
            problems.append(bad(f"{pointer}/kind", "is required", "required"))
        kind = take("kind", _name, "")
        payload = words.pop("payload", {})
        delay, run_at = take("delay", seconds_of), take("run_at", _time)
        if delay is not None and run_at is not None:
            problems.append(bad(pointer, "delay and run_at do not go together"))
        limit_key = take("limit_key", _text)
        expires_in = take("expires_in", seconds_of)
        job = FakeJob(
            id=take("id", _text) or new_id(),
            kind=kind,
            queue=take("queue", _name, "default"),
            payload=payload,
            created_at=self.now,
            run_at=run_at or self.now + timedelta(seconds=delay or 0),
            priority=take("priority", _between(-100, 100), 0),
            max_attempts=take("max_attempts", _between(1, 10_000), 5),
            timeout_s=take("timeout", seconds_of),
            unique_key=take("unique_key", _text),
            batch=take("batch", _text),
            fair_key=take("fair_key", _text),
            webhook=take("webhook", _name),
            traceparent=take("traceparent", _traceparent),
            limit_keys=take("limit_keys", list) or ([limit_key] if limit_key else None),
            retry=take("retry", dict),
            expires_at=take("expires_at", _time) or (self.now + timedelta(seconds=expires_in) if expires_in else None),
            depends_on=take("depends_on", list) or [],
            on_parent_failure=take("on_parent_failure", _text, "cancel"),
        )
        if words.pop("unique", None) is not None:
            raise NotImplementedError("the server in memory knows `unique_key`, not `unique`")
        problems += [bad(f"{pointer}/{name}", "there is no such field", "unknown") for name in words]
        if problems:
            raise invalid(problems)
        return job

    def _holder(self, new: FakeJob) -> FakeJob | None:
        if new.unique_key is None:
            return None
        live = (job for job in self.jobs.values() if not job.is_final)
        return next((job for job in live if job.unique_key == new.unique_key), None)

    # Runs

    def claim(self, queue: str, kinds: list[str] | None, worker: str, most: int, lease_s: float, claim_id: str) -> list[FakeJob]:
        """Gives jobs to a worker."""
        held = [job for job in self.jobs.values() if job.state == "running" and (job.worker, job.claim_id) == (worker, claim_id)]
        if held:
            for job in held:
                job.lease_until = self.now + timedelta(seconds=lease_s)
            return held
        self._reap()
        if (queue, None) in self.paused:
            return []
        line = [
            job
            for job in self.jobs.values()
            if job.state == "queued"
            and job.queue == queue
            and (kinds is None or job.kind in kinds)
            and (queue, job.kind) not in self.paused
        ]
        claimed = sorted(line, key=lambda job: job.line_at)[:most]
        for job in claimed:
            job.state, job.worker, job.claim_id = "running", worker, claim_id
            job.epoch, job.attempt = job.epoch + 1, job.attempt + 1
            job.started_at, job.lease_until = self.now, self.now + timedelta(seconds=lease_s)
        return claimed

    def held(self, id: str, epoch: int, worker: str) -> FakeJob:
        """The job of a run whose lease is not lost."""
        job = self.jobs.get(id)
        if job is None or job.state != "running" or (job.epoch, job.worker) != (epoch, worker):
            raise Refused("lease_lost", "the lease of this run is lost: drop the run", 409)
        return job

    def end(self, id: str, epoch: int, worker: str, operation: str, body: dict[str, Any]) -> tuple[str, bool]:
        """Ends a run. Returns the state of the job, and whether an earlier request has already ended the run in the
        same way.
        """
        earlier = self.jobs[id].ends.get(epoch) if id in self.jobs else None
        if earlier is not None and earlier[0] == operation:
            return earlier[1], True
        job = self.held(id, epoch, worker)
        followers: list[dict[str, Any]] = body.get("enqueue") or []
        for nth, words in enumerate(followers):
            self.read(words, f"/enqueue/{nth}")
        self._leave(job)
        if job.cancel_requested_at is not None:
            self._finish(job, "cancelled")
        elif operation == "complete":
            job.result = body.get("result")
            self._finish(job, "succeeded")
            for words in followers:
                self.add(words)
        elif operation == "fail":
            self._fail(job, body)
        else:
            job.attempt -= 1
            self._again(job, (body.get("delay_ms") or 0) / 1000 if operation == "snooze" else 0.0)
            job.state = "scheduled" if operation == "snooze" else "queued"
        job.ends[epoch] = (operation, job.state)
        return job.state, False

    def _fail(self, job: FakeJob, body: dict[str, Any]) -> None:
        job.last_error = body["error"]
        if body.get("never") or job.attempt >= job.max_attempts:
            self._finish(job, "dead")
            return
        delay = body.get("delay_ms")
        self._again(job, self._backoff(job) if delay is None else delay / 1000)
        job.state = "scheduled"

    def _backoff(self, job: FakeJob) -> float:
        """The delay before the next attempt, without jitter."""
        rule = job.retry or {}
        base, cap = seconds_of(rule.get("base", "1s")), seconds_of(rule.get("cap", "1h"))
        strategy = str(rule.get("strategy", "exponential"))
        factors: dict[str, float] = {"fixed": 1.0, "linear": float(job.attempt)}
        return min(base * factors.get(strategy, 2.0 ** (job.attempt - 1)), cap)

    def _again(self, job: FakeJob, delay_s: float) -> None:
        job.run_at = self.now + timedelta(seconds=delay_s)

    def _leave(self, job: FakeJob) -> None:
        job.worker = job.claim_id = job.lease_until = None

    def _finish(self, job: FakeJob, state: str) -> None:
        job.state, job.finished_at = state, self.now
        for other in list(self.jobs.values()):
            if other.state == "blocked" and job.id in other.depends_on:
                self._unblock(other)

    def _unblock(self, job: FakeJob) -> None:
        states = [self.jobs[parent].state for parent in job.depends_on]
        failed = any(state in ("dead", "cancelled") for state in states)
        if failed and job.on_parent_failure == "cancel":
            job.last_error = "a parent has ended without success"
            self._finish(job, "cancelled")
        elif all(state in FINAL_STATES for state in states) and not (failed and job.on_parent_failure == "hold"):
            job.state = "scheduled" if job.run_at > self.now else "queued"

    # Operators

    def cancel(self, job: FakeJob) -> bool:
        """Cancels a job, or tells its worker."""
        if job.state in ("succeeded", "dead"):
            raise Refused("conflict", f"the job is {job.state}, so it cannot be cancelled", 409)
        if job.state == "cancelled" or job.cancel_requested_at is not None:
            return False
        job.cancel_requested_at = self.now
        if job.state != "running":
            self._finish(job, "cancelled")
        return True

    def revive(self, job: FakeJob) -> None:
        """Puts a job back into the line."""
        if job.state not in (*FINAL_STATES, "scheduled"):
            raise Refused("conflict", f"the job is {job.state}, so it cannot be put back into the line", 409)
        if job.is_final:
            job.attempt = job.crashes = 0
            job.result = job.finished_at = job.cancel_requested_at = job.expires_at = None
        job.state, job.run_at = "queued", self.now


def _name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.:/-]{1,128}", value):
        raise ValueError("must be a name of letters, digits and _ . - : /")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a string that is not empty")
    return value


def _traceparent(value: Any) -> str:
    if not re.fullmatch(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", _text(value)):
        raise ValueError("is not of the form 00-TRACE-PARENT-FLAGS of W3C Trace Context")
    return str(value)


def _time(value: Any) -> datetime | None:
    try:
        return time_of(_text(value))
    except ValueError as error:
        raise ValueError("must be a time such as 2030-01-31T08:00:00Z") from error


def _between(least: int, most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return value

    return check
