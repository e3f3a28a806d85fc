"""A worker that an operator drains. The answers are those of a server that can drain workers."""

from __future__ import annotations

import json
import threading
from typing import Any

from jobs_of_tests import app

from leasehold import Client, Settings, Worker
from leasehold._http import Answer, Request


class _Draining:
    """Gives one job, says with its renewal that the worker is drained, or refuses its claims."""

    def __init__(self, *, refuses: bool) -> None:
        self.refuses = refuses
        self.ends: list[Any] = []
        self.claims = 0

    def send(self, request: Request) -> Answer:
        status, value = self._answer(request)
        return Answer(status, {}, json.dumps(value).encode())

    def close(self) -> None:
        pass

    def _answer(self, request: Request) -> tuple[int, Any]:
        body = json.loads(request.body or b"{}")
        if request.path.endswith("/claim"):
            self.claims += 1
            if self.refuses:
                return 409, {"error": {"code": "draining", "message": "the worker is drained"}}
            job = {"id": "1", "epoch": 1, "worker": body["worker"], "kind": "hold", "queue": "q", "payload": {"seconds": 2}}
            more: dict[str, Any] = {"attempt": 1, "max_attempts": 5, "crashes": 0, "timeout_ms": None, "parents": []}
            return 200, {"jobs": [{**job, **more}] if self.claims == 1 else []}
        if request.path == "/v1/leases/renew":
            runs = [{**run, "renewed": True, "cancel_wanted": False, "lease_ms": 1000} for run in body["runs"]]
            return 200, {"runs": runs, "quiet": True}
        self.ends.append((request.path, body.get("result")))
        return 200, {"state": "succeeded", "already": False}


def _run(server: _Draining) -> int:
    settings = Settings(queues={"q": 1}, lease_s=1.0, wait_s=0.0)
    worker = Worker(app, settings, client=Client(transport=server))
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(worker.run(signals=False)), daemon=True)
    thread.start()
    thread.join(30)
    assert codes, "the worker does not stop"
    return codes[0]


def test_a_drained_worker_finishes_its_runs_and_stops() -> None:
    server = _Draining(refuses=False)
    assert _run(server) == 0
    assert server.ends == [("/v1/jobs/1/complete", "held")]


def test_a_worker_whose_claims_are_refused_because_it_is_drained_stops_well() -> None:
    server = _Draining(refuses=True)
    assert _run(server) == 0
    assert server.ends == []
