"""How things stand when the schedule is asked, and what it answers.

Plain values, all of them frozen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Line = tuple[int, str, str]  # class, owner, model: inside it only the order of turns counts


@dataclass(frozen=True, slots=True)
class Waiting:
    job: str
    model: str
    owner: str
    rank: int
    turn: int  # among those of its class: the lowest came first, or was moved there
    since: float
    seconds: float | None = None  # of painting, as far as it was ever measured
    kind: Any = None  # what it may share a pass with, if anything
    pictures: int = 1
    shared: float = 0.0  # of its seconds, for what is cheaper beside others

    @property
    def line(self) -> Line:
        return self.rank, self.owner, self.model


@dataclass(frozen=True, slots=True)
class Need:
    """What a model takes: GPUs of one machine, memory on each, time to load."""

    gpus: int = 1
    gb: float = 1.0
    load_seconds: float = 10.0
    only: frozenset[str] | None = None  # GPUs kept for it, if some are


@dataclass(frozen=True, slots=True)
class Gpu:
    name: str
    machine: str
    gb: float
    free_at: float | None = None  # None for one that paints nothing now


@dataclass(frozen=True, slots=True)
class Resident:
    """A model in memory, on all its GPUs. Over its head nothing else paints there meanwhile."""

    model: str
    gpus: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passed:
    """How often the head of a line was passed over for another model, and since when."""

    times: int
    since: float


@dataclass(frozen=True, slots=True)
class Start:
    job: str
    gpus: tuple[str, ...]
    loads: bool
    leave: tuple[Resident, ...]  # who must go first
    reason: str
    owner: str


@dataclass(frozen=True, slots=True)
class Decision:
    starts: list[Start]
    held: dict[str, str]  # the head of each line that stays, and why
    passed: dict[Line, Passed]


@dataclass(frozen=True, slots=True)
class State:
    """`lines` hold jobs in the order of arrival; `had` is what each owner was given lately."""

    now: float
    lines: Mapping[Line, Sequence[Waiting]]
    gpus: Sequence[Gpu]
    needs: Mapping[str, Need]
    residents: Sequence[Resident] = ()
    had: Mapping[str, float] = field(default_factory=dict)
    running: Mapping[str, int] = field(default_factory=dict)
    most_running: int | None = None  # jobs of one owner at once
    passed: Mapping[Line, Passed] = field(default_factory=dict)
    wanted: Mapping[str, float] = field(default_factory=dict)  # seconds asked for lately, by model
