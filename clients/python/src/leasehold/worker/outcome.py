"""How a run ends, in the form that the server gets."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from ..app import App, JobType
from ..errors import PayloadError
from ..model import Duration, duration_text
from ..run import Never, Retry, Run, Snooze

#: The server keeps the last 8 KiB of an error.
ERROR_MAX_CHARS: Final = 8 * 1024


@dataclass(frozen=True)
class Outcome:
    """The end of a run: `complete`, `fail`, `snooze` or `release`, with its fields; or `drop`: the lease is lost, so
    the server is not told.
    """

    operation: str
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])


def failed(error: str, *, never: bool = False, after: Duration | None = None) -> Outcome:
    """The run has failed."""
    body: dict[str, Any] = {"error": _encodable(error[-ERROR_MAX_CHARS:])}
    if never:
        body["never"] = True
    if after is not None:
        body["delay_ms"] = _ms(after)
    return Outcome("fail", body)


def _encodable(text: str) -> str:
    """The text without halves of surrogate pairs, which JSON in UTF-8 cannot hold. Names of files may have them."""
    return text.encode(errors="replace").decode()


def _ms(value: Duration) -> int:
    if isinstance(value, str):
        raise TypeError("give the time of a Retry or a Snooze in seconds or as a timedelta")
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds < 0:
        # Such as a time of the clock that has just passed.
        return 0
    return int(duration_text(value).removesuffix("ms"))


def succeeded(job: JobType[Any, Any], run: Run, result: Any) -> Outcome:
    """The run has succeeded, if its result can be stored."""
    try:
        body: dict[str, Any] = {"result": job.result_json(result)}
    except PayloadError as error:
        return failed(f"the result does not have the type that the handler declares: {error}")
    if run.followers:
        body["enqueue"] = [follower.words() for follower in run.followers]
    return Outcome("complete", body)


def interrupted(why: str | None, timeout_s: float) -> Outcome:
    """The handler was told to stop, and has not finished."""
    if why == "lease_lost":
        return Outcome("drop")
    if why == "timeout":
        return failed(f"the run has timed out after {timeout_s:g} s")
    # The server ends the job as cancelled if somebody has cancelled it.
    return Outcome("release")


def of_error(error: BaseException, run: Run, timeout_s: float) -> Outcome:
    """What an exception of a handler means."""
    try:
        if isinstance(error, Retry):
            return failed(error.error, after=error.after)
        if isinstance(error, Never):
            return failed(str(error) or "the job can never succeed", never=True)
        if isinstance(error, Snooze):
            body: dict[str, Any] = {"delay_ms": _ms(error.after)}
            return Outcome("snooze", {**body, "reason": _encodable(error.reason)} if error.reason else body)
    except Exception as bad:  # noqa: BLE001 - also of an exception whose text or time makes no sense
        error = bad
    if run.why is not None:
        # An error after the handler was told to stop is a way to stop.
        return interrupted(run.why, timeout_s)
    # The run was not told to stop, so the `CancelledError` comes from the handler, for example from a task that it
    # has cancelled.
    return failed("".join(traceback.format_exception(error)))


def perform(app: App, job: JobType[Any, Any], run: Run, payload: Any, timeout_s: float) -> Outcome:
    """Runs a sync handler in this thread."""
    try:
        with ExitStack() as stack:
            for around in app.around:
                stack.enter_context(around(run))
            result = job.call(run, payload)
        return succeeded(job, run, result)
    except BaseException as error:  # noqa: BLE001 - also SystemExit of a handler is the end of its run only
        return of_error(error, run, timeout_s)


async def perform_async(app: App, job: JobType[Any, Any], run: Run, payload: Any, timeout_s: float) -> Outcome:
    """Runs an async handler in this task."""
    try:
        with ExitStack() as stack:
            for around in app.around:
                stack.enter_context(around(run))
            result = await job.call(run, payload)
        return succeeded(job, run, result)
    except BaseException as error:  # noqa: BLE001
        return of_error(error, run, timeout_s)
