"""The sync client. One client may be used by many threads, and by the children of a fork."""

from __future__ import annotations

import dataclasses
import ssl
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

from . import _calls, errors
from ._calls import AroundCall, Call
from ._description import BatchCancelled, BulkConditions, BulkCounts, Callbacks, Changed, OperationView, Paused, Purged
from ._description import QueuePatch, QueueSet, QueueView, ScheduledJob, Stats
from ._http import Place, Transport
from ._retrying import Pauses
from ._sockets import SocketTransport
from .model import Duration, Enqueued, Job, JobPage, NewJob, Node, Time, duration_text

T = TypeVar("T")
#: The classes have a method `list`, which hides the type there.
EnqueuedJobs = list[Enqueued]


class Client:
    """Enqueues jobs, reads them, and changes them.

    `url` is the server, by default `LEASEHOLD_URL` or `http://127.0.0.1:8080`. `token` is a bearer token, by default
    `LEASEHOLD_TOKEN`. A request that fails because of the network or of an unavailable server is sent again for up to
    `retry_for_s`, if sending it twice does no harm. `timeout_s` is the timeout of one request.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = 10.0,
        retry_for_s: float = 30.0,
        tls: ssl.SSLContext | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.transport: Transport = transport or SocketTransport(Place.of(url, token), tls=tls)
        self.timeout_s = timeout_s
        self.retry_for_s = retry_for_s
        #: Called around each call, if it is set. It gives more headers. See `leasehold.otel.traced`.
        self.around: AroundCall | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self.transport.close()

    def do(self, call: Call[T], *, retry_for_s: float | None = None) -> T:
        """Sends a request until there is an answer."""
        if self.around is None:
            return self._do(call, retry_for_s)
        with self.around(call) as headers:
            return self._do(dataclasses.replace(call, headers={**call.headers, **headers}), retry_for_s)

    def _do(self, call: Call[T], retry_for_s: float | None) -> T:
        pauses = Pauses(self.retry_for_s if retry_for_s is None else retry_for_s)
        is_second = False
        while True:
            try:
                return call.read(self.transport.send(call.request(self.timeout_s)), is_second)
            except (errors.ConnectionFailed, errors.ApiError) as error:
                pause = pauses.next(error, call.repeat)
                if pause is None:
                    raise
                is_second = is_second or not isinstance(error, errors.ConnectionFailed) or error.was_sent
                time.sleep(pause)

    # Jobs

    def enqueue(
        self,
        kind: str,
        payload: Any = None,
        *,
        queue: str | None = None,
        priority: int | None = None,
        delay: Duration | None = None,
        run_at: Time | None = None,
        unique_key: str | None = None,
        unique: dict[str, Any] | None = None,
        limit_keys: Sequence[str] | None = None,
        fair_key: str | None = None,
        batch: str | None = None,
        webhook: str | None = None,
        traceparent: str | None = None,
        max_attempts: int | None = None,
        timeout: Duration | None = None,
        retry: dict[str, Any] | None = None,
        expires_at: Time | None = None,
        expires_in: Duration | None = None,
        depends_on: Sequence[str] | None = None,
        on_parent_failure: str | None = None,
        id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Enqueued:
        """Enqueues a job. When this call returns, the job is accepted and will not be lost. Without a payload, the
        payload is `{}`.
        """
        job = NewJob(
            kind=kind,
            payload={} if payload is None else payload,
            queue=queue,
            priority=priority,
            delay=delay,
            run_at=run_at,
            unique_key=unique_key,
            unique=unique,
            limit_keys=limit_keys,
            fair_key=fair_key,
            batch=batch,
            webhook=webhook,
            traceparent=traceparent,
            max_attempts=max_attempts,
            timeout=timeout,
            retry=retry,
            expires_at=expires_at,
            expires_in=expires_in,
            depends_on=depends_on,
            on_parent_failure=on_parent_failure,
            id=id,
        )
        return self.enqueue_job(job, idempotency_key=idempotency_key)

    def enqueue_job(self, job: NewJob, *, idempotency_key: str | None = None) -> Enqueued:
        """Enqueues a job. For 24 hours, another call with the same `idempotency_key` and the same job gives the same
        answer.
        """
        return self.do(_calls.enqueue([job], idempotency_key, is_one=True))[0]

    def enqueue_many(self, jobs: Sequence[NewJob], *, idempotency_key: str | None = None) -> EnqueuedJobs:
        """Enqueues up to 1,000 jobs in one transaction: all of them, or none."""
        return self.do(_calls.enqueue(jobs, idempotency_key, is_one=False))

    def graph(self, nodes: Sequence[Node]) -> EnqueuedJobs:
        """Enqueues jobs that depend on each other, in one transaction."""
        return self.do(_calls.submit_graph(nodes))

    def show_graph(self, id: str, *, limit: int | None = None) -> dict[str, Any]:
        """The jobs that a job depends on, the jobs that depend on it, and so on."""
        return self.do(_calls.show_graph(id, limit))

    def get(self, id: str) -> Job:
        """One job, live or finished. Raises `NotFound`."""
        return self.do(_calls.show_job(id))

    def list(
        self,
        *,
        queue: str | None = None,
        kind: str | None = None,
        state: str | None = None,
        batch: str | None = None,
        webhook: str | None = None,
        traceparent: str | None = None,
        before: Time | None = None,
        after: Time | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> JobPage:
        """A page of jobs, the newest first."""
        return self.do(_calls.list_jobs(queue, kind, state, batch, before, after, cursor, limit))

    def jobs(
        self, *, queue: str | None = None, kind: str | None = None, state: str | None = None, batch: str | None = None
    ) -> Iterator[Job]:
        """All jobs, the newest first, page by page."""
        cursor: str | None = None
        while True:
            page = self.list(queue=queue, kind=kind, state=state, batch=batch, cursor=cursor, limit=500)
            yield from page.jobs
            cursor = page.next
            if cursor is None:
                return

    def wait(self, id: str, timeout: float = 60.0) -> Job:
        """Waits until a job has ended. Raises `WaitTimedOut` after `timeout` seconds; the job continues."""
        deadline = time.monotonic() + timeout
        while True:
            job = self.do(_calls.wait_for_job(id, deadline - time.monotonic()))
            if job.is_final:
                return job
            if time.monotonic() >= deadline:
                raise errors.WaitTimedOut(f"the job {id} is {job.state} after {timeout:g} s")

    def cancel(self, id: str) -> Changed:
        """Cancels a waiting job immediately; tells the worker of a running job to stop."""
        return self.do(_calls.cancel_job(id))

    def retry(self, id: str) -> Changed:
        """Puts a finished job back into the line; moves a scheduled job into the line immediately."""
        return self.do(_calls.retry_job(id))

    def set_priority(self, id: str, priority: int) -> Changed:
        """Changes the priority of a waiting job."""
        return self.do(_calls.set_priority(id, priority))

    def explain(self, id: str) -> dict[str, Any]:
        """Why a job is in its state, and what it waits for."""
        return self.do(_calls.explain_job(id))

    # Changes of many jobs

    def change_jobs(
        self, action: str, filter: BulkConditions, *, priority: int | None = None, to: str | None = None
    ) -> OperationView:
        """Begins a change of all jobs that match the filter: `cancel`, `retry`, `priority` or `move`. The servers do
        the work.
        """
        return self.do(_calls.change_jobs(action, filter, priority, to))

    def count_jobs(
        self, action: str, filter: BulkConditions, *, priority: int | None = None, to: str | None = None
    ) -> BulkCounts:
        """How many jobs such a change would affect. Changes nothing."""
        return self.do(_calls.count_jobs(action, filter, priority, to))

    def operations(self, *, limit: int | None = None) -> Sequence[OperationView]:
        """The newest changes of many jobs."""
        return self.do(_calls.list_operations(limit))

    def operation(self, id: str) -> OperationView:
        """The progress of a change of many jobs."""
        return self.do(_calls.show_operation(id))

    def cancel_operation(self, id: str) -> OperationView:
        """Stops a change of many jobs. Jobs that were changed stay changed."""
        return self.do(_calls.cancel_operation(id))

    # Queues

    def queues(self) -> Sequence[QueueView]:
        """All queues that have jobs or settings."""
        return self.do(_calls.list_queues())

    def stats(self) -> Stats:
        """What both stores know about the queues."""
        return self.do(_calls.stats())

    def workers(self) -> Sequence[Any]:
        """The live workers."""
        return self.do(_calls.list_workers())

    def pause(self, queue: str, *, kind: str | None = None) -> Paused:
        """Starts no more jobs of a queue, or of a kind in it. Running jobs continue."""
        return self.do(_calls.pause_queue(queue, kind, paused=True))

    def resume(self, queue: str, *, kind: str | None = None) -> Paused:
        """Ends a pause."""
        return self.do(_calls.pause_queue(queue, kind, paused=False))

    def purge(self, queue: str) -> Purged:
        """Cancels up to 100,000 waiting jobs of a queue. Call it again while the answer says `more`."""
        return self.do(_calls.purge_queue(queue))

    def set_queue(self, queue: str, change: QueuePatch) -> QueueSet:
        """Sets the step of priority, the dead-letter queue, the retention, the fair shares of a queue."""
        return self.do(_calls.set_queue(queue, change))

    # Limits

    def limits(self) -> Sequence[dict[str, Any]]:
        """All limits."""
        return self.do(_calls.list_limits())

    def limit(self, key: str) -> dict[str, Any]:
        """The limit of a key."""
        return self.do(_calls.show_limit(key))

    def set_limit(
        self, key: str, *, running: int | None = None, rate: str | None = None, burst: int | None = None
    ) -> dict[str, Any]:
        """Limits how many jobs of a key run at the same time, and how many start in a time, such as `rate="10/s"`."""
        return self.do(_calls.set_limit(key, running, rate, burst))

    def remove_limit(self, key: str) -> None:
        """Removes a limit."""
        self.do(_calls.remove_limit(key))

    # Batches

    def batches(self, *, limit: int | None = None) -> Sequence[dict[str, Any]]:
        """Batches, the newest first."""
        return self.do(_calls.list_batches(limit))

    def batch(self, name: str) -> dict[str, Any]:
        """A batch, with the number of its jobs by state."""
        return self.do(_calls.show_batch(name))

    def wait_batch(self, name: str, timeout: float = 60.0) -> dict[str, Any]:
        """Waits until no job of a batch is live. Raises `WaitTimedOut`."""
        deadline = time.monotonic() + timeout
        while True:
            batch, is_over = self.do(_calls.wait_for_batch(name, deadline - time.monotonic()))
            if is_over:
                return batch
            if time.monotonic() >= deadline:
                raise errors.WaitTimedOut(f"the batch {name} has live jobs after {timeout:g} s")

    def seal_batch(
        self,
        name: str,
        *,
        on_success: str | None = None,
        on_complete: str | None = None,
        on_death: str | None = None,
        queue: str | None = None,
    ) -> dict[str, Any]:
        """Seals a batch: no more jobs can be added. Enqueues jobs of these kinds when the batch has ended, each
        once.
        """
        callbacks = callbacks_of(on_success, on_complete, on_death, queue)
        return self.do(_calls.seal_batch(name, callbacks))

    def cancel_batch(self, name: str) -> BatchCancelled:
        """Cancels the live jobs of a batch."""
        return self.do(_calls.cancel_batch(name))

    # Schedules

    def schedules(self) -> Sequence[dict[str, Any]]:
        """All schedules."""
        return self.do(_calls.list_schedules())

    def schedule(self, name: str) -> dict[str, Any]:
        """A schedule, with its next ticks."""
        return self.do(_calls.show_schedule(name))

    def set_schedule(
        self,
        name: str,
        job: NewJob,
        *,
        cron: str | None = None,
        every: Duration | None = None,
        timezone: str | None = None,
        missed: str | None = None,
    ) -> dict[str, Any]:
        """Enqueues a job again and again. Give `cron` (with `timezone`) or `every`."""
        text = None if every is None else duration_text(every)
        return self.do(_calls.set_schedule(name, job, cron, text, timezone, missed))

    def pause_schedule(self, name: str) -> dict[str, Any]:
        """Pauses a schedule: its ticks make no jobs."""
        return self.do(_calls.change_schedule(name, "pause_schedule"))

    def resume_schedule(self, name: str) -> dict[str, Any]:
        """Resumes a schedule from now on."""
        return self.do(_calls.change_schedule(name, "resume_schedule"))

    def run_schedule(self, name: str) -> ScheduledJob:
        """Enqueues the job of a schedule now."""
        return self.do(_calls.run_schedule(name))

    def remove_schedule(self, name: str) -> None:
        """Removes a schedule; its jobs stay."""
        self.do(_calls.remove_schedule(name))


def callbacks_of(
    on_success: str | None, on_complete: str | None, on_death: str | None, queue: str | None
) -> Callbacks:
    """The callbacks of a batch, without those that are `None`."""
    callbacks: Callbacks = {}
    if on_success is not None:
        callbacks["on_success"] = on_success
    if on_complete is not None:
        callbacks["on_complete"] = on_complete
    if on_death is not None:
        callbacks["on_death"] = on_death
    if queue is not None:
        callbacks["queue"] = queue
    return callbacks
