"""The slots of a queue: how many of its jobs run at the same time."""

from __future__ import annotations

import threading


class Slots:
    """Counts free slots. A claim reserves all free slots before it asks, so no job waits in the worker."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = count
        self._changed = threading.Condition()

    def reserve_all(self, within_s: float) -> int:
        """Waits for a free slot, and takes all free slots. Returns their number, or 0 if the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0, within_s)
            reserved, self._free = self._free, 0
            return reserved

    def give_back(self, count: int = 1) -> None:
        """Makes slots free."""
        with self._changed:
            self._free += count
            self._changed.notify()
