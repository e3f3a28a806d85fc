"""The server in memory, held against the real one: each case of `Cases` runs on both."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Protocol

import pytest
from jobs_of_tests import add, add_async, app, fails, first, second, snoozes

import leasehold
from leasehold import Client, NewJob, Node
from leasehold import _calls
from leasehold.testing import FakeServer


class Side(Protocol):
    """One of the two servers."""

    client: Client

    def wait_s(self, seconds: float) -> None:
        """Lets this time pass, and the work of a reaper be done."""
        ...


class _Real:
    def __init__(self, client: Client) -> None:
        self.client = client

    def wait_s(self, seconds: float) -> None:
        # The case tests time, and the time of the real server cannot be moved.
        time.sleep(seconds + 0.4)


class _Fake:
    def __init__(self, server: FakeServer) -> None:
        self.client, self._server = server.client, server

    def wait_s(self, seconds: float) -> None:
        self._server.advance(seconds)


@pytest.fixture(params=["real", "fake"])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    if request.param == "real":
        yield _Real(request.getfixturevalue("client"))
    else:
        with FakeServer(app) as server:
            yield _Fake(server)


class Bot:
    """A worker that a case moves step by step."""

    def __init__(self, side: Side, queue: str) -> None:
        self._client, self._queue, self.id = side.client, queue, str(uuid.uuid4())

    def claim(self, most: int = 1, *, kinds: tuple[str, ...] = ("a", "b"), claim_id: str | None = None, lease_ms: int = 30_000) -> Any:
        call = _calls.claim(self._queue, self.id, kinds, claim_id or str(uuid.uuid4()), most, 0.0, lease_ms)
        # A claim that does not wait may be answered before a hint of the job has arrived.
        deadline = time.monotonic() + 20
        while True:
            jobs = self._client.do(call)
            if jobs or time.monotonic() > deadline or isinstance(self._client, leasehold.testing._FakeClient):
                return jobs

    def end(self, job: Any, operation: str, **body: Any) -> Any:
        return self._client.do(_calls.end_run(job["id"], operation, {"worker": self.id, "epoch": job["epoch"], **body}))

    def renew(self, *jobs: Any) -> Any:
        return self._client.do(_calls.renew_all(self.id, [(job["id"], job["epoch"]) for job in jobs], 30_000))[0]


@pytest.fixture
def bot(side: Side, queue: str) -> Bot:
    return Bot(side, queue)


def enqueue(side: Side, queue: str, kind: str = "a", **words: Any) -> str:
    return side.client.enqueue(kind, queue=queue, **words).id


def test_a_job_is_claimed_once_and_ends_once(side: Side, queue: str, bot: Bot) -> None:
    id = enqueue(side, queue, payload={"x": 1}, timeout=60)
    (job,) = bot.claim()
    assert (job["id"], job["epoch"], job["attempt"], job["payload"], job["timeout_ms"]) == (id, 1, 1, {"x": 1}, 60_000)
    assert side.client.get(id).state == "running"
    assert bot.end(job, "complete", result=[1]) == {"state": "succeeded", "already": False}
    assert bot.end(job, "complete", result=[1]) == {"state": "succeeded", "already": True}
    with pytest.raises(leasehold.LeaseLost):
        bot.end(job, "fail", error="late")
    with pytest.raises(leasehold.LeaseLost):
        bot.end({**job, "epoch": 2}, "complete")
    done = side.client.get(id)
    assert (done.state, done.result, done.finished_at is not None) == ("succeeded", [1], True)


def test_the_same_claim_gives_the_same_jobs(side: Side, queue: str, bot: Bot) -> None:
    for _ in range(3):
        enqueue(side, queue)
    first_claim = bot.claim(2, claim_id="one")
    assert [job["id"] for job in bot.claim(2, claim_id="one")] == [job["id"] for job in first_claim]
    bot.end(first_claim[0], "complete")
    assert [job["id"] for job in bot.claim(2, claim_id="one")] == [first_claim[1]["id"]]
    assert len(bot.claim(2, claim_id="two")) == 1


def test_order_is_by_priority_then_by_time(side: Side, queue: str, bot: Bot) -> None:
    ids = [enqueue(side, queue, priority=priority) for priority in (0, 5, 0, -5)]
    side.client.set_priority(ids[2], 9)
    order = [bot.claim()[0]["id"] for _ in range(4)]
    assert order == [ids[2], ids[1], ids[0], ids[3]]
    with pytest.raises(leasehold.Conflict):
        side.client.set_priority(ids[0], 1)


def test_the_word_traceparent_comes_before_the_header(side: Side, queue: str, bot: Bot) -> None:
    word, header = (f"00-{letter * 32}-00f067aa0ba902b7-01" for letter in "ab")
    jobs = [{"kind": "a", "queue": queue, "traceparent": word}, {"kind": "b", "queue": queue}]
    side.client.do(_calls.Call("enqueue", lambda answer, _: answer.json(), body={"jobs": jobs}, headers={"traceparent": header}))
    assert {run["kind"]: run["traceparent"] for run in [*bot.claim(), *bot.claim()]} == {"a": word, "b": header}


def test_kinds_of_others_are_left_alone(side: Side, queue: str, bot: Bot) -> None:
    enqueue(side, queue, "c")
    mine = enqueue(side, queue, "b")
    assert [job["id"] for job in bot.claim(5)] == [mine]


def test_failures_are_tried_again_until_the_attempts_are_spent(side: Side, queue: str, bot: Bot) -> None:
    id = enqueue(side, queue, max_attempts=2, retry={"strategy": "fixed", "base": "1s"})
    (job,) = bot.claim()
    assert bot.end(job, "fail", error="first")["state"] == "scheduled"
    assert bot.end(job, "fail", error="first") == {"state": "scheduled", "already": True}
    side.wait_s(1.0)
    (job,) = bot.claim()
    assert (job["attempt"], job["epoch"]) == (2, 2)
    assert bot.end(job, "fail", error="second")["state"] == "dead"
    dead = side.client.get(id)
    assert (dead.state, dead.last_error, dead.attempt) == ("dead", "second", 2)
    assert side.client.retry(id)["state"] == "queued"
    assert side.client.get(id).attempt == 0 and bot.claim()[0]["epoch"] == 3


def test_never_snooze_and_release(side: Side, queue: str, bot: Bot) -> None:
    id = enqueue(side, queue)
    (job,) = bot.claim()
    assert bot.end(job, "snooze", delay_ms=60_000, reason="not yet")["state"] == "scheduled"
    assert side.client.get(id).attempt == 0
    assert side.client.retry(id)["state"] == "queued"
    (job,) = bot.claim()
    assert (job["attempt"], job["epoch"]) == (1, 2)
    assert bot.end(job, "release")["state"] == "queued"
    (job,) = bot.claim()
    assert bot.end(job, "fail", error="no", never=True)["state"] == "dead"


def test_a_lease_runs_out(side: Side, queue: str, bot: Bot) -> None:
    id = enqueue(side, queue)
    (job,) = bot.claim(lease_ms=1_000)
    (answer,) = bot.renew({**job, "epoch": 7})
    assert answer["error"]["code"] == "lease_lost"
    side.wait_s(1.2)
    (again,) = bot.claim()
    assert (again["id"], again["epoch"], again["crashes"]) == (id, 2, 1)
    with pytest.raises(leasehold.LeaseLost):
        bot.end(job, "complete")
    (answer,) = bot.renew(again)
    assert (answer["renewed"], answer["cancel_wanted"]) == (True, False)


def test_cancels(side: Side, queue: str, bot: Bot) -> None:
    running, waiting = enqueue(side, queue), enqueue(side, queue, delay=60)
    (job,) = bot.claim()
    assert side.client.cancel(running) == {"id": running, "state": "running", "changed": True}
    assert side.client.cancel(waiting) == {"id": waiting, "state": "cancelled", "changed": True}
    assert side.client.cancel(waiting)["changed"] is False
    assert bot.renew(job)[0]["cancel_wanted"] is True
    assert bot.end(job, "release")["state"] == "cancelled"
    done = enqueue(side, queue)
    bot.end(bot.claim()[0], "complete")
    with pytest.raises(leasehold.Conflict):
        side.client.cancel(done)


def test_follow_on_jobs(side: Side, queue: str, bot: Bot) -> None:
    enqueue(side, queue)
    (job,) = bot.claim()
    with pytest.raises(leasehold.Invalid) as caught:
        bot.end(job, "complete", enqueue=[{"kind": "b", "queue": queue, "priority": 101}])
    assert [detail.pointer for detail in caught.value.details] == ["/enqueue/0/priority"]
    assert side.client.get(job["id"]).state == "running"
    assert bot.end(job, "complete", enqueue=[{"kind": "b", "queue": queue, "payload": 7}])["state"] == "succeeded"
    (follower,) = bot.claim()
    assert (follower["kind"], follower["payload"]) == ("b", 7)


def test_dependencies(side: Side, queue: str, bot: Bot) -> None:
    a, b = NewJob("a", queue=queue), NewJob("b", queue=queue)
    nodes = [Node("one", a), Node("two", b, ["one"]), Node("three", b, ["two"])]
    one, two, three = side.client.graph(nodes)
    assert [made.state for made in (one, two, three)] == ["queued", "blocked", "blocked"]
    bot.end(bot.claim()[0], "complete", result="of one")
    (job,) = bot.claim()
    assert job["id"] == two.id and job["parents"][0]["result"] == "of one"
    bot.end(job, "fail", error="no", never=True)
    assert side.client.wait(three.id, 5).state == "cancelled"
    with pytest.raises(leasehold.Invalid):
        side.client.enqueue("a", queue=queue, depends_on=[str(uuid.uuid4())])
    with pytest.raises(leasehold.Invalid):
        side.client.graph([Node("x", a, ["y"]), Node("y", a, ["x"])])


def test_ids_unique_keys_and_idempotency_keys(side: Side, queue: str, bot: Bot) -> None:
    id, key = str(uuid.uuid4()), f"key-{queue}"
    made = side.client.enqueue("a", queue=queue, id=id, unique_key=key)
    assert (made.id, made.inserted) == (id, True)
    for again in (side.client.enqueue("a", queue=queue, id=id), side.client.enqueue("b", queue=queue, unique_key=key)):
        assert (again.id, again.inserted) == (id, False)
    bot.end(bot.claim()[0], "complete")
    assert side.client.enqueue("a", queue=queue, unique_key=key).inserted
    job = NewJob("a", queue=queue)
    once = [side.client.enqueue_job(job, idempotency_key=key) for _ in range(2)]
    assert once[0] == once[1] and once[0].inserted
    with pytest.raises(leasehold.IdempotencyMismatch):
        side.client.enqueue_job(NewJob("b", queue=queue), idempotency_key=key)


def test_pauses_lists_and_batches(side: Side, queue: str, bot: Bot) -> None:
    batch = f"batch-{queue}"
    ids = [enqueue(side, queue, "a" if n % 2 else "b", batch=batch) for n in range(4)]
    assert [job.id for job in side.client.list(queue=queue).jobs] == ids[::-1]
    assert [job.id for job in side.client.list(queue=queue, kind="b", state="queued").jobs] == [ids[2], ids[0]]
    page = side.client.list(queue=queue, limit=3)
    assert [job.id for job in side.client.list(queue=queue, limit=3, cursor=page.next).jobs] == [ids[0]]
    assert side.client.pause(queue, kind="b")["changed"] is True
    assert [job["id"] for job in bot.claim(4)] == [ids[1], ids[3]]
    assert side.client.resume(queue, kind="b")["changed"] is True
    shown = next(one for one in side.client.queues() if one["queue"] == queue)
    assert (shown["running"], shown["queued"], shown["paused"]) == (2, 2, False)
    assert side.client.purge(queue)["cancelled"] == 2
    counts = side.client.batch(batch)
    assert (counts["running"], counts["cancelled"], counts["queued"]) == (2, 2, 0)


def test_expiry_and_delays(side: Side, queue: str, bot: Bot) -> None:
    expires = enqueue(side, queue, expires_in=0.5)
    later = enqueue(side, queue, delay=1)
    assert side.client.get(later).state == "scheduled"
    side.wait_s(1.0)
    assert side.client.get(expires).state == "cancelled"
    assert [job["id"] for job in bot.claim(5)] == [later]


@pytest.mark.parametrize(
    ("words", "pointers"),
    [
        ({"kind": "a", "priority": 101, "delay": "soon"}, ["/delay", "/priority"]),
        ({"kind": "a", "colour": 1}, ["/colour"]),
        ({"payload": 1}, ["/kind"]),
        ({"kind": "a", "max_attempts": 0}, ["/max_attempts"]),
    ],
)
def test_bad_words_are_named(side: Side, words: dict[str, Any], pointers: list[str]) -> None:
    call = _calls.Call("enqueue", lambda answer, _: answer.json(), body=words)
    with pytest.raises(leasehold.Invalid) as caught:
        side.client.do(call)
    assert sorted(detail.pointer for detail in caught.value.details) == pointers


def test_what_is_not_there(side: Side) -> None:
    nobody = str(uuid.uuid4())
    calls: tuple[Callable[[str], Any], ...] = (side.client.get, side.client.cancel, side.client.retry, side.client.wait)
    for call in calls:
        with pytest.raises(leasehold.NotFound):
            call(nobody)
    with pytest.raises(leasehold.NotFound):
        side.client.batch(nobody)


# Features that only the server in memory has.


def test_drain_runs_handlers_in_virtual_time() -> None:
    with FakeServer(app) as server:
        handle = add.enqueue(1, right=2)
        assert server.assert_enqueued(add, left=1).id == handle.id
        with pytest.raises(AssertionError):
            server.assert_enqueued(add, left=2)
        with pytest.raises(AssertionError):
            server.assert_enqueued(add, times=2)
        assert server.drain() == 1 and server.job(handle.id).result == 3
        assert handle.result() == 3

        begun, start = time.monotonic(), server.now
        failing = fails.options(retry={"strategy": "fixed", "base": "1h"}).enqueue("error")
        assert server.drain() == 1 and server.job(failing.id).state == "scheduled"
        server.advance(3599)
        assert server.drain() == 0
        assert server.drain(for_s=10) == 1
        assert failing.result() == "attempt 2"
        assert server.now - start == timedelta(seconds=3609)

        assert snoozes.options(delay=86_400).enqueue(3).result(timeout=100_000) == 1
        with pytest.raises(leasehold.WaitTimedOut):
            add.options(delay=1000).enqueue(1).result(timeout=10)
        staged = first.enqueue(5)
        server.drain()
        follower = server.assert_enqueued(second, value=6)
        assert (server.job(staged.id).state, follower.result) == ("succeeded", 6)
        assert time.monotonic() - begun < 5
    with pytest.raises(NotImplementedError):
        server.client.limits()


def test_async_programs_use_it_too() -> None:
    async def program() -> list[int]:
        handles = [await add.enqueue_async(20, right=22), await add_async.enqueue_async(1)]
        with pytest.raises(leasehold.WaitTimedOut):
            await (await add.options(queue="other", delay=1000).enqueue_async(1)).result_async(timeout=10)
        return [await handle.result_async() for handle in handles]

    with FakeServer(app):
        assert asyncio.run(program()) == [42, 2]


def test_the_clients_of_the_app_are_put_back() -> None:
    client = Client("http://127.0.0.1:1")
    app.client = client
    with FakeServer(app):
        assert app.client is not client
    assert app.client is client
