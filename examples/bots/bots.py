"""The jobs of the bots. A bot is a process: `python -m leasehold worker bots:app --queue bots`."""

from __future__ import annotations

import json
import os

from leasehold import App, Retry, Run

app = App()


@app.job(kind="visit", queue="bots", timeout="1m", max_attempts=5, retry={"strategy": "exponential", "base": "1s"})
def visit(run: Run, page: str, seconds: float = 0.0, is_flaky: bool = False) -> dict[str, object]:
    """Visits a page. A handler can run twice for one job: the fence distinguishes the two runs."""
    note(run, "begin")
    run.sleep(seconds)
    if is_flaky and run.attempt == 1:
        raise Retry(after=0.2, error=f"{page} has not answered")
    note(run, "end")
    return {"page": page, "epoch": run.fence.epoch, "bot": os.getpid()}


def note(run: Run, what: str) -> None:
    """For measure.py: which bot has begun what."""
    path = os.environ.get("BOTS_NOTES")
    if path is not None:
        with open(path, "a") as notes:
            notes.write(json.dumps([run.id, run.fence.epoch, what, os.getpid()]) + "\n")
