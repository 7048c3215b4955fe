"""The worker's inner loop: one thread hears, the other paints one job after another.

A cancel is a note that the painting side reads before each message. Whatever goes wrong with one
picture is told and the next one is painted, unless the card itself is beyond help. What goes wrong
with several side by side is tried again with each alone, so that none fails for another.
"""

import logging
import os
import threading
import traceback
from argparse import Namespace
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import BinaryIO

import torch

from studio.engine.device import find_hardware
from studio.engine.failures import explain, is_out_of_memory, is_poisoned
from studio.engine.fingerprint import versions
from studio.engine.ladder import Ladder
from studio.engine.paint import Stopped, Tell, paint_together
from studio.engine.residents import Residents
from studio.messages import (
    Cancel,
    Cancelled,
    Failed,
    Hello,
    Leave,
    Load,
    Loaded,
    Loading,
    Paint,
    Painted,
    Progress,
    Together,
    Unload,
    Worn,
    read_frame,
    write_frame,
)
from studio.models.card import ModelCard
from studio.models.safety import read_safety

POISONED = 70  # exit code of a worker whose card no longer answers
SOON = 1.0  # seconds
FALLS = 2  # of memory, after which a new process is better: pieces of it stay taken

log = logging.getLogger("darkroom.worker")


def serve(options: Namespace, inbox: BinaryIO, outbox: BinaryIO) -> None:
    """Paints until the other side leaves; the process ends from within the hearing thread."""
    torch.set_num_threads(options.threads)
    torch.set_num_interop_threads(1)
    torch.backends.cudnn.deterministic = True  # with `benchmark` off, as it is, this costs nothing
    hardware = find_hardware(options.device)
    about = f"{options.device}, threads: {torch.get_num_threads()}, torch {torch.__version__}"
    write_frame(outbox, Hello(os.getpid(), hardware.name, about, versions()))
    safety = read_safety(options.safety)
    residents = Residents(
        options.device,
        options.models,
        options.precision,
        safety,
        compiled=options.compile,
        attention=options.attention,
    )
    # Where pictures are checked, none is shown before it was.
    desk = Desk(residents, options.previews and safety is None)
    threading.Thread(target=_hear, args=(inbox, desk), name="hearing", daemon=True).start()
    while True:
        match desk.next():
            case Load() as wanted:
                desk.load(wanted, outbox)
            case Unload(model):
                desk.unload(model)
            case Together(jobs):
                desk.paint_together(jobs, outbox)
            case job:
                desk.paint(job, outbox)


class Desk:
    """Jobs on the one side, words about them on the other."""

    def __init__(self, residents: Residents, previews: bool) -> None:
        self.jobs: SimpleQueue[Paint | Together | Load | Unload] = SimpleQueue()
        self.cancelled: set[tuple[str, int]] = set()
        self._residents = residents
        self._ladder = Ladder(residents)
        self._previews = previews

    def next(self) -> Paint | Together | Load | Unload:
        """Who is to follow a model that left is told at once; if nobody is, nothing of it stays."""
        if self._residents.parting:
            with suppress(Empty):
                return self.jobs.get(timeout=SOON)
            self._residents.part()
        return self.jobs.get()

    def load(self, wanted: Load, outbox: BinaryIO) -> None:
        card, why = ModelCard.model_validate(wanted.card), ""
        try:
            self._residents.get(card, self._residents.key(card, wanted.folder, "auto"))
        except Exception as error:  # noqa: BLE001 - a job that needs the model will say it again
            log.exception("%s could not be loaded before the first wish", card.title)
            why = str(explain(error, "any size"))
        try:
            write_frame(outbox, Loaded(card.name, why))
        except BrokenPipeError:
            os._exit(0)

    def unload(self, model: str) -> None:
        self._residents.leave(model)

    def paint(self, job: Paint, outbox: BinaryIO, too_many: int = 0) -> None:
        """So many at once were too many for the memory, and the answer shall say so."""
        try:
            answer = self._answer(job, self._tell(outbox))
            if too_many and isinstance(answer, Painted):
                answer.timings["too_many"] = too_many
            if self._ladder.falls >= FALLS:
                write_frame(outbox, Worn(f"ran out of memory {self._ladder.falls} times"))
            write_frame(outbox, answer)
        except BrokenPipeError:
            os._exit(0)  # nobody listens any more
        self.cancelled.discard((job.job, job.token))

    def paint_together(self, jobs: tuple[Paint, ...], outbox: BinaryIO) -> None:
        left, too_many = {job.job: job for job in jobs}, 0

        def finish(end: Painted | Failed | Cancelled) -> None:
            del left[end.job]
            write_frame(outbox, end)
            self.cancelled.discard((end.job, end.token))

        try:
            paint_together(jobs, self._residents, self._previews, self._tell(outbox), finish)
        except BrokenPipeError:
            os._exit(0)
        except Exception as error:  # noqa: BLE001 - each alone will say what is wrong with it
            if is_poisoned(error):
                self._explain(error, jobs[0])
            log.warning("%d jobs side by side: %r; each is painted alone", len(jobs), error)
            traceback.clear_frames(error.__traceback__)  # they hold what filled the memory
            if is_out_of_memory(error):
                too_many = min(jobs[0].at_once, sum(job.request["count"] for job in jobs))
                self._ladder.falls += 1
                self._residents.free()
        for job in left.values():
            self.paint(replace(job, at_once=1), outbox, too_many)

    def _tell(self, outbox: BinaryIO) -> Tell:
        def tell(word: Loading | Progress) -> None:
            if (word.job, word.token) in self.cancelled:
                raise Stopped
            write_frame(outbox, word)

        return tell

    def _answer(self, job: Paint, tell: Tell) -> Painted | Cancelled | Failed:
        try:
            return self._ladder.paint(job, self._previews, tell)
        except Stopped:
            return Cancelled(job.job, job.token)
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - the worker outlives one failed picture
            return self._explain(error, job)

    def _explain(self, error: Exception, job: Paint) -> Failed:
        detail = "".join(traceback.format_exception(error))
        if is_poisoned(error):
            log.error("the card no longer answers; this worker leaves\n%s", detail)
            os._exit(POISONED)
        times = job.request.get("upscale") or 1
        sides = (job.request.get(side) or 0 for side in ("width", "height"))
        size = "x".join(str(side * times) for side in sides)
        failure = explain(error, size)
        if failure.code == "oom":
            traceback.clear_frames(error.__traceback__)  # they hold the tensors that filled it
            self._residents.clear()
        return Failed(job.job, job.token, failure.code, str(failure), detail)


def _hear(inbox: BinaryIO, desk: Desk) -> None:
    code = 1
    try:
        while (message := read_frame(inbox)) is not None and not isinstance(message, Leave):
            if isinstance(message, Paint | Together | Load | Unload):
                desk.jobs.put(message)
            elif isinstance(message, Cancel):
                desk.cancelled.add((message.job, message.token))
        code = 0
    except Exception:  # noqa: BLE001 - a broken frame leaves no next one to read
        log.exception("what came in is no message")
    os._exit(code)  # even in the middle of a picture: nobody is there to take it
