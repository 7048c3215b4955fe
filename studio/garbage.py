"""When the collector of garbage rests: while much is made of which nothing is garbage yet.

It knows nothing of what is made.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected(*, to_stay: bool = False) -> Iterator[None]:
    """`to_stay`: what is there at the end stays as long as the process, and is never looked at
    again. A whole look at an open studio takes a fifth of a second, in which no page is answered.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        if to_stay:
            gc.freeze()
    finally:
        if was_on:
            gc.enable()
