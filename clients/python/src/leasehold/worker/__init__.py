"""The worker: claims jobs over HTTP, runs their handlers, and sends the server the end of each run.

`claiming` claims, `supervisor` watches one run, `execution` and `children` run handlers, `leases` renews, `worker` starts and stops all.
"""

from .settings import Settings
from .worker import Worker

__all__ = ["Settings", "Worker"]
