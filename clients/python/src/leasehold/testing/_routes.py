"""The HTTP interface of the server in memory: paths to transitions of the store."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from .._description import OPERATIONS
from .._http import Answer, Request
from .._ids import new_id
from ._store import FakeJob, Refused, Store, bad, invalid

_Body = dict[str, Any]
_Reply = tuple[int, Any]


class Routes:
    """Answers requests as the server does."""

    def __init__(self, store: Store, wait: Callable[[FakeJob, float], None]) -> None:
        self._store, self._wait = store, wait
        self._once: dict[str, tuple[bytes, _Reply]] = {}
        #: The header of the request that is answered.
        self._traceparent: str | None = None
        self._paths = [
            (method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)), operation)
            for operation, (method, path) in OPERATIONS.items()
        ]

    def send(self, request: Request) -> Answer:
        """The transport of the client."""
        try:
            status, value = self._dispatch(request)
        except Refused as refused:
            error = {"code": refused.code, "message": refused.message, "details": refused.details}
            status, value = refused.status, {"error": error}
        return Answer(status, {"x-request-id": new_id()}, json.dumps(value).encode())

    def close(self) -> None:
        """There is no connection to close."""

    def _dispatch(self, request: Request) -> _Reply:
        parts = urlsplit(request.path)
        self._traceparent = request.headers.get("traceparent")
        for method, pattern, operation in self._paths:
            match = pattern.fullmatch(parts.path)
            if match is None or method != request.method:
                continue
            answer = getattr(self, f"_{operation}", None)
            if answer is None:
                raise NotImplementedError(f"the server in memory does not know the operation {operation}")
            names = {name: unquote(value) for name, value in match.groupdict().items()}
            body: _Body = json.loads(request.body or b"{}")
            if operation == "enqueue":
                reply: _Reply = self._once_only(request, lambda: self._enqueue(body))
                return reply
            reply = answer(**names, **({"query": dict(parse_qsl(parts.query))} if method == "GET" else {"body": body}))
            return reply
        raise Refused("not_found", "not found", 404)

    def _once_only(self, request: Request, do: Callable[[], _Reply]) -> _Reply:
        key = request.headers.get("idempotency-key")
        if key is None:
            return do()
        body = request.body or b""
        if key in self._once:
            before, reply = self._once[key]
            if before != body:
                raise Refused("idempotency_mismatch", "another request with this Idempotency-Key has another body", 422)
            return reply
        reply = do()
        self._once[key] = (body, reply)
        return reply

    # Jobs

    def _enqueue(self, body: _Body) -> _Reply:
        if "jobs" not in body:
            answers = [self._enqueued(*self._store.add(body))]
            return (201 if answers[0]["inserted"] else 200), answers[0]
        jobs: list[_Body] = body["jobs"]
        problems: list[dict[str, str]] = []
        for nth, words in enumerate(jobs):
            try:
                self._store.read(words, f"/jobs/{nth}")
            except Refused as refused:
                problems += refused.details
        if problems:
            raise invalid(problems)
        answers = [self._enqueued(*self._store.add(words, f"/jobs/{nth}")) for nth, words in enumerate(jobs)]
        return (201 if any(answer["inserted"] for answer in answers) else 200), {"jobs": answers}

    def _enqueued(self, job: FakeJob, inserted: bool) -> _Body:
        if inserted:
            job.traceparent = job.traceparent or self._traceparent
        return {"id": job.id, "inserted": inserted, "state": job.state, "replaced": False}

    def _submit_graph(self, body: _Body) -> _Reply:
        nodes: list[_Body] = body["jobs"]
        ids = {node["name"]: node.get("id") or new_id() for node in nodes}
        left, made = list(nodes), dict[str, _Body]()
        while left:
            ready = [node for node in left if all(name in made for name in node.get("after", []))]
            if not ready:
                raise invalid([bad("/jobs", "the jobs depend on each other in a circle, or on a job that is not there")])
            for node in ready:
                words = {name: value for name, value in node.items() if name not in ("name", "after")}
                after = [ids[name] for name in node.get("after", [])]
                words |= {"id": ids[node["name"]], "depends_on": [*words.get("depends_on", []), *after]}
                made[node["name"]] = {"name": node["name"], **self._enqueued(*self._store.add(words))}
            left = [node for node in left if node not in ready]
        jobs = [{name: made[node["name"]][name] for name in ("name", "id", "inserted", "state")} for node in nodes]
        return 201, {"jobs": jobs}

    def _job(self, id: str) -> FakeJob:
        job = self._store.jobs.get(id)
        if job is None:
            raise Refused("not_found", f"no job has the id {id}", 404)
        return job

    def _show_job(self, id: str, query: _Body) -> _Reply:
        return 200, view(self._job(id))

    def _wait_for_job(self, id: str, query: _Body) -> _Reply:
        job = self._job(id)
        if not job.is_final:
            self._wait(job, int(query.get("timeout_ms", 20_000)) / 1000)
        return (200 if job.is_final else 202), view(job)

    def _list_jobs(self, query: _Body) -> _Reply:
        wanted = {name: query[name] for name in ("queue", "kind", "state", "batch") if name in query}
        found = [view(job) for job in reversed(list(self._store.jobs.values()))]
        found = [job for job in found if all(job[name] == value for name, value in wanted.items())]
        start, limit = int(query.get("cursor", 0)), int(query.get("limit", 50))
        more = start + limit < len(found)
        return 200, {"jobs": found[start : start + limit], "next": str(start + limit) if more else None}

    def _cancel_job(self, id: str, body: _Body) -> _Reply:
        job = self._job(id)
        changed = self._store.cancel(job)
        return 200, {"id": id, "state": job.state, "changed": changed}

    def _retry_job(self, id: str, body: _Body) -> _Reply:
        job = self._job(id)
        self._store.revive(job)
        return 200, {"id": id, "state": job.state, "changed": True}

    def _set_priority(self, id: str, body: _Body) -> _Reply:
        job = self._job(id)
        if job.state == "running" or job.is_final:
            raise Refused("conflict", f"the job is {job.state}, so it cannot be moved in the line", 409)
        changed, job.priority = job.priority != body["priority"], body["priority"]
        return 200, {"id": id, "state": job.state, "changed": changed}

    # Runs

    def _claim(self, queue: str, body: _Body) -> _Reply:
        claimed = self._store.claim(
            queue,
            body.get("kinds"),
            body["worker"],
            body.get("max") or 1,
            (body.get("lease_ms") or 30_000) / 1000,
            body.get("claim_id") or new_id(),
        )
        return 200, {"jobs": [self._run(job) for job in claimed]}

    def _run(self, job: FakeJob) -> _Body:
        names = ("id", "epoch", "worker", "kind", "queue", "payload", "attempt", "max_attempts", "crashes", "traceparent")
        parents = [self._store.jobs[parent] for parent in job.depends_on]
        return {
            **{name: getattr(job, name) for name in names},
            "timeout_ms": None if job.timeout_s is None else round(job.timeout_s * 1000),
            "lease_expires_at": text_of(job.lease_until),
            "parents": [{"id": parent.id, "kind": parent.kind, "state": parent.state, "result": parent.result} for parent in parents],
        }

    def _renew_all(self, body: _Body) -> _Reply:
        answers: list[_Body] = []
        for run in body["runs"]:
            fence = {"id": run["id"], "epoch": run["epoch"]}
            try:
                job = self._store.held(run["id"], run["epoch"], body["worker"])
            except Refused as refused:
                answers.append({**fence, "error": {"code": refused.code, "message": refused.message}})
                continue
            is_wanted = job.cancel_requested_at is not None
            answers.append({**fence, "renewed": True, "cancel_wanted": is_wanted, "lease_ms": body.get("lease_ms") or 30_000})
        return 200, {"runs": answers}

    def _end(self, id: str, body: _Body, operation: str) -> _Reply:
        state, already = self._store.end(id, body["epoch"], body["worker"], operation, body)
        return 200, {"state": state, "already": already}

    def _complete(self, id: str, body: _Body) -> _Reply:
        return self._end(id, body, "complete")

    def _fail(self, id: str, body: _Body) -> _Reply:
        return self._end(id, body, "fail")

    def _snooze(self, id: str, body: _Body) -> _Reply:
        return self._end(id, body, "snooze")

    def _release(self, id: str, body: _Body) -> _Reply:
        return self._end(id, body, "release")

    # Queues and batches

    def _pause_queue(self, queue: str, body: _Body) -> _Reply:
        return self._set_paused(queue, body.get("kind"), True)

    def _resume_queue(self, queue: str, body: _Body) -> _Reply:
        return self._set_paused(queue, body.get("kind"), False)

    def _set_paused(self, queue: str, kind: str | None, paused: bool) -> _Reply:
        changed = ((queue, kind) in self._store.paused) != paused
        (self._store.paused.add if paused else self._store.paused.discard)((queue, kind))
        return 200, {"queue": queue, **({"kind": kind} if kind else {}), "paused": paused, "changed": changed}

    def _purge_queue(self, queue: str, body: _Body) -> _Reply:
        waiting = [job for job in self._store.jobs.values() if job.queue == queue and not job.is_final and job.state != "running"]
        for job in waiting:
            self._store.cancel(job)
        return 200, {"queue": queue, "cancelled": len(waiting), "more": False}

    def _list_queues(self, query: _Body) -> _Reply:
        queues: dict[str, _Body] = {}
        for job in self._store.jobs.values():
            if job.is_final:
                continue
            paused = (job.queue, None) in self._store.paused
            counts = {"blocked": 0, "scheduled": 0, "queued": 0, "running": 0}
            queues.setdefault(job.queue, {"queue": job.queue, "paused": paused, **counts})[job.state] += 1
        return 200, {"queues": [queues[name] for name in sorted(queues)]}

    def _show_batch(self, name: str, query: _Body) -> _Reply:
        states = ("blocked", "scheduled", "queued", "running", "succeeded", "dead", "cancelled")
        jobs = [job for job in self._store.jobs.values() if job.batch == name]
        if not jobs:
            raise Refused("not_found", f"there is no batch {name}", 404)
        return 200, {"name": name, **{state: sum(job.state == state for job in jobs) for state in states}}


def text_of(time: datetime | None) -> str | None:
    """A time as the server writes it."""
    return None if time is None else time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def view(job: FakeJob) -> _Body:
    """A job as the server shows it."""
    plain = (
        *("id", "queue", "kind", "state", "priority", "payload", "result", "last_error", "attempt", "max_attempts"),
        *("crashes", "epoch", "worker", "unique_key", "limit_keys", "retry", "batch", "fair_key"),
    )
    times = ("run_at", "created_at", "started_at", "finished_at", "cancel_requested_at", "expires_at")
    return {
        **{name: getattr(job, name) for name in plain},
        **{name: text_of(getattr(job, name)) for name in times},
        "max_crashes": 3,
        "lease_expires_at": text_of(job.lease_until),
        "timeout_ms": None if job.timeout_s is None else round(job.timeout_s * 1000),
        "limit_key": job.limit_keys[0] if job.limit_keys else None,
        "trail": [],
        **({} if job.webhook is None else {"webhook": job.webhook}),
    }
