"""Which requests may be sent again, and when."""

from __future__ import annotations

import enum
import random
import time
from typing import Final

from . import errors

_FIRST_PAUSE_S: Final = 0.1
_PAUSE_MAX_S: Final = 5.0
_RETRY_AFTER_MAX_S: Final = 30.0


class Repeat(enum.Enum):
    """When a request may be sent again."""

    #: A second request changes nothing that the first one did not: reads, ends of runs, jobs that have an id.
    ALWAYS = "always"
    #: Only if the first request has changed nothing for certain. A second `retry` could run a job twice, for example.
    UNDONE = "undone"


#: The server says that nothing was changed.
_UNDONE: Final = (errors.TooManyRequests, errors.Locked)
#: Something may have changed.
_UNCLEAR: Final = (errors.Unavailable, errors.OutcomeUnknown, errors.RequestTimeout)


def may_repeat(error: errors.LeaseholdError, repeat: Repeat) -> bool:
    """Whether a request that failed with this error may be sent again."""
    if isinstance(error, errors.ConnectionFailed):
        return repeat is Repeat.ALWAYS or not error.was_sent
    return isinstance(error, _UNDONE) or (repeat is Repeat.ALWAYS and isinstance(error, _UNCLEAR))


class Pauses:
    """The pauses between the tries of one request: exponential with jitter, within a time."""

    def __init__(self, within_s: float) -> None:
        self._deadline = time.monotonic() + within_s
        self._pause_s = _FIRST_PAUSE_S

    def next(self, error: errors.LeaseholdError, repeat: Repeat) -> float | None:
        """The pause before the next try; `None`: give up."""
        if not may_repeat(error, repeat):
            return None
        pause = random.uniform(self._pause_s / 2, self._pause_s)
        self._pause_s = min(self._pause_s * 2, _PAUSE_MAX_S)
        wanted = error.retry_after_s if isinstance(error, errors.ApiError) else None
        if wanted:
            pause = max(pause, min(wanted, _RETRY_AFTER_MAX_S) * random.uniform(1.0, 1.25))
        return pause if time.monotonic() + pause < self._deadline else None
