"""Worker processes on the real server: what handlers get and return, cancels, timeouts, stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import HERE, Fleet, Process, eventually
from jobs_of_tests import (
    Picture,
    add,
    add_async,
    app,
    deaf,
    echo,
    fails,
    first,
    hold,
    hold_async,
    resize,
    snoozes,
    too_much,
    whoami,
    with_child,
)
from proxy import Proxy

import leasehold
from leasehold import Client, NewJob
from leasehold.__main__ import main

Workers = Callable[..., Process]
ISOLATIONS = ("thread", "process")
#: How the handler `fails` ends its first run.
HOWS = ("retry", "never", "surrogate", "exit", "error", "nan", "late", "endless", "cancelled")


@pytest.fixture(autouse=True)
def _client(client: Client) -> None:
    app.client = client


def notes(folder: Path) -> list[tuple[str, int, str, int]]:
    """What the handlers have noted: job, epoch, text, process."""
    path = folder / "notes"
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def noted(folder: Path, what: str) -> list[str]:
    """The jobs that have noted this text."""
    return [id for id, _, text, _ in notes(folder) if text == what]


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_handlers_get_typed_payloads_and_their_results_come_back(workers: Workers, queue: str, isolation: str) -> None:
    workers("--isolation", isolation)
    assert resize.options(queue=queue).enqueue(Picture("a.png", 4)).result(60) == Picture("a.png", 8)
    assert add.options(queue=queue).enqueue(1, right=2).result() == 3
    assert add_async.options(queue=queue).enqueue(left=5).result() == 6
    values = [None, True, 123456789012345678901234567890, 0.1, "ä", [1, [2]], {"a": {"b": None}}]
    handles = [echo.options(queue=queue).enqueue(value) for value in values]
    assert [handle.result() for handle in handles] == values
    about = whoami.options(queue=queue).enqueue()
    told = about.result()
    job = about.wait()
    assert (told["id"], told["epoch"], told["attempt"], told["queue"]) == (about.id, 1, 1, queue)
    assert told["worker"] and job.epoch == 1
    assert (told["pid"] != os.getpid()) and (isolation == "thread" or told["pid"] != job.worker)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_handler_says_how_its_run_ends(workers: Workers, queue: str, isolation: str, client: Client) -> None:
    workers("--isolation", isolation)
    kind = fails.options(queue=queue, max_attempts=2, retry={"strategy": "fixed", "base": "100ms"})
    ends = {how: kind.enqueue(how) for how in HOWS}
    assert ends["retry"].result(60) == "attempt 2"
    dead = ends["never"].wait()
    assert (dead.state, dead.attempt, dead.last_error) == ("dead", 1, "this cannot be done")
    with pytest.raises(leasehold.JobFailed, match="this cannot be done"):
        ends["never"].result()
    # Python writes the name of a file that is no UTF-8 so. JSON cannot hold it.
    assert ends["surrogate"].wait().last_error == "half a pair: ?"
    assert ends["error"].result() == "attempt 2" and ends["exit"].result() == "attempt 2"
    # A result that is no JSON is a failure of the run, and the worker lives.
    assert ends["nan"].result() == "attempt 2"
    # Neither is a time that has passed or makes no sense, or a cancel without a request.
    assert [ends[how].result() for how in ("late", "endless", "cancelled")] == ["attempt 2"] * 3
    trail = json.dumps(client.get(ends["error"].id).raw["trail"])
    assert "a fault of the handler" in trail and "RuntimeError" in trail
    assert snoozes.options(queue=queue).enqueue(3).result() == 1


def test_a_process_that_dies_is_a_failure_of_its_run(workers: Workers, queue: str) -> None:
    workers("--isolation", "process")
    kind = fails.options(queue=queue, max_attempts=2, retry={"strategy": "fixed", "base": "100ms"})
    handle = kind.enqueue("kill")
    assert handle.result(60) == "attempt 2"
    assert "ended by signal 9" in json.dumps(handle.wait().raw["trail"])


def test_a_payload_is_checked_on_both_sides(workers: Workers, queue: str, client: Client) -> None:
    with pytest.raises(leasehold.PayloadError, match="/left"):
        add.enqueue("1")  # type: ignore[arg-type]
    with pytest.raises(leasehold.PayloadError, match="/width"):
        resize.enqueue(Picture("a", "wide"))  # type: ignore[arg-type]
    with pytest.raises(leasehold.PayloadError):
        add.enqueue(1, 2, 3)  # type: ignore[call-arg]
    workers()
    for payload in ({"left": "1"}, {"left": 1, "middle": 2}, {}, [1], {"left": 1.5}):
        made = client.enqueue("add", payload, queue=queue, max_attempts=1)
        job = client.wait(made.id)
        assert job.state == "dead" and job.last_error is not None and "PayloadError" in job.last_error, payload


def test_a_number_that_python_cannot_read_keeps_no_other_job_from_running(
    workers: Workers, queue: str, client: Client, fleet: Fleet
) -> None:
    body = {"kind": "echo", "queue": queue, "payload": {"value": "DIGITS"}}
    text = json.dumps(body).replace('"DIGITS"', "9" * 5000)
    request = urllib.request.Request(f"{fleet.url}/v1/jobs", text.encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        long = json.load(answer)["id"]
    other = client.enqueue("echo", {"value": 1}, queue=queue)
    workers()
    assert client.wait(other.id).state == "succeeded"
    job = client.wait(long)
    assert job.state == "dead" and job.last_error is not None and "more digits than Python reads" in job.last_error


def test_follow_on_jobs_belong_to_the_success(workers: Workers, queue: str, client: Client) -> None:
    workers()
    handle = first.options(queue=queue).enqueue(1)
    assert handle.result() == 1
    (follower,) = client.list(batch=f"after-{handle.id}").jobs
    assert follower.payload == {"value": 2} and client.wait(follower.id).result == 2
    # An end that cannot be stored is a failure, and nothing follows.
    for what in ("result", "follower"):
        job = too_much.options(queue=queue, max_attempts=1).enqueue(what).wait()
        assert job.state == "dead" and "cannot be stored" in (job.last_error or ""), job.last_error
    assert client.list(queue=queue, kind="nobody").jobs == []


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_cancel_reaches_the_handler(workers: Workers, queue: str, isolation: str, tmp_path: Path, client: Client) -> None:
    workers("--isolation", isolation, "--lease", "1.5")
    handles = [hold.options(queue=queue).enqueue(60), hold_async.options(queue=queue).enqueue(60)]
    eventually("both begin", lambda: noted(tmp_path, "begin"), lambda seen: len(seen) == 2)
    for handle in handles:
        assert client.cancel(handle.id)["state"] == "running"
    for handle in handles:
        assert handle.wait(20).state == "cancelled"
    assert sorted(noted(tmp_path, "stopped: cancelled")) == sorted(handle.id for handle in handles)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_run_has_a_timeout(workers: Workers, queue: str, isolation: str, tmp_path: Path, client: Client) -> None:
    workers("--isolation", isolation)
    kind = hold.options(queue=queue, timeout=0.5, max_attempts=1)
    job = kind.enqueue(60).wait(30)
    assert job.state == "dead" and job.last_error == "the run has timed out after 0.5 s"
    assert noted(tmp_path, "stopped: timeout") == [job.id]


def test_a_process_that_does_not_stop_is_killed_with_its_children(workers: Workers, queue: str, tmp_path: Path) -> None:
    workers("--isolation", "process", "--stop-within", "1", slots=1)
    handle = with_child.options(queue=queue, timeout=0.5, max_attempts=1).enqueue()
    assert handle.wait(60).state == "dead"
    (text,) = [text for _, _, text, _ in notes(tmp_path)]
    pid = int(text.split()[1])
    eventually("the child of the handler is gone", lambda: is_running(pid), lambda seen: not seen)
    # The slot has another process then.
    assert add.options(queue=queue).enqueue(1).result(60) == 2


def is_running(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_worker_claims_only_for_free_slots(workers: Workers, queue: str, tmp_path: Path, client: Client) -> None:
    workers(slots=2)
    handles = [hold.options(queue=queue).enqueue(60) for _ in range(5)]
    eventually("two begin", lambda: noted(tmp_path, "begin"), lambda seen: len(seen) == 2)
    states = sorted(client.get(handle.id).state for handle in handles)
    assert states == ["queued"] * 3 + ["running"] * 2
    # A kind of another app is left to its own workers.
    other = client.enqueue("of_another_app", queue=queue)
    client.cancel(handles[0].id)
    eventually("a slot is used again", lambda: noted(tmp_path, "begin"), lambda seen: len(seen) == 3)
    assert client.get(other.id).state == "queued"


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_stop_lets_handlers_finish_and_hears_cancels(workers: Workers, queue: str, isolation: str, tmp_path: Path, client: Client) -> None:
    worker = workers("--isolation", isolation, "--grace", "30", "--lease", "1.5")
    ends = hold.options(queue=queue).enqueue(3)
    cancelled = hold.options(queue=queue).enqueue(60)
    eventually("both begin", lambda: noted(tmp_path, "begin"), lambda seen: len(seen) == 2)
    worker.send(signal.SIGTERM)
    eventually("it drains", lambda: worker.text, lambda text: "stopping" in text)
    late = client.enqueue("add", {"left": 1}, queue=queue)
    client.cancel(cancelled.id)
    assert worker.wait(25) == 0, worker.text
    assert (ends.wait(5).state, cancelled.wait(5).state) == ("succeeded", "cancelled")
    assert (client.get(late.id).state, client.get(late.id).attempt) == ("queued", 0)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_after_the_grace_jobs_are_given_back(workers: Workers, queue: str, isolation: str, tmp_path: Path, client: Client) -> None:
    worker = workers("--isolation", isolation, "--grace", "0.5", "--stop-within", "1")
    handles = [kind.options(queue=queue).enqueue(60.0) for kind in (hold, hold_async, deaf)]
    eventually("all begin", lambda: noted(tmp_path, "begin"), lambda seen: len(seen) == 3)
    begun = time.monotonic()
    assert worker.stop(30) == 0, worker.text
    assert time.monotonic() - begun < 20
    for handle in handles:
        job = client.get(handle.id)
        assert (job.state, job.attempt, job.crashes) == ("queued", 0, 0)


def test_a_second_signal_does_not_wait(workers: Workers, queue: str, tmp_path: Path, client: Client) -> None:
    worker = workers("--grace", "300")
    handle = hold.options(queue=queue).enqueue(60)
    eventually("it begins", lambda: noted(tmp_path, "begin"), lambda seen: len(seen) == 1)
    worker.send(signal.SIGINT)
    eventually("it drains", lambda: worker.text, lambda text: "stopping" in text)
    worker.send(signal.SIGINT)
    assert worker.wait(20) == 0
    job = client.get(handle.id)
    assert (job.state, job.attempt) == ("queued", 0)


def test_a_stop_while_a_claim_waits_takes_no_job(workers: Workers, queue: str, client: Client) -> None:
    """The claim is broken off while jobs come in. None of them may wait for a lease."""
    worker = workers()
    eventually("it serves", lambda: worker.text, lambda text: "serves" in text)
    add.options(queue=queue).enqueue(1).result()
    worker.send(signal.SIGTERM)
    made = client.enqueue_many([NewJob("add", {"left": 1}, queue=queue)] * 20)
    assert worker.wait(20) == 0
    states = {client.get(one.id).state for one in made}
    assert states <= {"queued", "succeeded"}, worker.text
    assert all(client.get(one.id).crashes == 0 for one in made)


def test_jobs_in_the_answer_to_a_claim_that_is_broken_off_are_given_back(
    workers: Workers, queue: str, proxy: Proxy, client: Client
) -> None:
    worker = workers("--lease", "600", url=proxy.url)
    add.options(queue=queue).enqueue(1).result()
    eventually("the next claim waits", lambda: _claims(client, queue), lambda waits: waits)
    # The server sends jobs, and their answer does not arrive.
    assert proxy.freeze() >= 1
    made = client.enqueue_many([NewJob("add", {"left": 1}, queue=queue)] * 4)
    eventually("jobs are claimed", lambda: {client.get(one.id).state for one in made}, lambda seen: "running" in seen)
    worker.send(signal.SIGTERM)
    assert worker.wait(30) == 0, worker.text
    jobs = [client.get(one.id) for one in made]
    assert [(job.state, job.attempt, job.crashes) for job in jobs] == [("queued", 0, 0)] * 4, worker.text


def _claims(client: Client, queue: str) -> bool:
    """Whether a claim of the queue waits at the server."""
    return any(queue in json.dumps(worker) for worker in client.workers())


def test_a_worker_that_cannot_start_says_why(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, text in (
        (["nothing:app"], "there is no module nothing"),
        (["jobs_of_tests"], "name the app as module:app"),
        (["jobs_of_tests:note"], "has no leasehold.App"),
        (["jobs_of_tests:app", "--queue", "a=0"], "1 to 500 slots"),
        (["jobs_of_tests:app", "--lease", "0"], "a lease must last"),
        (["jobs_of_tests:app", "--url", "here"], "the URL of the server"),
    ):
        assert main(["worker", *arguments]) == 2
        said = capsys.readouterr().err
        assert text in said and said.count("\n") == 1, (arguments, said)
    command = [sys.executable, "-m", "leasehold", "worker", "jobs_of_tests:app", "--url", fleet.url, "--queue", "a b"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=HERE, timeout=60, check=False)
    assert ended.returncode == 1 and "cannot be claimed" in ended.stderr, ended.stderr


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "soon"])
def test_a_bad_number_of_seconds_is_refused_with_its_flag(seconds: str) -> None:
    command = [sys.executable, "-m", "leasehold", "worker", "jobs_of_tests:app", f"--grace={seconds}"]
    ended = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "argument --grace: " in ended.stderr and seconds in ended.stderr
