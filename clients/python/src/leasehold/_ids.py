"""Ids of jobs. The client makes them, so that an enqueue can be sent again safely. They are UUIDv7, in the order in
which they are made.
"""

from __future__ import annotations

import os
import threading
import time
import uuid

_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """A new UUIDv7. Within a process, each id is greater than the previous one, so the jobs of a request keep their
    order.
    """
    global _last
    with _lock:
        # 48 bits of milliseconds and 12 bits that count within one.
        now = (time.time_ns() // 1_000_000) << 12
        _last = max(now, _last + 1)
        stamp = _last
    ms, count = stamp >> 12, stamp & 0xFFF
    random_bits = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    return str(uuid.UUID(int=(ms << 80) | (0x7 << 76) | (count << 64) | (0b10 << 62) | random_bits))


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
