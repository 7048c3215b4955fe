"""Ids that sort by time: UUID version 7 without dashes, as RFC 9562 lays them out."""

import secrets
import threading
import time

TICKS = 4_096_000  # in a second
_turn, _last = threading.Lock(), [0]


def new_id(at: float | None = None) -> str:
    """48 bits of milliseconds, 12 bits of their fraction, 62 random bits. `at` is in seconds.

    Without it, each sorts behind those before, whatever the clock does.
    """
    if at is None:
        with _turn:
            _last[0] = ticks = max(time.time_ns() * 512 // 125_000, _last[0] + 1)
    else:
        ticks = int(at * TICKS)
    milliseconds, fraction = divmod(ticks, 4096)
    high = milliseconds << 16 | 0x7000 | fraction
    return f"{high << 64 | 2 << 62 | secrets.randbits(62):032x}"


def not_before(known: str) -> None:
    """From now on ids sort behind this one."""
    high = int(known, 16) >> 64
    with _turn:
        _last[0] = max(_last[0], (high >> 16) * 4096 + (high & 0xFFF))
