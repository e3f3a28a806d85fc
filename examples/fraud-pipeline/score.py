"""The command of a job: `leasehold worker --exec "score=python score.py SOCKET"`. Sends the payload to the resident process
of the pod, and prints its answer, which is the result of the job."""

import socket
import sys

TRY_AGAIN_LATER = 75

pod = socket.socket(socket.AF_UNIX)
try:
    pod.connect(sys.argv[1])
except OSError:
    # The resident process is not up yet. That is not the fault of the batch: no attempt is spent.
    sys.exit(TRY_AGAIN_LATER)
pod.sendall(sys.stdin.readline().encode() + b"\n")
answer = b""
while piece := pod.recv(65536):
    answer += piece
if not answer:
    sys.exit("the resident process ended")
if b'"error"' in answer:
    sys.exit(answer.decode())
print(answer.decode())
