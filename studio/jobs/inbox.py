"""What the pool is told beside the words of workers: by the line, by the cluster, by the end."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from studio.jobs.slot import Slot
from studio.store.rows import Job


@dataclass(frozen=True, slots=True)
class Entered:
    """These stand in the line now."""

    jobs: Sequence[Job]


@dataclass(frozen=True, slots=True)
class StopJob:
    job: str


@dataclass(frozen=True, slots=True)
class StopJobs:
    """All of these were taken out of the line; none was being painted."""

    jobs: Sequence[str]


@dataclass(frozen=True, slots=True)
class Paused:
    """The line was paused, or it goes on. How it is now, the store says, here and below: so of two
    who say it at once the last one counts."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """This job waits in another class."""

    job: str


@dataclass(frozen=True, slots=True)
class Moved:
    """Those of this owner that wait in this class have exchanged their turns."""

    owner: str
    rank: int


@dataclass(frozen=True, slots=True)
class Machines:
    """The slots of one GPU each that the cluster has now, with why they are as they are."""

    slots: Sequence[tuple[Slot, str]]


@dataclass(frozen=True, slots=True)
class Kept:
    """This model shall be in memory, or shall leave it. The answer is why it cannot be, if so."""

    model: str
    here: bool
    answer: "Future[str]" = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class Close:
    deadline: float
