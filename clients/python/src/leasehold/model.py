"""Jobs, as programs give them to the client and get them back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Final, Union

from ._description import EnqueuedJob, JobView
from .errors import ConfigError

#: A length of time: seconds, a `timedelta`, or a text such as `"1h30m"`.
Duration = Union[int, float, timedelta, str]
#: A time: a `datetime` with a time zone, or a text such as `"2030-01-31T08:00:00Z"`.
Time = Union[datetime, str]

FINAL_STATES: Final = frozenset({"succeeded", "dead", "cancelled"})


def duration_text(value: Duration) -> str:
    """A duration in the form that the server reads."""
    if isinstance(value, str):
        return value
    seconds: Any = value.total_seconds() if isinstance(value, timedelta) else value
    if type(seconds) not in (int, float):
        raise ConfigError(f"a length of time must be a number of seconds, a timedelta or a text, not {value!r}")
    if not 0 <= seconds < 1e11:
        raise ConfigError(f"a length of time must not be negative or endless: {value!r}")
    return f"{round(seconds * 1000)}ms"


def time_text(value: Time) -> str:
    """A time in the form that the server reads."""
    if isinstance(value, str):
        return value
    if value.tzinfo is None:
        raise ConfigError(f"the time {value} has no time zone")
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def time_of(text: str | None) -> datetime | None:
    """A time of the server."""
    if text is None:
        return None
    # Python 3.10 reads neither `Z` nor fractions of other lengths than 3 and 6 digits.
    text = re.sub(r"\.(\d+)", lambda digits: "." + digits[1][:6].ljust(6, "0"), text.replace("Z", "+00:00"))
    return datetime.fromisoformat(text)


@dataclass(frozen=True)
class NewJob:
    """A job to be enqueued. It has the same options as `leasehold enqueue`; options that are `None` are not sent."""

    kind: str
    payload: Any = field(default_factory=dict[str, Any])
    queue: str | None = None
    priority: int | None = None
    #: A delay before the earliest start. Not together with `run_at`.
    delay: Duration | None = None
    run_at: Time | None = None
    unique_key: str | None = None
    #: How the key is held: `{"while": "queued", "on_conflict": "replace", …}`.
    unique: Mapping[str, Any] | None = None
    limit_keys: Sequence[str] | None = None
    fair_key: str | None = None
    batch: str | None = None
    #: The id of a webhook that gets the end of this job, whatever its filter is. The webhook must exist.
    webhook: str | None = None
    #: The trace that the job belongs to, as W3C Trace Context 00.
    traceparent: str | None = None
    max_attempts: int | None = None
    #: How long one run may take.
    timeout: Duration | None = None
    #: When a failed job is tried again: `{"strategy": "linear", "base": "10s", …}`.
    retry: Mapping[str, Any] | None = None
    expires_at: Time | None = None
    expires_in: Duration | None = None
    depends_on: Sequence[str] | None = None
    #: `cancel`, `hold` or `run`.
    on_parent_failure: str | None = None
    #: The client makes an id if there is none.
    id: str | None = None

    def words(self) -> dict[str, Any]:
        """The job in the form that the server reads."""
        words: dict[str, Any] = {"kind": self.kind, "payload": self.payload}
        for name in ("delay", "timeout", "expires_in"):
            value = getattr(self, name)
            if value is not None:
                words[name] = duration_text(value)
        for name in ("run_at", "expires_at"):
            value = getattr(self, name)
            if value is not None:
                words[name] = time_text(value)
        for name in ("limit_keys", "depends_on"):
            given: Any = getattr(self, name)
            # A string is a sequence too, of its letters.
            if given is not None and (isinstance(given, str) or not isinstance(given, Sequence)):
                raise ConfigError(f"{name} must be a list, not {given!r}")
            keys: Sequence[str] | None = getattr(self, name)
            if keys is not None:
                words[name] = [str(key) for key in keys]
        for name in ("unique", "retry"):
            mapping: Any = getattr(self, name)
            if mapping is not None:
                if not isinstance(mapping, Mapping):
                    raise ConfigError(f"{name} must be a mapping, not {mapping!r}")
                words[name] = {**mapping}
        for name in _PLAIN_WORDS:
            value = getattr(self, name)
            if value is not None:
                words[name] = value
        return words

    def with_id(self, id: str) -> NewJob:
        """The same job with this id, if it has none."""
        return self if self.id is not None else replace(self, id=id)


_PLAIN_WORDS: Final = (
    "queue",
    "priority",
    "unique_key",
    "fair_key",
    "batch",
    "webhook",
    "traceparent",
    "max_attempts",
    "on_parent_failure",
    "id",
)


@dataclass(frozen=True)
class Node:
    """A job of a graph. `after` names the jobs of the graph that must succeed first."""

    name: str
    job: NewJob
    after: Sequence[str] = ()

    def words(self) -> dict[str, Any]:
        """The node in the form that the server reads."""
        words = {"name": self.name, **self.job.words()}
        return {**words, "after": list(self.after)} if self.after else words


@dataclass(frozen=True)
class Enqueued:
    """The answer to an enqueue."""

    #: The id of the job, or of the job that has its id or its unique key already.
    id: str
    #: Whether this call has made the job.
    inserted: bool
    state: str
    #: Whether a job that waits has the fields of this job now.
    replaced: bool = False
    #: The name of a node of a graph.
    name: str | None = None

    @classmethod
    def of(cls, answer: EnqueuedJob, sent: NewJob, is_second: bool, is_own_id: bool) -> Enqueued:
        """Reads an answer. `is_second`: an earlier attempt may have made the job, and its answer was lost."""
        inserted = answer["inserted"] or (is_second and is_own_id and answer["id"] == sent.id)
        return cls(answer["id"], inserted, answer["state"], answer["replaced"])


@dataclass(frozen=True)
class Job:
    """A job, live or finished."""

    id: str
    queue: str
    kind: str
    #: `blocked`, `scheduled`, `queued`, `running`, `succeeded`, `dead` or `cancelled`.
    state: str
    priority: int
    payload: Any
    result: Any
    last_error: str | None
    attempt: int
    max_attempts: int
    crashes: int
    epoch: int
    worker: str | None
    run_at: datetime
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    lease_expires_at: datetime | None
    cancel_requested_at: datetime | None
    timeout_ms: int | None
    unique_key: str | None
    limit_keys: tuple[str, ...]
    batch: str | None
    fair_key: str | None
    #: The webhook that the job names. Lists leave it out.
    webhook: str | None
    #: Everything that the server has answered.
    raw: JobView = field(repr=False, compare=False)

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self.state in FINAL_STATES

    @classmethod
    def of(cls, view: JobView) -> Job:
        """Reads an answer of the server."""
        run_at, created_at = time_of(view["run_at"]), time_of(view["created_at"])
        assert run_at is not None and created_at is not None
        return cls(
            id=view["id"],
            queue=view["queue"],
            kind=view["kind"],
            state=view["state"],
            priority=view["priority"],
            payload=view["payload"],
            result=view.get("result"),
            last_error=view.get("last_error"),
            attempt=view["attempt"],
            max_attempts=view["max_attempts"],
            crashes=view["crashes"],
            epoch=view["epoch"],
            worker=view.get("worker"),
            run_at=run_at,
            created_at=created_at,
            started_at=time_of(view.get("started_at")),
            finished_at=time_of(view.get("finished_at")),
            lease_expires_at=time_of(view.get("lease_expires_at")),
            cancel_requested_at=time_of(view.get("cancel_requested_at")),
            timeout_ms=view.get("timeout_ms"),
            unique_key=view.get("unique_key"),
            limit_keys=tuple(view.get("limit_keys") or ()),
            batch=view.get("batch"),
            fair_key=view.get("fair_key"),
            webhook=view.get("webhook"),
            raw=view,
        )


@dataclass(frozen=True)
class JobPage:
    """A page of jobs, the newest first."""

    jobs: list[Job]
    #: The cursor of the next page; `None` on the last page.
    next: str | None
