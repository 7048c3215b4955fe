"""Files of finished pictures are made beside the painting of the next one, where a device paints.

At most one is on its way, so memory holds one picture more. What is told about it is told by the
thread that paints, in the order of the pictures. On a CPU there is no core left over, and a picture
is written before the next begins.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple, Self

from PIL import Image

from studio.engine.encode import encode, thumbnail
from studio.formats.likeness import likeness
from studio.request import OutputFormat


class File(NamedTuple):
    """`lost` says what did not fit into it; `likeness` how the picture looks, in 64 bits."""

    data: bytes
    thumb: bytes
    lost: tuple[str, ...]
    likeness: int | None
    seconds: float


Make = Callable[[], File]
Then = Callable[[File], None]


def make_file(image: Image.Image, form: OutputFormat, parameters: str, recipe: str) -> File:
    start = time.perf_counter()
    data, lost = encode(image, form, parameters, recipe)
    thumb, looks = thumbnail(image), likeness(image)
    return File(data, thumb, lost, looks, time.perf_counter() - start)


class Saver:
    """For the pictures of one pass or job; what is still on its way at an error is dropped."""

    def __init__(self, *, beside: bool) -> None:
        self._pool = ThreadPoolExecutor(1, "saving") if beside else None
        self._coming: tuple[Future[File], Then] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._wait()
        finally:
            if self._pool:
                self._pool.shutdown()

    def save(self, make: Make, then: Then) -> None:
        """`make` beside what follows; `then` with what it made, before another is made."""
        if self._pool is None:
            then(make())
            return
        self._wait()
        self._coming = self._pool.submit(make), then

    def _wait(self) -> None:
        if self._coming:
            (made, then), self._coming = self._coming, None
            then(made.result())
