"""Enqueues visits: `python produce.py 100`. Prints the number of jobs that were made."""

from __future__ import annotations

import sys

from bots import app, visit


def produce(pages: list[str], *, seconds: float = 0.0, batch: str | None = None) -> list[str]:
    """Enqueues a visit for each page, up to 1,000 jobs in one transaction. Returns the ids."""
    kind = visit.options(batch=batch) if batch else visit
    jobs = [kind.new(page=page, seconds=seconds) for page in pages]
    made = [one for start in range(0, len(jobs), 1000) for one in app.client.enqueue_many(jobs[start : start + 1000])]
    return [one.id for one in made]


if __name__ == "__main__":
    count = int(sys.argv[1])
    print(len(produce([f"https://example.org/{nth}" for nth in range(count)])), "jobs")
