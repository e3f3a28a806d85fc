"""Scores one batch: counts the transactions that look like fraud. Also contains the resident process of a pod.

    python scoring.py SOCKET RUNS

Loading pyarrow takes longer than scoring a batch. So each pod has one process that has loaded it. The command of a job
(score.py) asks this process over a Unix socket. RUNS is a file: one line for each run."""

import json
import os
import socketserver
import sys

import pyarrow.compute as compute
import pyarrow.parquet as parquet

LARGE_CENTS = 1_000_000


def score(path: str) -> dict:
    # Not `read_table(path)`: it would also search for a data set in the folder.
    with open(path, "rb") as file:
        table = parquet.read_table(file)
    by_card = table.group_by("card").aggregate([("cents", "max"), ("cents", "sum")])
    large = compute.sum(compute.greater(table["cents"], LARGE_CENTS)).as_py() or 0
    return {"rows": table.num_rows, "cards": by_card.num_rows, "suspicious": large}


class Request(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        path = json.loads(self.rfile.readline())["path"]
        try:
            answer = score(path)
            with open(self.server.runs, "a") as runs:
                runs.write(os.path.basename(path) + "\n")
        except Exception as error:
            # A real error has the topic and the file.
            topic, file = os.path.split(path)
            answer = {"error": f"{os.path.basename(topic)}/{file}: {error}"}
        self.wfile.write(json.dumps(answer).encode())


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def main() -> None:
    path, runs = sys.argv[1:]
    if os.path.exists(path):
        os.unlink(path)
    with Server(path, Request) as server:
        server.runs = runs
        server.serve_forever()


if __name__ == "__main__":
    main()
