"""Defines each call of the interface once, for both clients: the request, whether it may be repeated, and how its
answer is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from . import _description as described
from . import errors
from ._http import Answer, Request, json_body, path_of
from ._ids import new_id
from ._retrying import Repeat
from .model import Enqueued, Job, JobPage, NewJob, Node, Time, time_text

T = TypeVar("T")
#: One request waits no longer on the server, so that no proxy gives up.
WAIT_MAX_S = 20.0


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, to be sent until there is an answer."""

    operation: str
    #: Reads the answer. The second argument: whether an earlier try may have reached the server.
    read: Callable[[Answer, bool], T]
    names: Mapping[str, object] = field(default_factory=dict[str, object])
    query: Mapping[str, object] = field(default_factory=dict[str, object])
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    repeat: Repeat = Repeat.ALWAYS
    #: How long the server may wait before it answers, beside the usual time.
    waits_s: float = 0.0

    def request(self, timeout_s: float) -> Request:
        """The request of this call."""
        method, template = described.OPERATIONS[self.operation]
        return Request(
            method,
            path_of(template, self.names, self.query),
            None if self.body is None else json_body(self.body),
            self.headers,
            timeout_s + self.waits_s,
        )


#: Something around a call, such as a span. It gives more headers for the call.
AroundCall = Callable[[Call[Any]], AbstractContextManager[Mapping[str, str]]]


def _json(answer: Answer, _is_second: bool) -> Any:
    return answer.json()


def _job(answer: Answer, _is_second: bool) -> Job:
    return Job.of(answer.json())


def enqueue(jobs: Sequence[NewJob], idempotency_key: str | None, is_one: bool) -> Call[list[Enqueued]]:
    """Enqueues jobs in one transaction."""
    if not jobs or len(jobs) > 1_000:
        raise errors.ConfigError(f"one request enqueues 1 to 1,000 jobs, not {len(jobs)}")
    is_keyed = idempotency_key is not None
    # The key belongs to the body, so a later call with the same key must not have other ids.
    sent = list(jobs) if is_keyed else [job.with_id(new_id()) for job in jobs]
    words = [job.words() for job in sent]

    def read(answer: Answer, is_second: bool) -> list[Enqueued]:
        value = answer.json()
        answers = [value] if is_one else value["jobs"]
        return [
            Enqueued.of(one, job, is_second, given.id is None) for one, job, given in zip(answers, sent, jobs)
        ]

    headers = {"idempotency-key": _header(idempotency_key)} if idempotency_key is not None else {}
    has_ids = all(job.id is not None for job in sent)
    return Call(
        "enqueue",
        read,
        body=words[0] if is_one else {"jobs": words},
        headers=headers,
        repeat=Repeat.ALWAYS if is_keyed or has_ids else Repeat.UNDONE,
    )


def _header(key: str) -> str:
    if not (1 <= len(key) <= 255 and key.isascii() and key.isprintable() and " " not in key):
        raise errors.ConfigError("an idempotency key has 1 to 255 visible ASCII characters")
    return key


def submit_graph(nodes: Sequence[Node]) -> Call[list[Enqueued]]:
    """Enqueues a graph in one transaction."""
    sent = [Node(node.name, node.job.with_id(new_id()), node.after) for node in nodes]

    def read(answer: Answer, is_second: bool) -> list[Enqueued]:
        made: list[Enqueued] = []
        for one, node, given in zip(answer.json()["jobs"], sent, nodes):
            is_own = given.job.id is None and one["id"] == node.job.id
            inserted = one["inserted"] or (is_second and is_own)
            made.append(Enqueued(one["id"], inserted, one["state"], name=one.get("name")))
        return made

    return Call("submit_graph", read, body={"jobs": [node.words() for node in sent]})


def show_job(id: str) -> Call[Job]:
    """One job."""
    return Call("show_job", _job, {"id": id})


def wait_for_job(id: str, wait_s: float) -> Call[Job]:
    """One job, when it has ended or the time is over."""
    wait_s = min(max(wait_s, 0.0), WAIT_MAX_S)
    return Call("wait_for_job", _job, {"id": id}, {"timeout_ms": round(wait_s * 1000)}, waits_s=wait_s)


