"""The clients, on the real server."""

from __future__ import annotations

import asyncio
import inspect
import multiprocessing
import os
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from conftest import Fleet

import leasehold
from leasehold import AsyncClient, Client, NewJob, Node


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_job_is_enqueued_and_shown(fleet: Fleet, client: Client, queue: str) -> None:
    fleet.has_webhook("of-tests")
    run_at = datetime.now(timezone.utc) + timedelta(hours=1)
    made = client.enqueue(
        "mail",
        {"big": 123456789012345678901234567890, "text": "ä\u2028", "none": None},
        queue=queue,
        priority=7,
        run_at=run_at,
        max_attempts=9,
        timeout=90,
        unique_key=f"key-{queue}",
        limit_keys=["a", "b"],
        fair_key="ann",
        batch=f"batch-{queue}",
        webhook="of-tests",
        traceparent=TRACE,
        retry={"strategy": "fixed", "base": "2s"},
        expires_in=timedelta(days=1),
    )
    assert (made.inserted, made.state) == (True, "scheduled")
    job = client.get(made.id)
    assert job.payload == {"big": 123456789012345678901234567890, "text": "ä\u2028", "none": None}
    assert (job.queue, job.kind, job.state, job.priority, job.max_attempts) == (queue, "mail", "scheduled", 7, 9)
    assert (job.timeout_ms, job.limit_keys, job.fair_key, job.batch) == (90_000, ("a", "b"), "ann", f"batch-{queue}")
    assert abs(job.run_at - run_at) < timedelta(milliseconds=1)
    assert job.raw["expires_at"] is not None
    assert job.webhook == "of-tests"
    with pytest.raises(leasehold.Invalid, match="webhook is 'nobody', and there is no webhook of this id"):
        client.enqueue("mail", queue=queue, webhook="nobody")
    second = client.enqueue("mail", queue=queue, unique_key=f"key-{queue}")
    assert (second.id, second.inserted) == (made.id, False)


def test_many_jobs_keep_their_order(client: Client, queue: str) -> None:
    made = client.enqueue_many([NewJob("k", {"n": n}, queue=queue) for n in range(300)])
    assert all(one.inserted for one in made)
    assert [one.id for one in made] == sorted(one.id for one in made)
    shown = list(client.jobs(queue=queue))
    assert [job.payload["n"] for job in shown] == list(range(299, -1, -1))
    page = client.list(queue=queue, limit=10)
    assert len(page.jobs) == 10 and page.next is not None
    assert client.list(queue=queue, limit=10, cursor=page.next).jobs[0].payload == {"n": 289}


def test_every_bad_field_is_named(client: Client, queue: str) -> None:
    with pytest.raises(leasehold.Invalid) as caught:
        client.enqueue_many([NewJob("k", queue=queue), NewJob("k", queue="a b", priority=101)])
    assert {detail.pointer for detail in caught.value.details} == {"/jobs/1/queue", "/jobs/1/priority"}
    assert caught.value.status == 422 and caught.value.request_id
    assert client.list(queue=queue).jobs == []


def test_errors_have_classes(client: Client, queue: str) -> None:
    nobody = str(uuid.uuid4())
    for call in (client.get, client.cancel, client.retry, client.explain):
        with pytest.raises(leasehold.NotFound):
            call(nobody)
    with pytest.raises(leasehold.Invalid):
        client.get("no-uuid")
    made = client.enqueue("k", queue=queue)
    with pytest.raises(leasehold.Conflict):
        client.retry(made.id)
    client.enqueue("k", queue=queue, id=str(uuid.uuid4()))
    client.enqueue_job(NewJob("k", queue=queue), idempotency_key=f"once-{queue}")
    with pytest.raises(leasehold.IdempotencyMismatch):
        client.enqueue_job(NewJob("other", queue=queue), idempotency_key=f"once-{queue}")
    with pytest.raises(leasehold.ConfigError):
        client.enqueue_job(NewJob("k", queue=queue), idempotency_key="has spaces")
    with pytest.raises(leasehold.PayloadError):
        client.enqueue("k", float("nan"), queue=queue)


