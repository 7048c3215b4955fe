"""A wish while it is painted: its words for the network, what is done of it, the time it took.

Whoever listens is told of its steps and of its end, and decides whether it goes on: `tell` raises
`Stopped` for one that is no longer wanted.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch

from studio.engine.inputs import Inputs
from studio.engine.painter import Painter
from studio.engine.preview import Previews
from studio.engine.reading import in_short, readings, unread
from studio.formats.template import plain
from studio.messages import Cancelled, Failed, Loading, Paint, Painted, Picture, Progress
from studio.request import ImageRequest, read_request

Tell = Callable[[Loading | Progress], None]
Finish = Callable[[Painted | Failed | Cancelled], None]
WORDS = ("prompt", "negative_prompt")
PARTS = ("load", "encode", "steps", "decode", "upscale", "save")


class Stopped(Exception):
    """The picture is no longer wanted."""


class Job:
    def __init__(self, message: Paint, previews: bool, tell: Tell, finish: Finish) -> None:
        self.message, self._tell, self._finish = message, tell, finish
        self.request = read_request(message.request)
        self.inputs = Inputs.read(self.request, message.inputs)
        self.sketches = Previews(previews)
        self.conditions: dict[str, torch.Tensor] = {}
        self.recipe: dict[str, Any] = {}
        self.pictures: list[Picture] = []
        self.withheld: list[str] = []
        self.warnings: dict[str, None] = {}
        self.stopped = False
        self.together = 1
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._start = time.perf_counter()

    def say(self, word: Loading | Progress) -> None:
        if self.stopped:
            return
        try:
            self._tell(word)
        except Stopped:
            self.stopped = True
            self._finish(Cancelled(self.message.job, self.message.token))

    def progress(
        self, index: int, step: int, preview: bytes = b"", stage: str = "", of: int | None = None
    ) -> None:
        steps = self.request.steps_taken() if of is None else of
        self.say(Progress(self.message.job, self.message.token, index, step, steps, preview, stage))

    def begin(self, fingerprint: dict[str, Any], said: list[str]) -> None:
        self.recipe = _recipe(self.message, self.request, fingerprint)
        self.recipe["warnings"] += said
        self.warnings = dict.fromkeys(said)

    def prepare(self, painter: Painter, fingerprint: dict[str, Any], said: list[str]) -> None:
        read = readings(painter.card, self.request, partial(getattr, painter.family.pipeline))
        self.begin(fingerprint, [*said, *self.inputs.notes, *unread(painter.card, read)])
        self.recipe["read"] = in_short(self.request, read)
        if self.stopped or not self.request.steps_taken():
            return
        with suppress(Stopped):
            worn = fingerprint.get("loras")
            conditions = painter.words(self.request, worn, self._breathe)
            if self.inputs.start:
                self._breathe()
                canvas = self.request.width or 0, self.request.height or 0
                begun = self.inputs.begin(canvas), self.inputs.free(canvas)
                conditions |= painter.family.begin(*begun)
            self.conditions = conditions

    @property
    def unfinished(self) -> bool:
        """Whether one of its files is still on its way."""
        return not self.stopped and self._done < self.request.count

    @property
    def _done(self) -> int:
        return len(self.pictures) + len(self.withheld)

    def end_by(self, finish: Finish) -> None:
        self._finish = finish

    def say_also(self, done: str) -> None:
        """What only came about while it was painted."""
        if done and done not in self.warnings:
            self.warnings[done] = None
            self.recipe["warnings"].append(done)

    def _breathe(self) -> None:
        """A sign of life, and the moment to hear a cancel."""
        self.progress(0, 0)
        if self.stopped:
            raise Stopped

    def keep(self, picture: Picture, said: Sequence[str]) -> None:
        self.pictures.append(picture)
        self.warnings |= dict.fromkeys(said)
        self._end_after_the_last()

    def withhold(self, why: str) -> None:
        self.withheld.append(why)
        self.warnings[why] = None
        self._end_after_the_last()

    def _end_after_the_last(self) -> None:
        if self._done < self.request.count:
            return
        if not self.pictures:
            sentence = " ".join([*self.withheld, "Another seed or other words may pass."])
            self._finish(Failed(self.message.job, self.message.token, "unsafe", sentence))
            return
        timings = {**self.seconds, "total": time.perf_counter() - self._start}
        if self.together > 1:
            timings["together"] = self.together
        pictures, warnings = tuple(self.pictures), tuple(self.warnings)
        job, token = self.message.job, self.message.token
        self._finish(Painted(job, token, pictures, self.recipe, timings, warnings))


@contextmanager
def timed(part: str, jobs: Sequence[Job]) -> Iterator[None]:
    """Seconds by stage, added up over the pictures of a job."""
    start = time.perf_counter()
    try:
        yield
    finally:
        for job in jobs:
            job.seconds[part] += time.perf_counter() - start


def _recipe(message: Paint, request: ImageRequest, fingerprint: dict[str, Any]) -> dict[str, Any]:
    """What is needed to paint it again, and what the person wrote where settling changed it."""
    settled = request.model_dump(mode="json")
    names = (*WORDS, "look", *(("expand", "nth") if _chose(message) else ()))
    wished = {
        name: message.wish[name]
        for name in names
        if name in message.wish and message.wish[name] != settled.get(name)
    }
    return {
        "version": 1,
        "request": settled,
        "wish": wished,
        "fingerprint": fingerprint,
        "warnings": list(message.warnings),
    }


def _chose(message: Paint) -> bool:
    """Whether there may have been choices in its words, so that how they were made counts."""
    return not all(plain(str(message.wish.get(name, ""))) for name in WORDS)
