"""Spans of OpenTelemetry around enqueues and runs."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, format_span_id, format_trace_id, get_current_span

from leasehold import App, Client, Never, Run, _calls
from leasehold.otel import _ids, run_ids, spans, traced  # pyright: ignore[reportPrivateUsage]
from leasehold.testing import FakeServer


class Exported:
    """What a provider has exported."""

    def __init__(self, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**options)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def named(self, name: str) -> list[ReadableSpan]:
        """The spans with this name, in the order of their ends."""
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The only span with this name."""
        (span,) = self.named(name)
        return span

    def text(self) -> str:
        """Everything, as JSON."""
        return "".join(span.to_json() for span in self._exporter.get_finished_spans())


def place(context: SpanContext | None) -> tuple[int, int]:
    """The ids of a context."""
    assert context is not None
    return context.trace_id, context.span_id


def links(span: ReadableSpan) -> dict[str, tuple[int, int]]:
    """Where a span links to, by what the link is."""
    return {str((link.attributes or {})["messaging.leasehold.link"]): place(link.context) for link in span.links}


def attribute(span: ReadableSpan, name: str) -> object:
    """An attribute of a span."""
    return (span.attributes or {}).get(name)


def test_each_attempt_links_to_the_enqueue_and_to_the_attempt_before() -> None:
    exported = Exported(id_generator=run_ids())
    app = App(around=[spans(exported.provider)])
    inside: list[int] = []

    @app.job(max_attempts=2, queue="mail")
    async def sometimes(run: Run, n: int) -> int:
        inside.append(get_current_span().get_span_context().span_id)
        if run.attempt == 1:
            raise RuntimeError("not yet: the payload is 7")
        return n

    with FakeServer(app) as server:
        traced(app.client, exported.provider)
        handle = sometimes.enqueue(7)
        server.drain(for_s=60)
    send = exported.one("send mail")
    failed, succeeded = exported.named("process mail")
    assert send.kind is SpanKind.PRODUCER and attribute(send, "messaging.message.id") == handle.id
    for run in (failed, succeeded):
        assert run.kind is SpanKind.CONSUMER and run.parent is None
        assert attribute(run, "messaging.message.id") == handle.id and attribute(run, "messaging.operation.type") == "process"
    assert links(failed) == {"enqueue": place(send.context)}
    assert links(succeeded) == {"enqueue": place(send.context), "attempt_before": place(failed.context)}
    assert (failed.status.status_code, succeeded.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert (attribute(failed, "error.type"), attribute(succeeded, "error.type")) == ("RuntimeError", None)
    assert attribute(succeeded, "messaging.leasehold.outcome") == "succeeded"
    assert inside == [place(failed.context)[1], place(succeeded.context)[1]]
    assert "not yet" not in exported.text()


def test_without_the_ids_of_runs_there_is_no_link_to_the_attempt_before() -> None:
    exported = Exported()
    app = App(around=[spans(exported.provider, record_exceptions=True)])

    @app.job(max_attempts=2)
    def never(run: Run) -> None:
        if run.attempt == 2:
            raise Never("no such user")
        raise ValueError("not yet")

    with FakeServer(app) as server:
        never.enqueue()
        server.drain(for_s=60)
    first, second = exported.named("process default")
    assert (links(first), links(second)) == ({}, {})
    assert attribute(second, "error.type") == "Never"
    assert "not yet" in exported.text()


def test_an_async_client_and_several_jobs() -> None:
    exported = Exported()
    app = App(around=[spans(exported.provider)])

    @app.job()
    async def one(run: Run, n: int) -> None:
        del run, n

    @app.job(queue="mail")
    async def other(run: Run) -> None:
        del run

    with FakeServer(app) as server:
        traced(app.async_client, exported.provider)
        asyncio.run(app.async_client.enqueue_many([one.new(1), one.new(2), other.new()]))
        server.drain()
    send = exported.one("send")
    assert attribute(send, "messaging.batch.message_count") == 3 and attribute(send, "messaging.destination.name") is None
    runs = [*exported.named("process default"), *exported.named("process mail")]
    assert [links(run) for run in runs] == [{"enqueue": place(send.context)}] * 3


def test_a_follow_on_job_links_to_the_run_that_made_it() -> None:
    exported = Exported()
    app = App(around=[spans(exported.provider)])

    @app.job(queue="mail")
    def second(run: Run) -> None:
        del run

    @app.job()
    def first(run: Run) -> None:
        run.then(second.new())

    with FakeServer(app) as server:
        first.enqueue()
        server.drain()
    made = exported.one("process default")
    assert links(exported.one("process mail")) == {"enqueue": place(made.context)}


def test_an_enqueue_that_is_not_sampled_makes_a_plain_job() -> None:
    unsampled, exported = Exported(sampler=ALWAYS_OFF), Exported()
    app = App(around=[spans(exported.provider)])

    @app.job()
    def plain(run: Run) -> None:
        assert run.traceparent is None

    with FakeServer(app) as server:
        traced(app.client, unsampled.provider)
        handle = plain.enqueue()
        server.drain()
        assert server.job(handle.id).state == "succeeded"
    assert links(exported.one("process default")) == {}


def test_an_enqueue_that_fails_has_an_error() -> None:
    exported = Exported()
    app = App()
    with FakeServer(app):
        traced(app.client, exported.provider)
        with pytest.raises(Exception, match="kind"):
            app.client.enqueue("")
    send = exported.one("send default")
    assert send.status.status_code is StatusCode.ERROR and attribute(send, "error.type") == "Invalid"


def test_the_server_keeps_the_span_of_the_enqueue_for_the_run(client: Client, queue: str) -> None:
    exported = Exported()
    traced(client, exported.provider).enqueue("one", queue=queue)
    (claimed,) = client.do(_calls.claim(queue, str(uuid.uuid4()), ["one"], str(uuid.uuid4()), 1, 0, 30_000))
    trace_id, span_id = place(exported.one(f"send {queue}").context)
    assert str(claimed.get("traceparent")).startswith(f"00-{format_trace_id(trace_id)}-{format_span_id(span_id)}-")


def test_the_ids_of_a_run_are_those_of_a_rust_worker() -> None:
    trace_id, span_id = _ids("07070707-0707-0707-0707-070707070707", 1)
    # The test `the_ids_follow_from_the_run` in lib/telemetry has this line too.
    assert f"{format_trace_id(trace_id)} {format_span_id(span_id)}" == "8239c5720fa35e3cc92b84fbfd819268 69828edeee1bef9d"