def test_an_idempotency_key_makes_one_job_for_fifty_calls(client: Client, queue: str) -> None:
    job = NewJob("k", {"a": 1}, queue=queue)
    answers: list[leasehold.Enqueued] = []

    def enqueue() -> None:
        answers.append(client.enqueue_job(job, idempotency_key=f"key-{queue}"))

    threads = [threading.Thread(target=enqueue) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 50 and len({(one.id, one.inserted) for one in answers}) == 1
    assert len(client.list(queue=queue).jobs) == 1


def test_jobs_are_cancelled_retried_moved_and_explained(client: Client, queue: str) -> None:
    id = client.enqueue("k", queue=queue).id
    assert client.set_priority(id, 5) == {"id": id, "state": "queued", "changed": True}
    assert client.explain(id)["state"] == "queued"
    assert client.cancel(id)["state"] == "cancelled"
    assert client.cancel(id)["changed"] is False
    assert client.wait(id, 5).state == "cancelled"
    assert client.retry(id)["state"] == "queued"
    begun = time.monotonic()
    with pytest.raises(leasehold.WaitTimedOut):
        client.wait(id, 0.3)
    assert 0.25 < time.monotonic() - begun < 5


def test_queues_are_paused_purged_and_set(client: Client, queue: str) -> None:
    client.enqueue_many([NewJob("k", queue=queue)] * 3)
    assert client.pause(queue) == {"queue": queue, "paused": True, "changed": True}
    assert client.pause(queue)["changed"] is False
    assert client.pause(queue, kind="k")["kind"] == "k"
    shown = next(one for one in client.queues() if one["queue"] == queue)
    assert (shown["paused"], shown["paused_kinds"], shown["queued"]) == (True, ["k"], 3)
    assert client.resume(queue)["paused"] is False
    assert client.purge(queue) == {"queue": queue, "cancelled": 3, "more": False}
    assert client.set_queue(queue, {"keep_days": 3, "dead_letter": f"{queue}-dead"})["keep_days"] == 3
    assert any(one["queue"] == queue for one in client.stats()["postgres"])
    assert isinstance(client.workers(), list)


def test_limits_schedules_and_batches(client: Client, queue: str) -> None:
    key = f"limit/{queue} ä"
    assert client.set_limit(key, running=2, rate="10/s")["running"] == 2
    assert client.limit(key)["rate"] == "10/s" and any(one["key"] == key for one in client.limits())
    client.remove_limit(key)
    with pytest.raises(leasehold.NotFound):
        client.remove_limit(key)

    name = f"nightly-{queue}"
    made = client.set_schedule(name, NewJob("report", queue=queue), cron="0 3 * * *", timezone="Europe/Vienna")
    assert made["cron"] == "0 3 * * *" and client.schedule(name)["next"]
    assert client.pause_schedule(name)["paused_at"] and client.resume_schedule(name)["paused_at"] is None
    assert client.get(client.run_schedule(name)["id"]).kind == "report"
    client.set_schedule(name, NewJob("report", queue=queue), every=90)
    assert any(one["name"] == name for one in client.schedules())
    client.remove_schedule(name)

    batch = f"batch-{queue}"
    client.enqueue_many([NewJob("k", queue=queue, batch=batch)] * 2)
    assert client.batch(batch)["queued"] == 2 and any(one["name"] == batch for one in client.batches())
    with pytest.raises(leasehold.WaitTimedOut):
        client.wait_batch(batch, 0.1)
    assert client.seal_batch(batch, on_complete="done", queue=f"{queue}-callbacks")["on_complete"] == "done"
    with pytest.raises(leasehold.Conflict):
        client.seal_batch(batch, on_complete="other")
    assert client.cancel_batch(batch) == {"cancelled": 2, "stopping": 0}
    assert client.wait_batch(batch, 5)["cancelled"] == 2


def test_a_graph_is_enqueued_at_once(client: Client, queue: str) -> None:
    extract, load = NewJob("extract", queue=queue), NewJob("load", queue=queue)
    made = client.graph([Node("load", load, after=["extract"]), Node("extract", extract)])
    assert [(one.name, one.state) for one in made] == [("load", "blocked"), ("extract", "queued")]
    assert len(client.show_graph(made[0].id)["jobs"]) == 2
    with pytest.raises(leasehold.Invalid):
        client.graph([Node("a", extract, after=["b"]), Node("b", load, after=["a"])])


def test_the_async_client_does_the_same(fleet: Fleet, queue: str) -> None:
    async def use(queue: str) -> None:
        async with AsyncClient(fleet.url) as client:
            made = await asyncio.gather(*(client.enqueue("k", {"n": n}, queue=queue) for n in range(40)))
            assert len({one.id for one in made}) == 40
            seen = [job.payload["n"] async for job in client.jobs(queue=queue)]
            assert sorted(seen) == list(range(40))
            with pytest.raises(leasehold.WaitTimedOut):
                await client.wait(made[0].id, 0.2)
            waiting = asyncio.create_task(client.wait(made[1].id, 30))
            assert (await client.cancel(made[1].id))["state"] == "cancelled"
            assert (await waiting).state == "cancelled"
            with pytest.raises(leasehold.NotFound):
                await client.get(str(uuid.uuid4()))
            # A request that is cancelled leaves no half answer for the next one.
            waiting = asyncio.create_task(client.wait(made[2].id, 30))
            await asyncio.sleep(0.1)
            waiting.cancel()
            assert (await client.get(made[2].id)).state == "queued"

    asyncio.run(use(queue))
    # Another loop: the connections of the first one are of no use there.
    asyncio.run(use(f"{queue}-again"))


def test_both_clients_have_the_same_calls() -> None:
    def calls(kind: type[Any]) -> dict[str, list[str]]:
        functions = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(one).parameters) for name, one in functions if not name.startswith("_")}

    assert calls(Client) == calls(AsyncClient)


