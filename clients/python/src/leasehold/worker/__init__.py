"""The worker: claims jobs over HTTP, runs their handlers, and says how the runs have ended.

`claiming` claims, `supervisor` watches one run, `execution` and `children` run handlers, `leases` renews, `worker` starts and stops all.
"""

from .settings import Settings
from .worker import Worker

__all__ = ["Settings", "Worker"]
