"""Spans of OpenTelemetry (extra `otel`): `App(around=[leasehold.otel.spans()])` for runs, `leasehold.otel.traced(client)` for enqueues.

The names follow the semantic conventions for messaging. No span has a payload, a result, or the text of an error.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ._calls import Call
from .aio import AsyncClient
from .client import Client
from .errors import LeaseholdError
from .run import Cancelled, Run, Snooze

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.id_generator import IdGenerator

C = TypeVar("C", Client, AsyncClient)

#: Trace id and span id of the span that is about to start.
_next_ids: ContextVar[tuple[int, int] | None] = ContextVar("leasehold_next_ids", default=None)
_FORMAT = TraceContextTextMapPropagator()
_LINK = "messaging.leasehold.link"


def spans(
    provider: trace.TracerProvider | None = None, *, record_exceptions: bool = False
) -> Callable[[Run], AbstractContextManager[trace.Span]]:
    """A span `process {queue}` of the kind CONSUMER around each run.

    It is the root of a separate trace, and links to the span that enqueued the job. If the provider has `run_ids()`,
    it also links to the span of the previous attempt. The jobs of `run.then` link to the span of the run. An
    exception sets the status and `error.type`; its text, which often quotes the payload, is a part of the span only
    with `record_exceptions`.
    """
    tracer = trace.get_tracer("leasehold", tracer_provider=provider)

    @contextmanager
    def around(run: Run) -> Generator[trace.Span, None, None]:
        attributes: dict[str, str | int] = {
            "messaging.system": "leasehold",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": run.queue,
            "messaging.message.id": run.id,
            "messaging.client.id": run.fence.worker,
            "messaging.leasehold.kind": run.kind,
            "messaging.leasehold.attempt": run.attempt,
            "messaging.leasehold.epoch": run.fence.epoch,
        }
        enqueued = _remote(run.traceparent)
        links = [] if enqueued is None else [trace.Link(enqueued, {_LINK: "enqueue"})]
        ids = _ids(run.id, run.fence.epoch)
        token = _next_ids.set(ids)
        try:
            span = tracer.start_span(
                f"process {run.queue}", Context(), trace.SpanKind.CONSUMER, attributes, links, record_exception=False
            )
        finally:
            _next_ids.reset(token)
        context = span.get_span_context()
        # With other ids, the ids of the previous attempt are unknown.
        if context.trace_id == ids[0] and run.attempt > 1 and run.fence.epoch > 1:
            before = trace.SpanContext(*_ids(run.id, run.fence.epoch - 1), True, context.trace_flags)
            span.add_link(before, {_LINK: "attempt_before"})
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            run.followers_traceparent = _traceparent()
            try:
                yield span
            except (Snooze, Cancelled, asyncio.CancelledError) as error:
                span.set_attribute("messaging.leasehold.outcome", "snoozed" if isinstance(error, Snooze) else "released")
                raise
            except BaseException as error:
                span.set_attribute("messaging.leasehold.outcome", "failed")
                _note(span, error, record_exceptions)
                raise
            span.set_attribute("messaging.leasehold.outcome", "succeeded")

    return around


def traced(client: C, provider: trace.TracerProvider | None = None) -> C:
    """Makes a span `send {queue}` of the kind PRODUCER around each enqueue of this client. The jobs store its context, if it is sampled:
    their runs link to it. Returns the client."""
    tracer = trace.get_tracer("leasehold", tracer_provider=provider)

    @contextmanager
    def around(call: Call[Any]) -> Generator[Mapping[str, str], None, None]:
        jobs = _jobs_of(call)
        if not jobs:
            yield {}
            return
        queues = {str(job.get("queue") or "default") for job in jobs}
        attributes: dict[str, str | int] = {
            "messaging.system": "leasehold",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
        }
        if len(queues) == 1:
            attributes["messaging.destination.name"] = next(iter(queues))
        if len(jobs) != 1:
            attributes["messaging.batch.message_count"] = len(jobs)
        elif "id" in jobs[0]:
            attributes["messaging.message.id"] = str(jobs[0]["id"])
        name = f"send {next(iter(queues))}" if len(queues) == 1 else "send"
        span = tracer.start_span(name, kind=trace.SpanKind.PRODUCER, attributes=attributes, record_exception=False)
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            traceparent = _traceparent()
            try:
                yield {} if traceparent is None else {"traceparent": traceparent}
            except BaseException as error:
                _note(span, error, False)
                raise

    client.around = around
    return client


def run_ids() -> IdGenerator:
    """Makes ids of spans, for `TracerProvider(id_generator=run_ids())` of the SDK. The ids of the span of a run are
    computed from the run, so that the next attempt can link to it. All other spans get random ids. A Rust worker
    computes the same ids."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class RunIds(RandomIdGenerator):
        def generate_trace_id(self) -> int:
            ids = _next_ids.get()
            return super().generate_trace_id() if ids is None else ids[0]

        def generate_span_id(self) -> int:
            ids = _next_ids.get()
            return super().generate_span_id() if ids is None else ids[1]

    return RunIds()


def _ids(job: str, epoch: int) -> tuple[int, int]:
    """The ids of the span of a run: the same as in `lib/telemetry/src/traces/run_ids.rs`."""
    of_job = b"leasehold run" + uuid.UUID(job).bytes
    by_job = hashlib.sha256(of_job).digest()
    by_run = hashlib.sha256(of_job + epoch.to_bytes(8, "big", signed=True)).digest()
    return int.from_bytes(by_run[:8] + by_job[:8], "big"), int.from_bytes(by_run[8:16], "big")


def _traceparent() -> str | None:
    """The current span as `traceparent` of W3C Trace Context, if it is sampled."""
    if not trace.get_current_span().get_span_context().trace_flags.sampled:
        return None
    headers: dict[str, str] = {}
    _FORMAT.inject(headers)
    return headers.get("traceparent")


def _remote(traceparent: str | None) -> trace.SpanContext | None:
    if traceparent is None:
        return None
    context = _FORMAT.extract({"traceparent": traceparent}, Context())
    found = trace.get_current_span(context).get_span_context()
    return found if found.is_valid else None


def _jobs_of(call: Call[Any]) -> list[dict[str, Any]]:
    """The jobs that a call enqueues."""
    if call.operation not in ("enqueue", "submit_graph"):
        return []
    body = cast("dict[str, Any]", call.body)
    return body["jobs"] if "jobs" in body else [body]


def _note(span: trace.Span, error: BaseException, with_text: bool) -> None:
    kind = type(error)
    name = kind.__name__ if isinstance(error, LeaseholdError) else kind.__qualname__
    span.set_attribute("error.type", name)
    span.set_status(trace.StatusCode.ERROR)
    if with_text:
        span.record_exception(error)
