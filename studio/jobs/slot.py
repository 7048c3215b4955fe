"""A slot: a lease on GPUs of one machine, or on its CPU, with a worker that paints one job.

Three kinds exist: a process here (`local`), an actor elsewhere (`cluster`), and a fake for tests. A
slot only carries messages; what they mean is the pool's business.
"""

from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

from studio.messages import FromWorker, ToWorker


@dataclass(frozen=True, slots=True)
class Gone:
    """The worker is no more, for whatever reason; `how` says it in words."""

    how: str
    blames: bool = True  # its job may be the reason


@dataclass(frozen=True, slots=True)
class Said:
    """What one worker said. `life` counts a slot's workers: the words of a dead one are known."""

    slot: str
    life: int
    message: FromWorker | Gone


Inbox = SimpleQueue[object]


class Slot(Protocol):
    name: str
    device: str
    machine: str
    gb: float  # of memory, for each of its GPUs
    leased: bool  # its GPUs are held by one worker, and given back when that rests

    def start(self, inbox: Inbox, life: int) -> None:
        """Begin a new worker. It answers in the inbox with Hello, or with Gone."""

    def send(self, message: ToWorker) -> None:
        """Hand over a message. A worker that is gone is reported in the inbox, not here."""

    def kill(self) -> None:
        """End the worker and everything it started, at once. Gone follows."""

    def pid(self) -> int | None: ...
