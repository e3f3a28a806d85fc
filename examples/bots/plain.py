"""A producer and a bot that use only the standard library.

    python plain.py produce 20     enqueues 20 jobs
    python plain.py work           works until no job comes for two seconds
"""

import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("LEASEHOLD_URL", "http://127.0.0.1:8080")
HEADERS = {"content-type": "application/json"}
if os.environ.get("LEASEHOLD_TOKEN"):
    HEADERS["authorization"] = "Bearer " + os.environ["LEASEHOLD_TOKEN"]
QUEUE, LEASE_MS = "plain", 15_000


def post(path, body):
    """Sends a request again while the network or the server fails. Every request below can be repeated safely."""
    for pause in (0.1, 0.5, 1, 2, 4, 8, None):
        try:
            request = urllib.request.Request(URL + path, json.dumps(body).encode(), HEADERS)
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in (429, 502, 503, 504) or pause is None:
                raise
        except (OSError, ValueError):
            if pause is None:
                raise
        time.sleep(pause)


def produce(count):
    # The ids are made here: a request whose answer was lost makes no second job.
    jobs = [{"kind": "square", "queue": QUEUE, "payload": n, "id": str(uuid.uuid4())} for n in range(count)]
    print(len(post("/v1/jobs", {"jobs": jobs})["jobs"]), "jobs")


def renew(fence, job, ended):
    while not ended.wait(LEASE_MS / 3000):
        try:
            post(f"/v1/jobs/{job['id']}/renew", {**fence, "lease_ms": LEASE_MS})
        except urllib.error.HTTPError:
            return  # The lease is lost. The end of this run will be refused.


def work():
    worker = str(uuid.uuid4())
    while True:
        claim = {"worker": worker, "claim_id": str(uuid.uuid4()), "max": 1, "wait_ms": 2000, "lease_ms": LEASE_MS}
        jobs = post(f"/v1/queues/{QUEUE}/claim", claim)["jobs"]
        if not jobs:
            return
        job, ended = jobs[0], threading.Event()
        fence = {"worker": worker, "epoch": job["epoch"]}
        threading.Thread(target=renew, args=(fence, job, ended), daemon=True).start()
        try:
            way, end = "complete", {"result": job["payload"] ** 2}  # the work
        except Exception as error:
            way, end = "fail", {"error": repr(error)}
        ended.set()
        try:
            post(f"/v1/jobs/{job['id']}/{way}", {**fence, **end})
        except urllib.error.HTTPError as error:
            print("dropped", job["id"], error.code, file=sys.stderr)  # 409: another bot has the job now


if __name__ == "__main__":
    produce(int(sys.argv[2])) if sys.argv[1] == "produce" else work()
