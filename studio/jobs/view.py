"""Everything a face may want to show of one job, now: the row, the live progress, the pictures."""

from dataclasses import dataclass

from studio.store.rows import FINAL, Job, Picture


@dataclass(frozen=True, slots=True)
class Live:
    """What the worker said last. Lives in memory only: after a restart the job starts anew."""

    doing: str = ""
    index: int = 0
    step: int = 0
    steps: int = 0
    preview: bytes = b""


@dataclass(frozen=True, slots=True)
class View:
    job: Job
    place: int | None
    live: Live
    pictures: tuple[Picture, ...]

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
            return f"{place}: {self.live.doing}" if self.live.doing else place
        if job.state == "running":
            if job.cancel_requested:
                return "stopping"
            return self.live.doing or "starting"
        if job.state == "done":
            return f"done in {job.timings.get('total', 0.0):.1f} s"
        return job.error or job.state
