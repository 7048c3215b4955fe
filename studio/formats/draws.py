"""Whole numbers drawn from a seed, the same on every machine and in every Python, for ever.

SplitMix64 over a state that SHA-256 makes of the seed and of a word for what is drawn. It is part
of what a seed means here, so it never changes.
"""

import hashlib

_FULL = 2**64 - 1


class Draws:
    def __init__(self, seed: int, what: str) -> None:
        digest = hashlib.sha256(f"darkroom {what} {seed}".encode()).digest()
        self._state = int.from_bytes(digest[:8], "big")

    def below(self, bound: int) -> int:
        """From 0 up to the bound, without it; no number comes more than 2**-64 too often."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _FULL
        word = self._state
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _FULL
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _FULL
        return ((word ^ (word >> 31)) * bound) >> 64
