"""Ids that sort by time: UUID version 7 without dashes, as RFC 9562 lays them out."""

import secrets
import time


def new_id(at: float | None = None) -> str:
    """48 bits of milliseconds, 12 bits of their fraction, 62 random bits. `at` is in seconds."""
    nanoseconds = time.time_ns() if at is None else int(at * 1e9)
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    high = milliseconds << 16 | 0x7000 | fraction
    return f"{high << 64 | 2 << 62 | secrets.randbits(62):032x}"
