"""A pod of today, for comparison: lists the topic, renames a batch into processing/, scores it, and moves it to completed/.

    python rename_loop.py TOPIC RUNS

Two pods list the same files. The rename of the slower one fails, and this pod logs an error although nothing is
wrong. If a pod is killed, its batch stays in processing/ for ever."""

import os
import sys
import time

from scoring import score


def main() -> None:
    topic, runs = sys.argv[1:]
    for folder in ("processing", "completed"):
        os.makedirs(os.path.join(topic, folder), exist_ok=True)
    while True:
        pending = sorted(name for name in os.listdir(topic) if name.endswith(".parquet"))
        for name in pending:
            claimed = os.path.join(topic, "processing", name)
            try:
                os.rename(os.path.join(topic, name), claimed)
            except OSError as error:
                print(f"ERROR cannot take {name}: {error}", file=sys.stderr, flush=True)
                continue
            score(claimed)
            with open(runs, "a") as file:
                file.write(name + "\n")
            os.rename(claimed, os.path.join(topic, "completed", name))
        if not pending:
            time.sleep(0.1)


if __name__ == "__main__":
    main()
