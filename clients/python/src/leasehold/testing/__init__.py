"""A server in memory for unit tests, with virtual time. No process, no network, no waiting::

    def test_a_failure_is_tried_again():
        with FakeServer(app) as server:
            handle = resize.enqueue(path="a.png", width=320)
            server.assert_enqueued(resize, path="a.png")
            server.drain()                    # runs every job that is due
            server.advance(3600)              # an hour later
            server.drain()
            assert server.job(handle.id).state == "succeeded"

Handlers really run, one after the other, and all calls go through the client. The tests of this package run the same
cases on this server and on `leasehold api`. The server in memory does not support limits, fair keys, schedules and
the field `unique`. A call that it does not support raises `NotImplementedError`. It stores limit keys and fair keys,
but they have no effect.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Final, ParamSpec, TypeVar, cast

from .. import _calls, errors
from .._http import Answer, Request
from ..aio import AsyncClient
from ..app import App, JobType
from ..client import Client
from ..model import Job, NewJob
from ..run import Run
from ..worker.outcome import Outcome, perform, perform_async
from ._routes import Routes, view
from ._store import FakeJob, Store

__all__ = ["FakeServer", "new_run"]

P = ParamSpec("P")
R = TypeVar("R")
_TIMEOUT_S: Final = 3600.0
#: A job that enqueues itself again and again would never end.
_RUNS_MAX: Final = 10_000


class _FakeClient(Client):
    """Waits in virtual time: one read is enough."""

    def wait(self, id: str, timeout: float = 60.0) -> Job:
        return _final(self.do(_wait_for(id, timeout)), timeout)


class _FakeAsyncClient(AsyncClient):
    """The same, to be awaited."""

    async def wait(self, id: str, timeout: float = 60.0) -> Job:
        return _final(await self.do(_wait_for(id, timeout)), timeout)


def _wait_for(id: str, timeout: float) -> _calls.Call[Job]:
    return _calls.Call("wait_for_job", _read_job, {"id": id}, {"timeout_ms": round(timeout * 1000)})


def _final(job: Job, timeout: float) -> Job:
    if not job.is_final:
        raise errors.WaitTimedOut(f"the job {job.id} is {job.state} after {timeout:g} s")
    return job


def _read_job(answer: Answer, is_second: bool) -> Job:
    del is_second
    return Job.of(answer.json())


class _AsyncTransport:
    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    async def send(self, request: Request) -> Answer:
        """Answers immediately."""
        return self._routes.send(request)

    async def close(self) -> None:
        """There is no connection to close."""


class FakeServer:
    """The server, and a worker that runs only in `drain`. As a context manager, it replaces the clients of the
    app.
    """

    def __init__(self, app: App, *, start: datetime | None = None) -> None:
        self._app = app
        self._store = Store(start)
        self._worker = str(uuid.uuid4())
        routes = Routes(self._store, self._wait)
        self.client: Client = _FakeClient(transport=routes, retry_for_s=0)
        self.async_client: AsyncClient = _FakeAsyncClient(transport=_AsyncTransport(routes), retry_for_s=0)
        self._before: tuple[Client | None, AsyncClient | None] = (None, None)

    def __enter__(self) -> FakeServer:
        self._before = self._app.replace_clients(self.client, self.async_client)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._app.replace_clients(*self._before)

    @property
    def now(self) -> datetime:
        """The virtual time."""
        return self._store.now

    def advance(self, seconds: float) -> None:
        """Moves the time. Scheduled jobs become due, and leases run out. Runs no job: call `drain` for that."""
        self._store.advance(seconds)

    def job(self, id: str) -> Job:
        """A job. Raises `KeyError`."""
        return Job.of(view(self._store.jobs[id]))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    def enqueued(self, job: JobType[P, R] | None = None) -> Sequence[Job]:
        """All jobs, or all jobs of one kind, in the order in which they were enqueued."""
        kind = None if job is None else job.kind
        return [self.job(one.id) for one in self._store.jobs.values() if kind in (None, one.kind)]

    def assert_enqueued(self, job: JobType[P, R], *, times: int | None = None, **fields: Any) -> Job:
        """Asserts that there is a job of this kind whose payload has these fields. Returns the newest such job."""
        found = [one for one in self.enqueued(job) if _has(one.payload, fields)]
        if not found or (times is not None and len(found) != times):
            others = [one.payload for one in self.enqueued(job)]
            wanted = "a job" if times is None else f"{times} jobs"
            raise AssertionError(f"{wanted} {job.kind} with {fields} wanted; found {len(found)} of these: {others}")
        return found[-1]

    def drain(self, *, for_s: float = 0.0) -> int:
        """Runs every job that is due, and the jobs that these jobs enqueue. With `for_s`, moves the time whenever no
        job is due, at most by `for_s` seconds in all. Returns the number of runs."""
        end = self._store.now + timedelta(seconds=for_s)
        runs = 0
        while runs < _RUNS_MAX:
            claimed = self._claim()
            if claimed is not None:
                self._perform(claimed)
                runs += 1
                continue
            due = self._store.next_due()
            if due is None or due > end:
                if end > self._store.now:
                    self._store.advance((end - self._store.now).total_seconds())
                return runs
            self._store.advance(max(0.0, (due - self._store.now).total_seconds()))
        raise AssertionError(f"{_RUNS_MAX} runs, and no end")

    def _wait(self, job: FakeJob, timeout_s: float) -> None:
        """When a program waits for a job, the worker runs the due jobs."""
        end = self._store.now + timedelta(seconds=timeout_s)
        while not job.is_final:
            if self.drain():
                continue
            due = self._store.next_due()
            if due is None or due > end:
                return
            self._store.advance(max(0.0, (due - self._store.now).total_seconds()))

    def _claim(self) -> Any:
        kinds = list(self._app.jobs)
        for queue in sorted({job.queue for job in self._store.jobs.values()}):
            call = _calls.claim(queue, self._worker, kinds, str(uuid.uuid4()), 1, 0, 30_000)
            claimed = self.client.do(call)
            if claimed:
                return claimed[0]
        return None

    def _perform(self, claimed: Any) -> None:
        job = self._app.jobs[claimed["kind"]]
        names = ("id", "epoch", "worker", "kind", "queue", "attempt", "max_attempts", "crashes", "parents", "traceparent")
        run = Run(**{name: claimed[name] for name in names})
        timeout_ms = claimed["timeout_ms"]
        timeout_s = _TIMEOUT_S if timeout_ms is None else timeout_ms / 1000
        outcome: Outcome
        if job.is_async:
            outcome = _finished(perform_async(self._app, job, run, claimed["payload"], timeout_s))
        else:
            outcome = perform(self._app, job, run, claimed["payload"], timeout_s)
        fence = {"worker": run.fence.worker, "epoch": run.fence.epoch}
        self.client.do(_calls.end_run(run.id, outcome.operation, {**fence, **outcome.body}))


def _finished(handler: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Runs an async handler to its end. This also works in an async test: the loop of the test waits."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, handler).result()


def new_run(job: NewJob, *, attempt: int = 1) -> Run:
    """A run for a test that calls a handler directly: `resize.function(new_run(resize.new("a.png", 3)), "a.png",
    3)`.
    """
    return Run(
        id=job.id or str(uuid.uuid4()),
        epoch=attempt,
        worker=str(uuid.uuid4()),
        kind=job.kind,
        queue=job.queue or "default",
        attempt=attempt,
        max_attempts=job.max_attempts or 5,
    )


def _has(payload: Any, fields: dict[str, Any]) -> bool:
    if not isinstance(payload, dict):
        return not fields
    given = cast("dict[str, Any]", payload)
    return all(name in given and given[name] == value for name, value in fields.items())
