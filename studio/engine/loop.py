"""The worker's inner loop: one thread hears, the other paints one job after another.

The last file of a job may still be made while the next is painted; a third thread tells of it.

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
from threading import Lock
from typing import BinaryIO

import torch

from studio.engine.device import be_steady, find_hardware
from studio.engine.failures import explain, is_out_of_memory, is_poisoned
from studio.engine.fingerprint import versions
from studio.engine.job import Stopped
from studio.engine.ladder import Ladder
from studio.engine.paint import HandedOn, paint_together
from studio.engine.residents import Residents
from studio.engine.saving import Later
from studio.messages import (
    Cancel,
    Cancelled,
    Failed,
    FromWorker,
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
    Writing,
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
    be_steady()
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
    desk = Desk(residents, options.previews and safety is None, outbox)
    threading.Thread(target=_hear, args=(inbox, desk), name="hearing", daemon=True).start()
    while True:
        match desk.next():
            case Load() as wanted:
                desk.load(wanted)
            case Unload(model):
                desk.unload(model)
            case Together(jobs):
                desk.paint_together(jobs)
            case job:
                desk.paint(job)


class Desk:
    """Jobs on the one side, words about them on the other.

    A job that ends is told of after the one before it, whose last file may have taken longer.
    """

    def __init__(self, residents: Residents, previews: bool, outbox: BinaryIO) -> None:
        self.jobs: SimpleQueue[Paint | Together | Load | Unload] = SimpleQueue()
        self.cancelled: set[tuple[str, int]] = set()
        self._residents = residents
        self._ladder = Ladder(residents)
        self._previews = previews
        self._outbox, self._speaking = outbox, Lock()
        self._later = Later(self._hand_on, self._end, self._failed)

    def next(self) -> Paint | Together | Load | Unload:
        """Who is to follow a model that left is told at once; if nobody is, nothing of it stays."""
        if self._residents.parting:
            with suppress(Empty):
                return self.jobs.get(timeout=SOON)
            self._residents.part()
        return self.jobs.get()

    def load(self, wanted: Load) -> None:
        card, why = ModelCard.model_validate(wanted.card), ""
        try:
            self._residents.get(card, self._residents.key(card, wanted.folder, "auto"))
        except Exception as error:  # noqa: BLE001 - a job that needs the model will say it again
            log.exception("%s could not be loaded before the first wish", card.title)
            why = str(explain(error, "any size"))
        self._say(Loaded(card.name, why))

    def unload(self, model: str) -> None:
        self._residents.leave(model)

    def paint(self, job: Paint, too_many: int = 0) -> None:
        """So many at once were too many for the memory, and the answer shall say so."""
        # Where memory ran out once, a job is finished before another begins: it holds least then.
        if too_many or self._ladder.falls:
            job = replace(job, ahead=False)
        try:
            answer = self._answer(job)
        except HandedOn:
            return
        if too_many and isinstance(answer, Painted):
            answer.timings["too_many"] = too_many
        if self._ladder.falls >= FALLS:
            self._say(Worn(f"ran out of memory {self._ladder.falls} times"))
        self._end_in_turn(answer)

    def paint_together(self, jobs: tuple[Paint, ...]) -> None:
        left, too_many = {job.job: job for job in jobs}, 0

        def finish(end: Painted | Failed | Cancelled) -> None:
            del left[end.job]
            self._end_in_turn(end)

        try:
            paint_together(
                jobs, self._residents, self._previews, self._tell, finish, later=self._later
            )
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
            if not self._later.has(job):
                self.paint(replace(job, at_once=1), too_many)

    def _tell(self, word: Loading | Progress) -> None:
        if (word.job, word.token) in self.cancelled:
            raise Stopped
        self._say(word)

    def _say(self, word: FromWorker) -> None:
        try:
            with self._speaking:
                write_frame(self._outbox, word)
        except BrokenPipeError:
            os._exit(0)  # nobody listens any more

    def _hand_on(self, job: Paint) -> None:
        self._say(Writing(job.job, job.token))

    def _end_in_turn(self, end: Painted | Failed | Cancelled) -> None:
        self._later.wait()
        self._end(end)

    def _end(self, end: Painted | Failed | Cancelled) -> None:
        self._say(end)
        self.cancelled.discard((end.job, end.token))

    def _answer(self, job: Paint) -> Painted | Cancelled | Failed:
        try:
            return self._ladder.paint(job, self._previews, self._tell, self._later)
        except Stopped:
            return Cancelled(job.job, job.token)
        except HandedOn:
            raise
        except Exception as error:  # noqa: BLE001 - the worker outlives one failed picture
            return self._explain(error, job)

    def _explain(self, error: Exception, job: Paint) -> Failed:
        if is_poisoned(error):
            log.error("the card no longer answers; this worker leaves", exc_info=error)
            self._later.wait()
            os._exit(POISONED)
        failed = self._failed(error, job)
        if failed.code == "oom":
            traceback.clear_frames(error.__traceback__)  # they hold the tensors that filled it
            self._residents.clear()
        return failed

    @staticmethod
    def _failed(error: Exception, job: Paint) -> Failed:
        times = job.request.get("upscale") or 1
        sides = (job.request.get(side) or 0 for side in ("width", "height"))
        failure = explain(error, "x".join(str(side * times) for side in sides))
        detail = "".join(traceback.format_exception(error))
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
