"""`python -m leasehold worker module:app --queue mail=8`."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from . import __version__, errors
from .client import Client
from .worker import Settings, Worker
from .worker.loading import load


def _queue(text: str) -> tuple[str, int]:
    name, _, slots = text.partition("=")
    if not name or (slots and not slots.isdigit()):
        raise argparse.ArgumentTypeError(f"give a queue as NAME or NAME=SLOTS, not {text}")
    return name, int(slots or 1)


def _seconds(text: str) -> float:
    """A number of seconds, for argparse. The error of argparse for a bad number names the flag."""
    seconds = float(text)
    if not 0 <= seconds <= 10_000_000:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds from 0 to 10,000,000")
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m leasehold")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    worker = commands.add_parser(
        "worker",
        help="run the jobs of an app",
        description="Claims jobs from `leasehold api` and runs their handlers. TERM or Ctrl-C lets handlers finish; a second one does not.",
    )
    worker.add_argument("app", metavar="MODULE:APP", help="the app, such as shop.jobs:app")
    worker.add_argument("--queue", metavar="NAME[=SLOTS]", type=_queue, action="append", help="a queue, and how many of its jobs run at once (repeatable; by default each queue of the app with one slot)")
    worker.add_argument("--isolation", choices=["thread", "process"], default="thread", help="where handlers run (thread)")
    worker.add_argument("--url", help="the server (LEASEHOLD_URL, or http://127.0.0.1:8080). The token is in LEASEHOLD_TOKEN")
    worker.add_argument("--grace", type=_seconds, default=25.0, metavar="SECONDS", help="how long a stop lets handlers finish (25)")
    worker.add_argument("--lease", type=_seconds, default=30.0, metavar="SECONDS", help="how long a job waits after this process was killed (30)")
    worker.add_argument("--wait", type=_seconds, default=20.0, metavar="SECONDS", help="how long one claim waits at the server (20)")
    worker.add_argument("--stop-within", type=_seconds, default=5.0, metavar="SECONDS", help="how long a handler that is told to stop may still take (5)")
    worker.add_argument("--request-timeout", type=_seconds, default=10.0, metavar="SECONDS", help="how long the server may take for an answer (10)")
    worker.add_argument("--log-level", default="INFO", help="DEBUG, INFO, WARNING or ERROR (INFO)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command. Returns the exit code."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(
        level=given.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    try:
        app = load(given.app)
        if given.url:
            app.client = Client(given.url)
        queues = dict(given.queue) if given.queue else {queue: 1 for queue in app.queues()}
        settings = Settings(
            queues=queues,
            isolation=given.isolation,
            grace_s=given.grace,
            lease_s=given.lease,
            wait_s=given.wait,
            stop_within_s=given.stop_within,
            request_timeout_s=given.request_timeout,
        )
        worker = Worker(app, settings, target=given.app)
    except errors.ConfigError as error:
        print(f"leasehold: {error}", file=sys.stderr)
        return 2
    return worker.run()


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # A handler that does not stop is a thread that cannot be ended. It must not keep the process.
    os._exit(code)