def _enqueue_in_child(client: Client, queue: str, made: Any) -> None:
    made.put((os.getpid(), [client.enqueue("k", {"pid": os.getpid()}, queue=queue).id for _ in range(40)]))


def test_a_client_can_be_used_by_the_children_of_a_fork(client: Client, queue: str) -> None:
    client.enqueue("k", queue=queue)
    fork = multiprocessing.get_context("fork")
    made: Any = fork.Queue()
    children = [fork.Process(target=_enqueue_in_child, args=(client, queue, made)) for _ in range(4)]
    for child in children:
        child.start()
    _enqueue_in_child(client, queue, made)
    answers = dict(made.get(timeout=60) for _ in range(5))
    for child in children:
        child.join(30)
    # With a connection of their parent, children would read the answers of each other.
    by_pid = {pid: {job.id for job in client.jobs(queue=queue) if job.payload.get("pid") == pid} for pid in answers}
    assert {pid: set(ids) for pid, ids in answers.items()} == by_pid and len(answers) == 5


def test_the_url_and_the_token_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("127.0.0.1:8080", "ftp://here", "http://", "http://a:b@here", "http://here:port", "http://here?x=1"):
        with pytest.raises(leasehold.ConfigError):
            Client(url)
    with pytest.raises(leasehold.ConfigError):
        Client("http://here", "two\r\nlines")
    monkeypatch.setenv("LEASEHOLD_URL", "https://jobs.example/base/")
    monkeypatch.setenv("LEASEHOLD_TOKEN", "lh_1_x")
    from leasehold._http import Place, Request

    place = Place.of(None, None)
    assert (place.host, place.port, place.prefix, place.authority) == ("jobs.example", 443, "/base", "jobs.example")
    assert place.headers(Request("GET", "/v1/jobs"))["authorization"] == "Bearer lh_1_x"
    assert "lh_1_x" not in repr(place)


def test_all_jobs_of_a_filter_are_changed(client: Client, queue: str) -> None:
    client.enqueue_many([NewJob("k", queue=queue) for _ in range(3)])
    assert client.count_jobs("cancel", {"queue": queue})["total"] == 3
    begun = client.change_jobs("priority", {"queue": queue, "state": ["queued"]}, priority=9)
    deadline = time.monotonic() + 30
    operation = client.operation(begun["id"])
    while operation["state"] in ("waiting", "running") and time.monotonic() < deadline:
        operation = client.operation(begun["id"])
    assert (operation["state"], operation["changed"]) == ("done", 3), operation
    assert [job.priority for job in client.jobs(queue=queue)] == [9, 9, 9]
    assert client.operations(limit=1)[0]["id"] == begun["id"]
    with pytest.raises(leasehold.Invalid):
        client.change_jobs("cancel", {})
    with pytest.raises(leasehold.Conflict):
        client.cancel_operation(begun["id"])
