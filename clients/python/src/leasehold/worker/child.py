"""A process that runs handlers for a worker: `python -m leasehold.worker.child MODULE:APP FD`.

The worker sends one line of JSON for each run on a socket, and another line if the handler must stop. The process
answers with one line, which says how the run has ended. If the worker has ended, the socket is closed, and this
process ends too.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import socket
import sys
import threading
from typing import Any

from ..app import App, JobType
from ..run import Run
from .loading import load
from .outcome import Outcome, failed, perform, perform_async


class Child:
    """The loop of the process."""

    def __init__(self, app: App, link: socket.socket) -> None:
        self._app = app
        self._link = link
        self._runs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._current: Run | None = None
        self._task: tuple[asyncio.AbstractEventLoop, asyncio.Task[Outcome]] | None = None

    def serve(self) -> None:
        """Runs handlers until the worker has ended."""
        threading.Thread(target=self._listen, daemon=True).start()
        self._send({"ready": True})
        while True:
            outcome = self._perform(self._runs.get())
            try:
                line: dict[str, Any] = {"operation": outcome.operation, "body": dict(outcome.body)}
                self._send(line)
            except (TypeError, ValueError) as error:
                ended = failed(f"the end of the run cannot be written as JSON: {error}")
                self._send({"operation": ended.operation, "body": dict(ended.body)})

    def _perform(self, order: dict[str, Any]) -> Outcome:
        run = Run(**order["run"])
        with self._lock:
            self._current = run
        job: JobType[Any, Any] = self._app.jobs[run.kind]
        try:
            if job.is_async:
                return asyncio.run(self._perform_async(job, run, order))
            return perform(self._app, job, run, order["payload"], order["timeout_s"])
        finally:
            with self._lock:
                self._current = self._task = None

    async def _perform_async(self, job: JobType[Any, Any], run: Run, order: dict[str, Any]) -> Outcome:
        work = perform_async(self._app, job, run, order["payload"], order["timeout_s"])
        task = asyncio.ensure_future(work)
        with self._lock:
            self._task = (asyncio.get_running_loop(), task)
            if run.is_cancelled:
                task.cancel()
        return await task

    def _listen(self) -> None:
        try:
            with self._link.makefile("rb") as lines:
                for line in lines:
                    order = json.loads(line)
                    if "run" in order:
                        self._runs.put(order)
                    else:
                        self._stop(order["stop"])
        finally:
            # The worker has ended. The processes that the handler has started are in the group of this process.
            os.killpg(0, signal.SIGKILL)

    def _stop(self, why: str) -> None:
        with self._lock:
            run, task = self._current, self._task
            if run is not None:
                run.interrupt(why)
            if task is not None:
                task[0].call_soon_threadsafe(task[1].cancel)

    def _send(self, line: dict[str, Any]) -> None:
        self._link.sendall(json.dumps(line, allow_nan=False).encode() + b"\n")


def main() -> None:
    """Runs the process."""
    # The worker decides when to stop. A terminal sends Ctrl-C to all processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.getpgrp() != os.getpid():
        raise SystemExit("a worker starts this process; it is no command")
    target, fd = sys.argv[1], int(sys.argv[2])
    Child(load(target), socket.socket(fileno=fd)).serve()


if __name__ == "__main__":
    main()
