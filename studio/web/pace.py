"""How long a running job still takes, judged from its own steps alone, or not at all.

Remembers when a job was first seen at which step; a guess from other jobs would be a lie as often
as not.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from studio.jobs.view import View

LEAST_SECONDS = 0.5  # seen for less than this, a pace is noise
MOST_JOBS = 1000


@dataclass(slots=True)
class Pace:
    clock: Callable[[], float] = time.monotonic
    _first: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)

    def left(self, view: View) -> float | None:
        """Seconds to go, once two steps have been seen."""
        whole, done = _steps(view)
        if not done:
            return None
        now = self.clock()
        key = (view.job.id, view.job.token)  # a new attempt starts a new clock
        if key not in self._first and len(self._first) >= MOST_JOBS:
            self._first.clear()
        step, since = self._first.setdefault(key, (done, now))
        if done <= step or now - since < LEAST_SECONDS:
            return None
        return (now - since) / (done - step) * (whole - done)


def share(view: View) -> float:
    whole, done = _steps(view)
    return done / whole if whole else 0.0


def _steps(view: View) -> tuple[int, int]:
    """(steps of the whole job, steps done)"""
    live = view.live
    return live.steps * int(view.job.request["count"]), live.index * live.steps + live.step
