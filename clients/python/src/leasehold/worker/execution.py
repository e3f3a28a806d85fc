"""Runs handlers in this process: sync handlers in threads, async handlers as tasks of one loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any, Protocol

from ..app import App, JobType
from ..run import Run
from .outcome import Outcome, perform, perform_async


class Execution(Protocol):
    """A handler that runs."""

    @property
    def outcome(self) -> Outcome | None:
        """How it has ended; `None` while it runs."""
        ...

    def interrupt(self, why: str) -> None:
        """Tells the handler to stop. `run.why` is set already."""
        ...

    def kill(self) -> bool:
        """Ends the handler. `False`: it cannot be killed, and continues."""
        ...


class Executor(Protocol):
    """Starts handlers. `ended` is called when a handler has ended, from any thread."""

    def start(
        self, job: JobType[Any, Any], run: Run, payload: Any, timeout_s: float, ended: Callable[[], None]
    ) -> Execution:
        """Starts a handler. Raises `OSError` or `RuntimeError` if this machine cannot start it: this is not a failure
        of the job.
        """
        ...

    def close(self) -> None:
        """Ends the threads or processes that the executor keeps for later runs."""
        ...


class _ThreadExecution:
    def __init__(self) -> None:
        self.outcome: Outcome | None = None

    def interrupt(self, why: str) -> None:
        """The handler sees `run.is_cancelled`."""

    def kill(self) -> bool:
        return False


class _TaskExecution:
    def __init__(self) -> None:
        self.outcome: Outcome | None = None
        self.future: concurrent.futures.Future[Outcome] | None = None

    def interrupt(self, why: str) -> None:
        del why
        if self.future is not None:
            self.future.cancel()

    def kill(self) -> bool:
        return False


class ThreadExecutor:
    """Runs handlers in this process."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(
        self, job: JobType[Any, Any], run: Run, payload: Any, timeout_s: float, ended: Callable[[], None]
    ) -> Execution:
        """Starts a handler."""
        if job.is_async:
            return self._start_task(job, run, payload, timeout_s, ended)
        execution = _ThreadExecution()

        def work() -> None:
            execution.outcome = perform(self._app, job, run, payload, timeout_s)
            ended()

        threading.Thread(target=work, name=f"leasehold-{job.kind}", daemon=True).start()
        return execution

    def close(self) -> None:
        """Stops the loop. Tasks that ignore their cancel are left behind."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _start_task(
        self, job: JobType[Any, Any], run: Run, payload: Any, timeout_s: float, ended: Callable[[], None]
    ) -> Execution:
        execution = _TaskExecution()

        async def work() -> Outcome:
            # The outcome is kept here: a cancelled future has no outcome, even if its task still finished.
            outcome = await perform_async(self._app, job, run, payload, timeout_s)
            execution.outcome = outcome
            ended()
            return outcome

        execution.future = asyncio.run_coroutine_threadsafe(work(), self._running_loop())
        return execution

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="leasehold-loop", daemon=True).start()
            return self._loop
