"""Which jobs may be painted side by side, and how many at once pays: measured here, never guessed.

A slot tries two at once when it knows what one takes, then four, then eight, and stays with the
last number that made a picture cheaper. On many machines and sizes that is one.
"""

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isinf
from statistics import median
from typing import Any, NamedTuple

from studio.request import steps_taken
from studio.store.rows import Job

TRIES = (2, 4, 8)
ENOUGH = 3  # passes, so that the first with its warming up does not decide
KEPT = 20
PAYS = 0.95  # of what a step costs each picture with half as many
# What one pass may mix. Everything else in a request must be the same for all.
OWN = (
    *("prompt", "negative_prompt", "seed", "count", "look", "aspect", "quality", "version"),
    *("expand", "nth"),
    *("output_format", "tags", "filename", "owner", "priority", "upload_urls"),
    *("start_image", "mask"),
)
Where = tuple[str, str, int, bool]  # slot, model, pixels, guided: what the gain depends on


class Kind(NamedTuple):
    """Jobs of the same kind may share a pass."""

    model: str
    pixels: int
    guided: bool
    rest: str

    def on(self, slot: str) -> Where:
        return slot, self.model, self.pixels, self.guided


def kind_of(job: Job) -> Kind:
    """One whose worker died is alone of its kind: it may be why. So is one that is painted again
    exactly."""
    asked: Mapping[str, Any] = job.request
    begun = [asked.get(field) is not None for field in ("start_image", "mask")]
    same = [it for it in sorted(asked.items()) if it[0] not in OWN]
    rest = job.id if job.crashes or job.rerun_of else repr((begun, same))
    pixels, guided = int(asked["width"]) * int(asked["height"]), (asked["guidance"] or 0) > 1
    return Kind(job.model, pixels, guided, rest)


@dataclass(frozen=True, slots=True)
class Paid:
    """What a step costs each picture, by how many are painted at once; as far as it is known."""

    each: Mapping[Where, Mapping[int, float]] = field(default_factory=dict)

    def at_once(self, kind: Kind | None, slot: str) -> tuple[int, str]:
        """How many pictures of this kind to paint in a pass there, and why."""
        known = self.each.get(kind.on(slot), {}) if kind else {}
        if 1 not in known:
            return 1, "how long one takes is not known yet"
        best, each = 1, known[1]
        for more in TRIES:
            tried = known.get(more)
            if tried is None:
                return more, f"{more} at once are being tried"
            if isinf(tried):
                return best, f"{more} at once were too many for the memory"
            if tried > PAYS * each:
                gain = each / tried
                return best, f"{more} at once were {gain:.2f} times as fast as {best}"
            best, each = more, tried
        return best, f"{best} at once is the most"

    def cost(self, kind: Kind | None, slot: str, pictures: int) -> float:
        """What one of so many costs there, against one alone; 1 where that was not measured."""
        known = self.each.get(kind.on(slot), {}) if kind else {}
        beside = known.get(_tried(pictures), inf)
        return beside / known[1] if 1 in known and not isinf(beside) else 1.0


class Passes:
    """Learns what is paid. `paid` is replaced and never changed, so any thread may keep it."""

    def __init__(self) -> None:
        self._steps: dict[Where, dict[int, deque[float]]] = defaultdict(dict)
        self.paid = Paid()

    def learn(self, job: Job, timings: Mapping[str, float]) -> None:
        """From a job that is done: what a step cost each picture, with so many at once."""
        if "steps" not in timings or not job.slot:
            return
        where = kind_of(job).on(job.slot)
        measured = self._steps[where]
        if too_many := timings.get("too_many"):
            measured[_tried(too_many)] = deque([inf] * ENOUGH)
        taken = steps_taken(job.request)
        if not taken:
            return
        each = timings["steps"] / (int(job.request["count"]) * taken)
        at_once = _tried(timings.get("together", 1))
        measured.setdefault(at_once, deque(maxlen=KEPT)).append(each)
        known = {tried: median(each) for tried, each in measured.items() if len(each) >= ENOUGH}
        self.paid = Paid({**self.paid.each, where: known})


def _tried(at_once: float) -> int:
    return max(size for size in (1, *TRIES) if size <= at_once)
