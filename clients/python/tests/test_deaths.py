"""Workers that are killed, frozen, cut off, and a server that restarts: no job is lost, and none has two results."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Fleet, Process, eventually, free_port
from jobs_of_tests import add, app, hold, with_child
from proxy import Proxy
from test_worker import is_running, noted, notes

from leasehold import Client, NewJob

Workers = Callable[..., Process]


@pytest.fixture(autouse=True)
def _client(client: Client) -> None:
    app.client = client


@pytest.mark.parametrize("isolation", ("thread", "process"))
def test_the_jobs_of_a_killed_worker_run_again(workers: Workers, queue: str, isolation: str, tmp_path: Path) -> None:
    worker = workers("--isolation", isolation, "--lease", "1.5")
    handles = [hold.options(queue=queue).enqueue(2) for _ in range(3)]
    eventually("they begin", lambda: noted(tmp_path, "begin"), lambda seen: len(seen) == 3)
    pids = {pid for _, _, _, pid in notes(tmp_path)}
    worker.send(signal.SIGKILL)
    worker.wait()
    # The processes of the handlers do not outlive their worker.
    eventually("the handlers are gone", lambda: [pid for pid in pids if is_running(pid)], lambda left: not left)
    workers("--isolation", isolation)
    for handle in handles:
        job = handle.wait(60)
        assert (job.state, job.crashes) == ("succeeded", 1)


def test_what_a_handler_has_started_does_not_outlive_its_worker(workers: Workers, queue: str, tmp_path: Path) -> None:
    worker = workers("--isolation", "process", slots=1)
    handle = with_child.options(queue=queue).enqueue()
    eventually("it begins", lambda: notes(tmp_path), lambda seen: len(seen) == 1)
    pid = int(notes(tmp_path)[0][2].split()[1])
    assert is_running(pid)
    worker.send(signal.SIGKILL)
    eventually("the child of the handler is gone", lambda: is_running(pid), lambda seen: not seen)
    app.client.cancel(handle.id)


def test_a_frozen_worker_hears_that_its_lease_is_lost(workers: Workers, queue: str, tmp_path: Path) -> None:
    frozen = workers("--lease", "1", slots=1)
    handle = hold.options(queue=queue).enqueue(3)
    eventually("it begins", lambda: noted(tmp_path, "begin"), lambda seen: len(seen) == 1)
    frozen.send(signal.SIGSTOP)
    other = workers("--lease", "5", slots=1)
    eventually("another one begins", lambda: noted(tmp_path, "begin"), lambda seen: len(seen) == 2)
    frozen.send(signal.SIGCONT)
    eventually("the first one stops", lambda: noted(tmp_path, "stopped: lease_lost"), lambda seen: len(seen) == 1)
    job = handle.wait(30)
    assert (job.state, job.epoch) == ("succeeded", 2)
    assert frozen.stop() == 0 and other.stop() == 0


def test_a_worker_survives_a_restart_of_the_server(workers: Workers, fleet: Fleet, queue: str, client: Client) -> None:
    port = free_port()
    api = fleet.api(port)
    worker = workers("--lease", "10", url=f"http://127.0.0.1:{port}")
    long = hold.options(queue=queue).enqueue(4)
    handles = [add.options(queue=queue).enqueue(n) for n in range(20)]
    for sent in (signal.SIGKILL, signal.SIGTERM):
        api.send(sent)
        api.wait()
        handles += [add.options(queue=queue).enqueue(n) for n in range(20)]
        api = fleet.api(port)
        handles += [add.options(queue=queue).enqueue(n) for n in range(20)]
    assert long.result(60) == "held"
    assert [handle.result(60) for handle in handles] == [n + 1 for _ in range(5) for n in range(20)]
    assert worker.stop() == 0
    for handle in [long, *handles]:
        job = client.get(handle.id)
        assert (job.state, job.crashes) == ("succeeded", 0), worker.text[-3000:]
    api.kill()


def test_answers_that_are_lost_are_asked_for_again(workers: Workers, queue: str, proxy: Proxy, client: Client) -> None:
    """Claims, ends and renewals through a network that loses answers: each job has one result, and none waits for its lease."""
    worker = workers("--lease", "600", "--wait", "1", url=proxy.url)
    made = []
    for _ in range(10):
        proxy.lose_answers(3)
        made += client.enqueue_many([NewJob("add", {"left": 1}, queue=queue)] * 4)
        for one in made[-4:]:
            assert client.wait(one.id, 60).state == "succeeded"
    eventually("answers were lost", lambda: proxy.lost, lambda lost: lost >= 20)
    proxy.lose_answers(0)
    assert worker.stop() == 0
    jobs = [client.get(one.id) for one in made]
    assert all((job.attempt, job.crashes, job.epoch) == (1, 0, 1) for job in jobs), [job.epoch for job in jobs]


def test_a_half_open_connection_is_noticed(workers: Workers, queue: str, proxy: Proxy, tmp_path: Path, client: Client) -> None:
    """The network swallows everything on the connections of now: neither a run nor a claim is lost."""
    worker = workers("--lease", "4", "--wait", "1", "--request-timeout", "1.5", url=proxy.url)
    held = hold.options(queue=queue).enqueue(6)
    eventually("it begins", lambda: noted(tmp_path, "begin"), lambda seen: len(seen) == 1)
    assert proxy.freeze() >= 1
    done = add.options(queue=queue).enqueue(1)
    assert done.result(60) == 2 and held.result(60) == "held"
    assert client.get(held.id).epoch == 1, worker.text
    assert worker.stop() == 0
