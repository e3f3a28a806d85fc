"""Drops numbered Parquet batches of card transactions into a topic, which is a folder.

    python produce.py TOPIC --batches 40 --rows 100000

A batch is written under a hidden name and then renamed. So nobody ever sees half a batch."""

import argparse
import os

import pyarrow as pa
import pyarrow.parquet as parquet


def batch(number: int, rows: int) -> pa.Table:
    """One batch. The same number always gives the same rows. Every thousandth transaction is large."""
    ids = range(number * rows, (number + 1) * rows)
    return pa.table({
        "id": pa.array(ids, pa.int64()),
        "card": pa.array([nth * 2654435761 % 50_000 for nth in ids], pa.int32()),
        "cents": pa.array([5_000_000 if nth % 1_000 == 0 else nth * 7919 % 20_000 for nth in ids], pa.int64()),
    })


def drop(topic: str, number: int, table: pa.Table) -> str:
    name = f"batch-{number:05}.parquet"
    hidden = os.path.join(topic, f".{name}")
    parquet.write_table(table, hidden)
    os.rename(hidden, os.path.join(topic, name))
    return name


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("topic")
    arguments.add_argument("--first", type=int, default=0, help="the number of the first batch")
    arguments.add_argument("--batches", type=int, default=40)
    arguments.add_argument("--rows", type=int, default=100_000, help="rows in each batch; a million is usual")
    given = arguments.parse_args()
    os.makedirs(given.topic, exist_ok=True)
    for number in range(given.first, given.first + given.batches):
        drop(given.topic, number, batch(number, given.rows))


if __name__ == "__main__":
    main()
