"""Files of finished pictures are made beside the painting of the next one, where a device paints.

At most one is on its way, so memory holds one picture more. What is told about it is told by the
thread that paints, in the order of the pictures; but of the last file of a job, where the next job
may begin meanwhile. On a CPU there is no core left over, and a picture is written before the next
begins.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple, Self

from PIL import Image

from studio.engine.encode import encode, thumbnail
from studio.formats.likeness import likeness
from studio.messages import Cancelled, Failed, Paint, Painted
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


class Later:
    """The last file of a job, made while the next job is painted. One is on its way at most.

    `begin` hears which job that is; `finish` how it ended, from another thread than the one that
    paints; `explain` makes such an end of an error.
    """

    def __init__(
        self,
        begin: Callable[[Paint], None],
        finish: Callable[[Painted | Failed | Cancelled], None],
        explain: Callable[[Exception, Paint], Failed],
    ) -> None:
        self.begin, self.finish, self.explain = begin, finish, explain
        self._job: Paint | None = None
        self._told: Future[None] | None = None

    def has(self, job: Paint) -> bool:
        return self._job is job

    def take(self, job: Paint, told: Future[None]) -> None:
        self._job, self._told = job, told

    def wait(self) -> None:
        """Until it was told how that job ended."""
        told, self._job, self._told = self._told, None, None
        if told:
            told.result()


class Saver:
    """For the pictures of one pass or job; what is still on its way at an error is dropped.

    What `later` has of the job before is told before another file is begun.
    """

    def __init__(self, *, beside: bool, later: Later | None = None) -> None:
        self._pool = ThreadPoolExecutor(1, "saving") if beside else None
        self._later = later
        self._coming: tuple[Future[File], Then] | None = None
        self._handed_on = False

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
                self._pool.shutdown(wait=not self._handed_on)

    def save(self, make: Make, then: Then) -> None:
        """`make` beside what follows; `then` with what it made, before another is made."""
        if self._later:
            self._later.wait()
        if self._pool is None:
            then(make())
            return
        self._wait()
        self._coming = self._pool.submit(make), then

    def hand_on(self, job: Paint) -> None:
        """The file that is on its way is the last of this job, and nobody waits for it here."""
        if not (self._pool and self._later and self._coming):
            raise RuntimeError("no file is on its way, or nobody takes it")
        (made, then), self._coming, later = self._coming, None, self._later

        def tell() -> None:
            try:
                then(made.result())
            except Exception as error:  # noqa: BLE001 - whatever it is, the job has to end
                later.finish(later.explain(error, job))

        later.begin(job)
        self._handed_on = True
        later.take(job, self._pool.submit(tell))

    def _wait(self) -> None:
        if self._coming:
            (made, then), self._coming = self._coming, None
            then(made.result())
