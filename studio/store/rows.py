"""What the store gives away: rows as frozen values, detached from any database.

They know neither SQL nor files; times are seconds since 1970, UTC.
"""

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["queued", "running", "done", "failed", "cancelled"]
FINAL: tuple[State, ...] = ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Room:
    """How many jobs may wait: of all, and of one owner."""

    most: int
    most_each: int | None = None


@dataclass(frozen=True, slots=True)
class Before:
    """The place just before another job."""

    job: str


Place = Literal["first", "last"] | Before


@dataclass(frozen=True, slots=True)
class Job:
    """A wish in the line. `token` rises with every claim and tells an old worker from the new.

    `turn` orders those of a class; it is `seq` until the job is moved.
    `rerun_of` is the picture that it paints again: its id, or the hash of a file that was given.
    """

    seq: int
    id: str
    batch: str | None
    owner: str
    state: State
    priority: int
    model: str
    attempts: int
    crashes: int
    token: int
    wish: dict[str, Any]
    request: dict[str, Any]
    warnings: tuple[str, ...]
    slot: str | None
    error_code: str | None
    error: str | None
    timings: dict[str, float]
    created_at: float
    started_at: float | None
    finished_at: float | None
    turn: int
    cancel_requested: bool
    rerun_of: str | None = None

    @property
    def elsewhere(self) -> bool:
        """Nobody here painted it: its picture was brought."""
        return self.state == "done" and self.attempts == 0


UNKNOWN_SEED = -1


@dataclass(frozen=True, slots=True)
class Picture:
    """A kept picture. `path` and `thumb` are relative to the data folder, with `/`. The seed of one
    from elsewhere may be unknown."""

    id: str
    job: str
    index: int
    path: str
    thumb: str
    sha256: str
    bytes: int
    width: int
    height: int
    seed: int
    format: str
    recipe: dict[str, Any]
    created_at: float
    owner: str
    model: str
    prompt: str

    @property
    def known_seed(self) -> int | None:
        return None if self.seed == UNKNOWN_SEED else self.seed

    @property
    def foreign(self) -> bool:
        """Another tool painted it, or nobody knows what did."""
        return "imported" in self.recipe and not self.recipe.get("fingerprint")


@dataclass(frozen=True, slots=True)
class Bulk:
    """A file of many pictures that entered the line."""

    id: str
    owner: str
    name: str
    form: str
    created_at: float


@dataclass(frozen=True, slots=True)
class BulkPicture:
    """One of its pictures and how it stands with its job. `skipped` is one that was painted, or
    waited, before the file came."""

    n: int
    line: int
    groups: tuple[str, ...]
    skipped: bool
    job: str
    state: State
    error_code: str | None
    error: str | None
    request: dict[str, Any]
    picture: str | None  # the one that its line means, or the first of the job


@dataclass(frozen=True, slots=True)
class Event:
    """One change of a job, written in the same transaction as the change itself."""

    job_seq: int
    n: int
    at: float
    from_state: State | None
    to_state: State
    token: int
    actor: str
    note: str
