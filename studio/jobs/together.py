"""Which jobs may be painted side by side, and how many at once pays: measured here, never guessed.

A slot tries two at once when it knows what one takes, then four, then eight, and stays with the
last number that made a picture cheaper. On many machines and sizes that is one.
"""

from collections import defaultdict, deque
from collections.abc import Mapping
from math import inf, isinf
from statistics import median
from typing import Any

from studio.store.rows import Job

TRIES = (2, 4, 8)
ENOUGH = 3  # passes, so that the first with its warming up does not decide
KEPT = 20
PAYS = 0.95  # of what a step costs each picture with half as many
# What one pass may mix. Everything else in a request must be the same for all.
OWN = (
    *("prompt", "negative_prompt", "seed", "count", "look", "aspect", "quality", "version"),
    *("output_format", "tags", "filename", "owner", "priority", "upload_urls"),
)
Where = tuple[str, str, int, bool]  # slot, model, pixels, guided: what the gain depends on


def kind_of(job: Job) -> str:
    """Jobs of the same kind may share a pass. One whose worker died is alone: it may be why."""
    if job.crashes:
        return ""
    return repr([item for item in sorted(job.request.items()) if item[0] not in OWN])


class Passes:
    def __init__(self) -> None:
        self._steps: dict[Where, dict[int, deque[float]]] = defaultdict(dict)

    def learn(self, job: Job, timings: Mapping[str, float]) -> None:
        """From a job that is done: what a step cost each picture, with so many at once."""
        if "steps" not in timings or not job.slot:
            return
        measured = self._steps[_where(job, job.slot)]
        if too_many := timings.get("too_many"):
            measured[_tried(too_many)] = deque([inf] * ENOUGH)
        each = timings["steps"] / (int(job.request["count"]) * int(job.request["steps"]))
        at_once = _tried(timings.get("together", 1))
        measured.setdefault(at_once, deque(maxlen=KEPT)).append(each)

    def at_once(self, job: Job, slot: str) -> tuple[int, str]:
        """How many pictures like this one to paint in a pass there, and why."""
        measured = self._steps.get(_where(job, slot), {})
        best, each = 1, _median(measured, 1)
        if each is None:
            return 1, "how long one takes is not known yet"
        for more in TRIES:
            tried = _median(measured, more)
            if tried is None:
                return more, f"{more} at once are being tried"
            if isinf(tried):
                return best, f"{more} at once were too many for the memory"
            if tried > PAYS * each:
                gain = each / tried
                return best, f"{more} at once were {gain:.2f} times as fast as {best}"
            best, each = more, tried
        return best, f"{best} at once is the most"

    def cost(self, job: Job, slot: str, pictures: int) -> float:
        """What one of so many costs there, against one alone; 1 where that was not measured."""
        measured = self._steps.get(_where(job, slot), {})
        alone, beside = _median(measured, 1), _median(measured, _tried(pictures))
        return beside / alone if alone and beside and not isinf(beside) else 1.0


def _tried(at_once: float) -> int:
    return max(size for size in (1, *TRIES) if size <= at_once)


def _where(job: Job, slot: str) -> Where:
    request: Mapping[str, Any] = job.request
    pixels = int(request["width"]) * int(request["height"])
    return slot, job.model, pixels, (request["guidance"] or 0) > 1


def _median(measured: Mapping[int, deque[float]], at_once: int) -> float | None:
    known = measured.get(at_once, ())
    return median(known) if len(known) >= ENOUGH else None
