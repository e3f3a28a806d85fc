"""The settings that a worker gets at its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError


@dataclass(frozen=True)
class Settings:
    """The settings of a worker."""

    #: The queues, each with the number of jobs that run at the same time.
    queues: Mapping[str, int]
    #: `thread`: handlers are threads of this process, or tasks if they are async. `process`: each slot has a separate process.
    isolation: Literal["thread", "process"] = "thread"
    #: How long a stop lets handlers finish.
    grace_s: float = 25.0
    #: The time for which a job is held without a renewal: so long a job waits after the worker was killed.
    lease_s: float = 30.0
    #: How long one claim waits at the server for a job.
    wait_s: float = 20.0
    #: How long a handler may continue after it was told to stop. Then its process is killed; a thread cannot be killed.
    stop_within_s: float = 5.0
    #: How long one run may take if its job does not say.
    timeout_s: float = 3600.0
    #: How long the server may take for an answer, beside the time for which a claim waits.
    request_timeout_s: float = 10.0
    #: How long the end of a run is sent again while the server is away. The lease decides whether the end is still accepted.
    settle_within_s: float = 300.0

    def __post_init__(self) -> None:
        if not self.queues:
            raise ConfigError("a worker needs at least one queue")
        for queue, slots in self.queues.items():
            if not 1 <= slots <= 500:
                raise ConfigError(f"the queue {queue} must have 1 to 500 slots, not {slots}")
        if self.isolation not in ("thread", "process"):
            raise ConfigError(f"isolation must be thread or process, not {self.isolation}")
        if not 1.0 <= self.lease_s <= 3600.0:
            raise ConfigError(f"a lease must last 1 to 3,600 s, not {self.lease_s:g}")
        if not 0.0 <= self.wait_s <= 50.0:
            raise ConfigError(f"a claim must wait 0 to 50 s, not {self.wait_s:g}")
        for name in ("grace_s", "stop_within_s", "settle_within_s"):
            if not 0.0 <= float(getattr(self, name)) < 1e9:
                raise ConfigError(f"{name} must not be negative")
        if self.timeout_s <= 0 or self.request_timeout_s <= 0:
            raise ConfigError("a timeout must be more than 0")

    @property
    def lease_ms(self) -> int:
        """The lease, in the form that the server reads."""
        return round(self.lease_s * 1000)
