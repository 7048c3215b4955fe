"""The developing picture, a few times a second: enough to watch it, too seldom to slow it down."""

import logging
import time

import torch

from studio.engine.encode import preview
from studio.engine.failures import is_poisoned
from studio.engine.family import Family
from studio.request import ImageRequest

PAUSE_SECONDS = 0.2

log = logging.getLogger("darkroom.worker")


class Previews:
    """Of one job. The first comes after a pause too: a quick picture is there before it."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._last = time.monotonic()

    def of(self, family: Family, latents: torch.Tensor, request: ImageRequest) -> bytes:
        """A small WebP, or nothing if the last one is fresh."""
        if not self._wanted or time.monotonic() - self._last < PAUSE_SECONDS:
            return b""
        try:
            sketch = family.sketch(latents, request)
            picture = b"" if sketch is None else preview(sketch)
        except Exception as error:  # a sketch is worth no picture
            if is_poisoned(error):
                raise
            log.warning("no more sketches of this job: %r", error)
            self._wanted, picture = False, b""
        self._last = time.monotonic()
        return picture