def list_jobs(
    queue: str | None,
    kind: str | None,
    state: str | None,
    batch: str | None,
    before: Time | None,
    after: Time | None,
    cursor: str | None,
    limit: int | None,
) -> Call[JobPage]:
    """A page of jobs."""
    query = {
        "queue": queue,
        "kind": kind,
        "state": state,
        "batch": batch,
        "before": None if before is None else time_text(before),
        "after": None if after is None else time_text(after),
        "cursor": cursor,
        "limit": limit,
    }

    def read(answer: Answer, _is_second: bool) -> JobPage:
        value: described.JobPage = answer.json()
        return JobPage([Job.of(job) for job in value["jobs"]], value.get("next"))

    return Call("list_jobs", read, query=query)


def cancel_job(id: str) -> Call[described.Changed]:
    """Cancels a job."""
    return Call("cancel_job", _json, {"id": id})


def retry_job(id: str) -> Call[described.Changed]:
    """Puts a job back into the line. If it were sent twice, the job could run twice."""
    return Call("retry_job", _json, {"id": id}, repeat=Repeat.UNDONE)


def set_priority(id: str, priority: int) -> Call[described.Changed]:
    """Changes the priority of a waiting job."""
    return Call("set_priority", _json, {"id": id}, body={"priority": priority})


def explain_job(id: str) -> Call[dict[str, Any]]:
    """Why a job is in its state, and what it waits for."""
    return Call("explain_job", _json, {"id": id})


def show_graph(id: str, limit: int | None) -> Call[dict[str, Any]]:
    """The jobs around a job."""
    return Call("show_graph", _json, {"id": id}, {"limit": limit})


def list_queues() -> Call[list[described.QueueView]]:
    """All queues."""
    return Call("list_queues", lambda answer, _: answer.json()["queues"])


def stats() -> Call[described.Stats]:
    """The numbers of both stores."""
    return Call("stats", _json)


def list_workers() -> Call[list[Any]]:
    """The live workers."""
    return Call("list_workers", lambda answer, _: answer.json()["workers"])


def pause_queue(queue: str, kind: str | None, paused: bool) -> Call[described.Paused]:
    """Pauses or resumes a queue, or a kind in it."""
    body = {} if kind is None else {"kind": kind}
    return Call("pause_queue" if paused else "resume_queue", _json, {"queue": queue}, body=body)


def purge_queue(queue: str) -> Call[described.Purged]:
    """Cancels the waiting jobs. If it were sent twice, it could cancel jobs that were enqueued in between."""
    return Call("purge_queue", _json, {"queue": queue}, repeat=Repeat.UNDONE)


def set_queue(queue: str, change: described.QueuePatch) -> Call[described.QueueSet]:
    """Changes the settings of a queue."""
    return Call("set_queue", _json, {"queue": queue}, body=change)


def list_limits() -> Call[list[dict[str, Any]]]:
    """All limits."""
    return Call("list_limits", lambda answer, _: answer.json()["limits"])


def show_limit(key: str) -> Call[dict[str, Any]]:
    """One limit."""
    return Call("show_limit", _json, {"key": key})


def set_limit(key: str, running: int | None, rate: str | None, burst: int | None) -> Call[dict[str, Any]]:
    """Sets a limit."""
    given = {"running": running, "rate": rate, "burst": burst}
    body = {name: value for name, value in given.items() if value is not None}
    return Call("set_limit", _json, {"key": key}, body=body)


def _removed(answer: Answer, is_second: bool) -> None:
    # An earlier try, whose answer was lost, has removed it.
    if answer.status == 404 and is_second:
        return
    answer.json()


def remove_limit(key: str) -> Call[None]:
    """Removes a limit."""
    return Call("remove_limit", _removed, {"key": key})


def list_schedules() -> Call[list[dict[str, Any]]]:
    """All schedules."""
    return Call("list_schedules", lambda answer, _: answer.json()["schedules"])


def show_schedule(name: str) -> Call[dict[str, Any]]:
    """One schedule, with its next ticks."""
    return Call("show_schedule", _json, {"name": name})


def set_schedule(
    name: str, job: NewJob, cron: str | None, every: str | None, timezone: str | None, missed: str | None
) -> Call[dict[str, Any]]:
    """Creates or changes a schedule."""
    given = {"cron": cron, "every": every, "timezone": timezone, "missed": missed}
    body = {word: value for word, value in given.items() if value is not None}
    return Call("set_schedule", _json, {"name": name}, body={**body, "job": job.words()})


def change_schedule(name: str, operation: str) -> Call[dict[str, Any]]:
    """Pauses or resumes a schedule."""
    return Call(operation, _json, {"name": name})


def run_schedule(name: str) -> Call[described.ScheduledJob]:
    """Enqueues the job of a schedule. If it were sent twice, it could make two jobs."""
    return Call("run_schedule", _json, {"name": name}, repeat=Repeat.UNDONE)


