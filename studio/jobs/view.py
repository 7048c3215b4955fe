"""Everything a face may want to show of one job, now: the row, the live progress, the pictures."""

import time
from dataclasses import dataclass

from studio.jobs.forecast import Times
from studio.jobs.rerun import Rerun
from studio.messages import Progress
from studio.store.rows import FINAL, Job, Picture


@dataclass(frozen=True, slots=True)
class Live:
    """What the worker said last. Lives in memory only: after a restart the job starts anew."""

    doing: str = ""
    index: int = 0
    step: int = 0
    steps: int = 0
    preview: bytes = b""


def progressed(message: Progress, before: Live, job: Job) -> Live:
    count = int(job.request["count"])
    which = f"picture {message.index + 1} of {count}, " if count > 1 else ""
    return Live(
        doing=which + (message.stage or _step(message)),
        index=message.index,
        step=message.step,
        steps=message.steps,
        preview=message.preview or before.preview,
    )


@dataclass(frozen=True, slots=True)
class View:
    job: Job
    place: int | None
    live: Live
    times: Times | None  # when it begins and ends, as far as that can be known
    pictures: tuple[Picture, ...]
    paused: bool = False  # nobody who waits begins now
    rerun: Rerun | None = None  # what came of painting another picture again

    @property
    def final(self) -> bool:
        return self.job.state in FINAL

    @property
    def words(self) -> str:
        """The state of the job as a person would say it."""
        job = self.job
        if job.state == "queued":
            again = " again, after its worker died" if job.crashes else ""
            place = (
                f"waiting{again}, {self.place} before it" if self.place else f"next in line{again}"
            )
            if self.paused:
                return f"{place}: the line is paused"
            if self.times:
                place += f", begins in about {_about(self.times.begins - time.time())}"
            return f"{place}: {self.live.doing}" if self.live.doing else place
        if job.state == "running":
            if job.cancel_requested:
                return "stopping"
            return self.live.doing or "starting"
        if job.state == "done" and not self.pictures:
            return "done; its pictures were deleted since"
        if job.state == "done":
            return f"done in {job.timings.get('total', 0.0):.1f} s"
        return job.error or job.state


def _step(message: Progress) -> str:
    """Before the first step the prompt is read, and the pictures that it is painted from."""
    if not message.step:
        return "reading the prompt" if message.steps else "beginning"
    return f"step {message.step} of {message.steps}"


def _about(seconds: float) -> str:
    """As one would say it: nobody wants 127.3 seconds."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
