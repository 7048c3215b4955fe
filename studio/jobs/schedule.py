"""Who paints next: a pure function from what waits and what is free to choices with their reasons.

Priority first, then order of arrival. A slot that already holds the model is taken before another,
which never changes whose turn it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    job: str
    model: str
    priority: int
    seq: int


@dataclass(frozen=True, slots=True)
class Free:
    slot: str
    loaded: str | None


@dataclass(frozen=True, slots=True)
class Choice:
    job: str
    slot: str
    reason: str


def schedule(waiting: Sequence[Waiting], free: Sequence[Free]) -> list[Choice]:
    choices: list[Choice] = []
    left = list(free)
    for job in sorted(waiting, key=lambda job: (-job.priority, job.seq)):
        if not left:
            break
        slot = next((slot for slot in left if slot.loaded == job.model), None)
        reason = f"it holds {job.model} already" if slot else "it is free"
        # A slot without a model first: then no other model has to leave.
        slot = slot or next((slot for slot in left if slot.loaded is None), left[0])
        left.remove(slot)
        choices.append(Choice(job.job, slot.slot, reason))
    return choices