def remove_schedule(name: str) -> Call[None]:
    """Removes a schedule."""
    return Call("remove_schedule", _removed, {"name": name})


def list_batches(limit: int | None) -> Call[list[dict[str, Any]]]:
    """Batches, the newest first."""
    return Call("list_batches", lambda answer, _: answer.json()["batches"], query={"limit": limit})


def show_batch(name: str) -> Call[dict[str, Any]]:
    """One batch."""
    return Call("show_batch", _json, {"name": name})


def wait_for_batch(name: str, wait_s: float) -> Call[tuple[dict[str, Any], bool]]:
    """A batch, and whether all of its jobs have ended."""
    wait_s = min(max(wait_s, 0.0), WAIT_MAX_S)

    def read(answer: Answer, _is_second: bool) -> tuple[dict[str, Any], bool]:
        return cast("dict[str, Any]", answer.json()), answer.status == 200

    return Call("wait_for_batch", read, {"name": name}, {"timeout_ms": round(wait_s * 1000)}, waits_s=wait_s)


def seal_batch(name: str, callbacks: described.Callbacks) -> Call[dict[str, Any]]:
    """Seals a batch."""
    return Call("seal_batch", _json, {"name": name}, body=callbacks)


def cancel_batch(name: str) -> Call[described.BatchCancelled]:
    """Cancels the live jobs of a batch. A second request could cancel jobs that were added to the batch in
    between.
    """
    return Call("cancel_batch", _json, {"name": name}, repeat=Repeat.UNDONE)


def _bulk(
    action: str, filter: described.BulkConditions, priority: int | None, to: str | None, dry_run: bool
) -> described.BulkRequest:
    body: described.BulkRequest = {"action": action, "filter": filter, "dry_run": dry_run}
    if priority is not None:
        body["priority"] = priority
    if to is not None:
        body["to"] = to
    return body


def change_jobs(
    action: str, filter: described.BulkConditions, priority: int | None, to: str | None
) -> Call[described.OperationView]:
    """Begins a change of all jobs that match a filter. A second request could change jobs that were enqueued in
    between.
    """
    return Call("change_jobs", _json, body=_bulk(action, filter, priority, to, dry_run=False), repeat=Repeat.UNDONE)


def count_jobs(
    action: str, filter: described.BulkConditions, priority: int | None, to: str | None
) -> Call[described.BulkCounts]:
    """Counts the jobs that such a change would affect."""
    return Call("change_jobs", _json, body=_bulk(action, filter, priority, to, dry_run=True))


def list_operations(limit: int | None) -> Call[list[described.OperationView]]:
    """The newest operations."""
    return Call("list_operations", lambda answer, _: answer.json()["operations"], query={"limit": limit})


def show_operation(id: str) -> Call[described.OperationView]:
    """One operation."""
    return Call("show_operation", _json, {"id": id})


def cancel_operation(id: str) -> Call[described.OperationView]:
    """Stops an operation."""
    return Call("cancel_operation", _json, {"id": id})


def claim(
    queue: str, worker: str, kinds: Sequence[str], claim_id: str, most: int, wait_s: float, lease_ms: int
) -> Call[list[described.ClaimedJob]]:
    """Claims jobs. The worker repeats a lost claim itself, with the same `claim_id`."""
    body: described.ClaimRequest = {
        "worker": worker,
        "kinds": list(kinds),
        "max": most,
        "wait_ms": round(wait_s * 1000),
        "lease_ms": lease_ms,
        "claim_id": claim_id,
    }
    return Call("claim", lambda answer, _: answer.json()["jobs"], {"queue": queue}, body=body, waits_s=wait_s)


def renew_all(worker: str, runs: Sequence[tuple[str, int]], lease_ms: int) -> Call[tuple[list[described.RenewedRun], bool]]:
    """Renews leases. The answer also says whether the worker is drained; a server that cannot drain workers does not
    say so.
    """
    fences: list[described.RunFence] = [{"id": id, "epoch": epoch} for id, epoch in runs]
    body: described.RenewAllRequest = {"worker": worker, "lease_ms": lease_ms, "runs": fences}

    def read(answer: Answer, _is_second: bool) -> tuple[list[described.RenewedRun], bool]:
        value: dict[str, Any] = answer.json()
        return value["runs"], bool(value.get("quiet"))

    return Call("renew_all", read, body=body)


def end_run(id: str, operation: str, body: Mapping[str, Any]) -> Call[described.Settled]:
    """Ends a run: `complete`, `fail`, `snooze` or `release`."""
    return Call(operation, _json, {"id": id}, body=body)
