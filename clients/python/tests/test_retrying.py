"""Requests whose answers are lost, and servers that are away."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import Fleet, free_port
from proxy import Proxy

import leasehold
from leasehold import AsyncClient, Client, NewJob
from leasehold._retrying import Repeat, may_repeat


def test_an_enqueue_whose_answer_is_lost_makes_one_job(client: Client, proxy: Proxy, queue: str) -> None:
    far = Client(proxy.url)
    proxy.lose_answers(2)
    made = far.enqueue("k", queue=queue)
    assert proxy.lost == 2
    # The second try finds the job of the first one. The caller sees that this call has made the job.
    assert (made.inserted, made.state) == (True, "queued")
    assert [job.id for job in client.jobs(queue=queue)] == [made.id]
    proxy.lose_answers(1)
    many = far.enqueue_many([NewJob("k", queue=queue)] * 10)
    assert all(one.inserted for one in many) and len(list(client.jobs(queue=queue))) == 11
    proxy.lose_answers(1)
    graph = far.graph([leasehold.Node("a", NewJob("k", queue=queue)), leasehold.Node("b", NewJob("k", queue=queue), ["a"])])
    assert all(one.inserted for one in graph) and len(list(client.jobs(queue=queue))) == 13


def test_the_async_client_repeats_too(client: Client, proxy: Proxy, queue: str) -> None:
    async def use() -> leasehold.Enqueued:
        async with AsyncClient(proxy.url) as far:
            await far.queues()
            proxy.lose_answers(2)
            return await far.enqueue("k", queue=queue)

    made = asyncio.run(use())
    assert made.inserted and proxy.lost == 2
    assert [job.id for job in client.jobs(queue=queue)] == [made.id]


def test_a_retry_whose_answer_is_lost_is_not_repeated(client: Client, proxy: Proxy, queue: str) -> None:
    id = client.enqueue("k", queue=queue).id
    client.cancel(id)
    far = Client(proxy.url)
    proxy.lose_answers(1)
    with pytest.raises(leasehold.ConnectionFailed) as caught:
        far.retry(id)
    assert caught.value.was_sent and client.get(id).state == "queued"
    # A cancel can be repeated.
    proxy.lose_answers(1)
    assert far.cancel(id)["state"] == "cancelled"
    client.set_limit(queue, running=1)
    proxy.lose_answers(1)
    far.remove_limit(queue)


def test_a_server_that_is_away_is_asked_again(fleet: Fleet, queue: str) -> None:
    port = free_port()
    far = Client(f"http://127.0.0.1:{port}", retry_for_s=0.3)
    begun = time.monotonic()
    with pytest.raises(leasehold.ConnectionFailed) as caught:
        far.enqueue("k", queue=queue)
    assert not caught.value.was_sent and time.monotonic() - begun < 5
    made: list[leasehold.Enqueued] = []
    patient = Client(f"http://127.0.0.1:{port}", retry_for_s=30)
    thread = threading.Thread(target=lambda: made.append(patient.enqueue("k", queue=queue)))
    thread.start()
    api = fleet.api(port)
    thread.join(30)
    assert made and made[0].inserted
    # A connection that the server has closed in the meantime is not used.
    assert api.stop() == 0
    api = fleet.api(port)
    assert patient.retry_for_s and patient.get(made[0].id).state == "queued"
    api.kill()


def test_a_half_open_connection_is_given_up(client: Client, proxy: Proxy, queue: str) -> None:
    far = Client(proxy.url, timeout_s=1.0)
    far.queues()
    assert proxy.freeze() == 1
    begun = time.monotonic()
    made = far.enqueue("k", queue=queue)
    assert made.inserted and 0.9 < time.monotonic() - begun < 10
    assert client.get(made.id).state == "queued"


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: list[tuple[int, dict[str, str], bytes]] = []
    seen: list[float] = []

    def do_GET(self) -> None:
        type(self).seen.append(time.monotonic())
        status, headers, body = self.script.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "transfer-encoding" not in headers:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def answers() -> Iterator[tuple[str, type[_Answers]]]:
    """A server that answers as a test says."""
    _Answers.script, _Answers.seen = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", _Answers
    server.shutdown()
    server.server_close()


QUEUES = b'{"queues":[]}'


def test_retry_after_is_kept(answers: tuple[str, type[_Answers]]) -> None:
    url, said = answers
    busy = b'{"error":{"code":"too_many_requests","message":"busy"}}'
    said.script += [(429, {"retry-after": "1"}, busy), (200, {}, QUEUES)]
    assert Client(url).queues() == []
    assert said.seen[1] - said.seen[0] >= 1.0
    # Without the time to wait so long, the error is the answer.
    said.script += [(429, {"retry-after": "20"}, busy)]
    with pytest.raises(leasehold.TooManyRequests) as caught:
        Client(url, retry_for_s=5).queues()
    assert caught.value.retry_after_s == 20


def test_answers_of_proxies_are_errors_too(answers: tuple[str, type[_Answers]]) -> None:
    url, said = answers
    said.script += [(502, {"content-type": "text/html"}, b"<html>bad gateway</html>"), (200, {}, QUEUES)]
    assert Client(url).queues() == []
    chunked = b"5\r\n" + QUEUES[:5] + b"\r\n8\r\n" + QUEUES[5:] + b"\r\n0\r\n\r\n"
    said.script += [(200, {"transfer-encoding": "chunked"}, chunked)] * 2
    assert Client(url).queues() == []
    assert asyncio.run(AsyncClient(url).queues()) == []
    for status, kind in ((302, leasehold.ApiError), (401, leasehold.Unauthorized), (418, leasehold.ApiError)):
        said.script += [(status, {"location": "http://elsewhere"}, b"")]
        with pytest.raises(kind):
            Client(url).queues()
    said.script += [(200, {}, b"<html>a portal</html>")] * 2
    with pytest.raises(leasehold.Unavailable):
        Client(url, retry_for_s=0).queues()
    new = b'{"error":{"code":"of_tomorrow","message":"new"}}'
    said.script += [(409, {}, new)]
    with pytest.raises(leasehold.ApiError) as caught:
        Client(url).queues()
    assert caught.value.code == "of_tomorrow"


def test_garbage_is_a_broken_connection() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for _ in range(2):
            near, _ = listener.accept()
            near.recv(65536)
            near.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")
            near.close()

    threading.Thread(target=serve, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(leasehold.ConnectionFailed):
        Client(url, retry_for_s=0).queues()
    with pytest.raises(leasehold.ConnectionFailed):
        asyncio.run(AsyncClient(url, retry_for_s=0).queues())
    listener.close()


def test_what_may_be_repeated() -> None:
    def api(kind: type[leasehold.ApiError]) -> leasehold.ApiError:
        return kind(kind.code_of_class, "", status=503)

    for error, always, undone in (
        (leasehold.ConnectionFailed("", was_sent=False), True, True),
        (leasehold.ConnectionFailed("", was_sent=True), True, False),
        (api(leasehold.TooManyRequests), True, True),
        (api(leasehold.Locked), True, True),
        (api(leasehold.Unavailable), True, False),
        (api(leasehold.OutcomeUnknown), True, False),
        (api(leasehold.Internal), False, False),
        (api(leasehold.Conflict), False, False),
    ):
        assert may_repeat(error, Repeat.ALWAYS) is always, error
        assert may_repeat(error, Repeat.UNDONE) is undone, error
