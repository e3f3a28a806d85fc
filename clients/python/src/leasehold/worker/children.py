"""Runs handlers in separate processes. A handler that crashes, leaks memory or does not stop affects only its own
process.

A process is started with spawn, not fork, so it has no threads and no connections of the worker. A process executes
one run after another. If a run does not stop, the worker kills the process group of its process.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from ..app import JobType
from ..run import Run
from .execution import Execution
from .outcome import Outcome, failed

#: How long a process may take to import the app.
_START_WITHIN_S: Final = 60.0


class ProcessExecutor:
    """Runs handlers in processes, and keeps the processes for later runs."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._idle: list[_Process] = []
        self._is_closed = False

    def start(
        self, job: JobType[Any, Any], run: Run, payload: Any, timeout_s: float, ended: Callable[[], None]
    ) -> Execution:
        """Gives the run to a process. Raises `OSError` or `RuntimeError` if no process can be started."""
        del job
        with self._lock:
            process = self._idle.pop() if self._idle else None
        if process is None or not process.is_alive:
            process = _Process(self._target)
        execution = _ProcessExecution(process, self._keep, ended)
        process.begin(run, payload, timeout_s, execution)
        return execution

    def close(self) -> None:
        """Ends the idle processes."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for process in idle:
            process.kill()

    def _keep(self, process: _Process) -> None:
        with self._lock:
            if not self._is_closed:
                self._idle.append(process)
                return
        process.kill()


class _ProcessExecution:
    def __init__(
        self, process: _Process, keep: Callable[[_Process], None], ended: Callable[[], None]
    ) -> None:
        self.outcome: Outcome | None = None
        self._process, self._keep, self._ended = process, keep, ended

    def interrupt(self, why: str) -> None:
        """Tells the process, which tells the handler."""
        self._process.send({"stop": why})

    def kill(self) -> bool:
        self._process.kill()
        return True

    def finish(self, outcome: Outcome, *, is_alive: bool) -> None:
        """The process has answered, or it is gone."""
        if is_alive:
            self._keep(self._process)
        self.outcome = outcome
        self._ended()


class _Process:
    """One process, and the thread that reads its answers."""

    def __init__(self, target: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "leasehold.worker.child", target, str(theirs.fileno())]
            try:
                # A new session, so that a kill reaches the processes that the handler has started.
                self._process = subprocess.Popen(
                    command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
                )
            except BaseException:
                ours.close()
                raise
        self._link = ours
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._execution: _ProcessExecution | None = None
        self.is_alive = True
        threading.Thread(target=self._read, name="leasehold-child", daemon=True).start()
        if not self._ready.wait(_START_WITHIN_S) or not self.is_alive:
            self.kill()
            raise RuntimeError("the process for the handler did not start; its standard error says why")

    def begin(self, run: Run, payload: Any, timeout_s: float, execution: _ProcessExecution) -> None:
        """Gives a run to the process."""
        with self._lock:
            if not self.is_alive:
                raise RuntimeError("the process for the handler has ended before its run")
            self._execution = execution
        about = {
            "id": run.id,
            "epoch": run.fence.epoch,
            "worker": run.fence.worker,
            "kind": run.kind,
            "queue": run.queue,
            "attempt": run.attempt,
            "max_attempts": run.max_attempts,
            "crashes": run.crashes,
            "parents": run.parents,
            "traceparent": run.traceparent,
        }
        self.send({"run": about, "payload": payload, "timeout_s": timeout_s})

    def send(self, line: dict[str, Any]) -> None:
        """Sends a line. If the process has ended, the thread that reads its answers reports this."""
        try:
            self._link.sendall(json.dumps(line).encode() + b"\n")
        except OSError:
            pass

    def kill(self) -> None:
        """Kills the process and all processes that its handler has started."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self._process.kill()

    def _read(self) -> None:
        with self._link.makefile("rb") as lines:
            try:
                for text in lines:
                    line = json.loads(text)
                    if "ready" in line:
                        self._ready.set()
                    else:
                        self._finish(Outcome(line["operation"], line["body"]), is_alive=True)
            except (OSError, ValueError, KeyError):
                pass
        # The handler may have closed the socket. Nothing of the run may continue.
        self.kill()
        code = self._process.wait()
        with self._lock:
            self.is_alive = False
        self._link.close()
        self._ready.set()
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        self._finish(failed(f"the process of the handler has ended {how}"), is_alive=False)

    def _finish(self, outcome: Outcome, *, is_alive: bool) -> None:
        with self._lock:
            execution, self._execution = self._execution, None
        if execution is not None:
            execution.finish(outcome, is_alive=is_alive)
