"""The app that the tests enqueue to and that their workers run. Handlers note their runs in a file of the test."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from leasehold import App, Never, NewJob, Retry, Run, Snooze

app = App()


def note(run: Run, what: str) -> None:
    """Appends a line to the notes of the test."""
    folder = os.environ.get("TEST_FOLDER")
    if folder is None:
        return
    line = json.dumps([run.id, run.fence.epoch, what, os.getpid()]) + "\n"
    with (Path(folder) / "notes").open("a") as notes:
        notes.write(line)


@dataclasses.dataclass
class Picture:
    path: str
    width: int = 320


@app.job()
def resize(run: Run, picture: Picture) -> Picture:
    return Picture(picture.path, picture.width * 2)


@app.job()
def add(run: Run, left: int, right: int = 1) -> int:
    return left + right


@app.job()
async def add_async(run: Run, left: int, right: int = 1) -> int:
    await asyncio.sleep(0.01)
    return left + right


@app.job()
def echo(run: Run, value: Any) -> Any:
    return value


@app.job()
def hold(run: Run, seconds: float) -> str:
    """Can be told to stop."""
    note(run, "begin")
    try:
        run.sleep(seconds)
    except BaseException:
        note(run, f"stopped: {run.why}")
        raise
    note(run, "end")
    return "held"


@app.job()
async def hold_async(run: Run, seconds: float) -> str:
    note(run, "begin")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        note(run, f"stopped: {run.why}")
        raise
    return "held"


@app.job()
def deaf(run: Run, seconds: float) -> str:
    """Cannot be told to stop."""
    note(run, "begin")
    time.sleep(seconds)
    note(run, "end")
    return "done"


@app.job()
def with_child(run: Run) -> None:
    """Has a process of its own that must not outlive the run."""
    child = subprocess.Popen(["sleep", "600"])
    note(run, f"child {child.pid}")
    child.wait()


@app.job()
def fails(run: Run, how: str) -> str:
    note(run, how)
    if run.attempt > 1:
        return f"attempt {run.attempt}"
    if how == "retry":
        raise Retry(after=0.1, error="once more")
    if how == "never":
        raise Never("this cannot be done")
    if how == "surrogate":
        raise Never("half a pair: \udc80")
    if how == "late":
        raise Retry(after=-5.0)
    if how == "endless":
        raise Retry(after=float("nan"))
    if how == "cancelled":
        raise asyncio.CancelledError
    if how == "exit":
        raise SystemExit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "nan":
        return float("nan")  # type: ignore[return-value]
    raise RuntimeError("a fault of the handler")


@app.job()
def snoozes(run: Run, times: int) -> int:
    """Has the same attempt however often it is put off."""
    if run.fence.epoch <= times:
        raise Snooze(after=0.05)
    return run.attempt


@app.job()
def first(run: Run, value: int) -> int:
    run.then(second.options(queue=run.queue, batch=f"after-{run.id}").new(value=value + 1))
    return value


@app.job()
def second(run: Run, value: int) -> int:
    return value


@app.job()
def too_much(run: Run, what: str) -> str:
    """Ends with something that the server refuses."""
    run.then(NewJob("nobody", queue=run.queue))
    if what == "follower":
        run.then(NewJob("nobody", queue=run.queue, priority=101))
    return "x" * 2_000_000 if what == "result" else ""


@app.job()
def whoami(run: Run) -> dict[str, Any]:
    return {**dataclasses.asdict(run.fence), "attempt": run.attempt, "queue": run.queue, "pid": os.getpid()}
