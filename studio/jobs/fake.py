"""Slots that paint flat colours, for tests and benches of everything that is not the engine.

`FakeSlot` lives in this process; `python -m studio.jobs.fake` is a worker process that speaks like
the real one. The colour follows from the seed, so it is seen whether the right picture came back.
"""

import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import cast

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from studio.formats.likeness import likeness
from studio.formats.metadata import RECIPE, recipe_text
from studio.jobs.slot import Gone, Inbox, Said, Slot
from studio.messages import (
    Cancel,
    Cancelled,
    FromWorker,
    Hello,
    Leave,
    Load,
    Loaded,
    Loading,
    Paint,
    Painted,
    Picture,
    Progress,
    Together,
    ToWorker,
    Unload,
    read_frame,
    write_frame,
)
from studio.request import ImageRequest, steps_taken

Script = Callable[[Paint, threading.Event], Iterator[FromWorker | Gone]]


def paint(
    message: Paint, cancelled: threading.Event, step_seconds: float = 0.0
) -> Iterator[FromWorker | Gone]:
    request = ImageRequest.model_validate(message.request)
    yield Loading(message.job, message.token, "loading nothing")
    pictures = []
    steps = steps_taken(message.request)
    for index, seed in enumerate(request.seeds()):
        for step in range(1, steps + 1):
            time.sleep(step_seconds)
            if cancelled.is_set():
                yield Cancelled(message.job, message.token)
                return
            yield Progress(message.job, message.token, index, step, steps)
        pictures.append(_flat(message, request, index, seed))
    yield Painted(
        message.job, message.token, tuple(pictures), {"request": message.request}, {"total": 0.0}
    )


def _flat(message: Paint, request: ImageRequest, index: int, seed: int) -> Picture:
    times = request.upscale or 1
    size = ((request.width or 64) * times, (request.height or 64) * times)
    image = Image.new("RGB", size, (seed & 255, (seed >> 8) & 255, (seed >> 16) & 255))
    file, thumb = io.BytesIO(), io.BytesIO()
    recipe = {"version": 1, "request": message.request, "wish": {}, "fingerprint": {}}
    about = PngInfo()
    about.add_itxt(RECIPE, recipe_text(recipe | {"warnings": [], "seed": seed, "index": index}))
    image.save(file, "PNG", pnginfo=about)
    image.resize((32, 32)).save(thumb, "WEBP")
    looks = likeness(image)
    return Picture(index, seed, *size, "png", file.getvalue(), thumb.getvalue(), {}, looks)


class FakeSlot:
    """Lives in this process; every job runs its script in a thread of its own."""

    device = "fake"

    def __init__(
        self,
        name: str = "fake0",
        script: Script = paint,
        gb: float = 24.0,
        machine: str = "here",
        *,
        leased: bool = False,
    ) -> None:
        self.machine, self.leased = machine, leased
        self.name = name
        self.script = script
        self.gb = gb
        self.unloaded: list[str] = []
        self.refuses = ""  # why it loads no model before a picture needs it
        self.asked: list[Paint] = []
        self.loaded: list[Load] = []
        self._inbox: Inbox | None = None
        self._life = 0
        self._cancelled: dict[tuple[str, int], threading.Event] = {}

    def start(self, inbox: Inbox, life: int) -> None:
        self._inbox, self._life = inbox, life
        self._say(life, Hello(0, "fake", "for tests", {}))

    def send(self, message: ToWorker) -> None:
        if isinstance(message, Together):
            for job in message.jobs:
                self.send(job)
        elif isinstance(message, Paint):
            self.asked.append(message)
            self._cancelled[message.job, message.token] = threading.Event()
            threading.Thread(target=self._play, args=(message, self._life), daemon=True).start()
        elif isinstance(message, Cancel):
            self._cancelled[message.job, message.token].set()
        elif isinstance(message, Load):
            self.loaded.append(message)
            self._say(self._life, Loaded(message.card["name"], self.refuses))
        elif isinstance(message, Unload):
            self.unloaded.append(message.model)
        elif isinstance(message, Leave):
            self.kill()

    def kill(self) -> None:
        self._say(self._life, Gone("was killed"))

    def pid(self) -> int | None:
        return None

    def _play(self, message: Paint, life: int) -> None:
        for word in self.script(message, self._cancelled[message.job, message.token]):
            self._say(life, word)

    def _say(self, life: int, word: FromWorker | Gone) -> None:
        if self._inbox is not None:
            self._inbox.put(Said(self.name, life, word))


def widen(parts: Sequence[Slot]) -> FakeSlot:
    first = parts[0]
    script = first.script if isinstance(first, FakeSlot) else paint
    name = "+".join(part.name for part in parts)
    return FakeSlot(name, script, first.gb, first.machine, leased=first.leased)


def main(pace: Callable[[Paint], float]) -> None:
    """A worker process: paints one job after another until its input ends, a step in so long."""
    jobs: SimpleQueue[Paint | None] = SimpleQueue()
    cancelled: dict[tuple[str, int], threading.Event] = {}

    def listen() -> None:
        while message := read_frame(sys.stdin.buffer):
            if isinstance(message, Paint | Together):
                for job in message.jobs if isinstance(message, Together) else (message,):
                    cancelled[job.job, job.token] = threading.Event()
                    jobs.put(job)
            elif isinstance(message, Cancel):
                cancelled[message.job, message.token].set()
            elif isinstance(message, Leave):
                break
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    try:
        write_frame(sys.stdout.buffer, Hello(os.getpid(), "fake", "for tests", {}))
        while message := jobs.get():
            for word in paint(message, cancelled[message.job, message.token], pace(message)):
                write_frame(sys.stdout.buffer, cast(FromWorker, word))
    except BrokenPipeError:
        os._exit(0)  # the server is gone


if __name__ == "__main__":
    main(lambda _: float(sys.argv[1]))
