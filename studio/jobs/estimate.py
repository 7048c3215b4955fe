"""How long a job will take here, from what its like took: nothing is guessed for an unknown model.

Painting is made of parts that grow differently: words once a job, steps with their number, decoding
and saving with each picture. Each part is the median of what was measured lately, of the same size
where there is enough of it; else it lies on the straight line through the sizes that were measured,
for a step of a small picture takes longer than its pixels say.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from studio.jobs.together import Passes
from studio.models.enlarge import NAME
from studio.request import steps_taken
from studio.store.rows import Job

KEPT = 60  # jobs of each model
ENOUGH = 3  # of the same size; with fewer, all sizes are asked
A_LOAD = 0.2  # seconds; a shorter one found the model in memory
GUIDED = 2  # passes of the network for a step


@dataclass(frozen=True, slots=True)
class Sample:
    pixels: int
    times: int  # enlarged
    passes: int
    loras: int
    references: int
    alone: bool
    once: float
    way: float
    a_step: float
    a_picture: float
    load: float


class Parts(NamedTuple):
    """Seconds of a job. Those of its steps are fewer where others are painted beside it."""

    once: float
    steps: float
    pictures: float

    @property
    def total(self) -> float:
        return self.once + self.steps + self.pictures


class Estimates:
    """`guided` says of which models a step with guidance is two passes of the network."""

    def __init__(self, guided: Callable[[str], bool] = lambda model: True) -> None:
        self._guided = guided
        self._samples: dict[str, deque[Sample]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._known: dict[tuple[str, int, int, int, int, int], Parts | None] = {}  # until more is
        self.passes = Passes()

    def learn(
        self,
        model: str,
        request: Mapping[str, Any],
        timings: Mapping[str, float],
        took: float | None = None,
    ) -> None:
        """What lacks its timings, or took no step, teaches nothing. Of all the time that it took,
        what was not painting is its way to the worker and back to the disk."""
        taken = steps_taken(request) if "steps" in timings else 0  # one from elsewhere says none
        if "steps" not in timings or not (taken or model == NAME):
            return
        self._known.clear()
        way = max(0.0, took - timings["total"]) if took and "total" in timings else 0.0
        count = int(request["count"])
        pictures = sum(timings.get(part, 0.0) for part in ("decode", "upscale", "save"))
        self._samples[_who(model, request)].append(
            Sample(
                *self._like(model, request),
                alone="together" not in timings,
                once=timings.get("encode", 0.0),
                way=way,
                a_step=timings["steps"] / (count * taken) if taken else 0.0,
                a_picture=pictures / count,
                load=timings.get("load", 0.0),
            )
        )

    def learn_all(self, done: Iterable[Job]) -> None:
        for job in done:
            took = job.finished_at - job.started_at if job.finished_at and job.started_at else None
            self.learn(job.model, job.request, job.timings, took)
            self.passes.learn(job, job.timings)

    def parts(self, model: str, request: Mapping[str, Any]) -> Parts | None:
        """Of painting, without loading; None for a model that never painted here."""
        like = (_who(model, request), *self._like(model, request))
        if like not in self._known:
            self._known[like] = self._of_one(*like)
        one = self._known[like]
        if one is None:
            return None
        count, steps = int(request["count"]), steps_taken(request)
        return Parts(one.once, count * steps * one.steps, count * one.pictures)

    def _of_one(
        self, model: str, pixels: int, times: int, passes: int, loras: int, references: int
    ) -> Parts | None:
        """Of one step, and of one picture besides."""
        samples = self._samples.get(model)
        if not samples:
            return None
        alone = [one for one in samples if one.alone] or list(samples)
        like = (passes, loras, references)
        alike = [one for one in alone if (one.passes, one.loras, one.references) == like]
        steps = [(one.pixels, one.a_step * passes / one.passes) for one in alike or alone]
        as_large = [one for one in samples if one.times == times]
        pictures = [
            (one.pixels, one.a_picture * times**2 / one.times**2) for one in as_large or samples
        ]
        once = median(one.once for one in samples)
        if len(samples) >= ENOUGH:  # that of the first one is no measure
            once += median(one.way for one in samples)
        return Parts(once, _at(pixels, steps), _at(pixels, pictures))

    def seconds(self, model: str, request: Mapping[str, Any]) -> float | None:
        parts = self.parts(model, request)
        return parts and parts.total

    def _like(self, model: str, request: Mapping[str, Any]) -> tuple[int, int, int, int, int]:
        """What the time of a step or a picture follows: pixels, enlarged, passes, LoRAs,
        references."""
        guided = (request.get("guidance") or 0) > 1 and self._guided(model)
        return (
            int(request["width"]) * int(request["height"]),
            int(request.get("upscale") or 1),
            GUIDED if guided else 1,
            len(request.get("loras") or ()),
            len(request.get("references") or ()),
        )

    def load_seconds(self, model: str) -> float | None:
        loads = [one.load for one in self._samples.get(model, ()) if one.load > A_LOAD]
        return median(loads) if loads else None


def _who(model: str, request: Mapping[str, Any]) -> str:
    """What enlarges alone is the upscaler."""
    return f"{model} {request['upscaler']}" if model == NAME else model


def _at(pixels: int, measured: Sequence[tuple[int, float]]) -> float:
    """Seconds at this size, from seconds at some sizes."""
    sizes: dict[int, list[float]] = defaultdict(list)
    for size, seconds in measured:
        sizes[size].append(seconds)
    if len(sizes.get(pixels, ())) >= ENOUGH:
        return median(sizes[pixels])
    in_proportion = median(seconds * pixels / size for size, seconds in measured)
    if len(sizes) == 1:
        return in_proportion
    points = [(size, median(seconds), len(seconds)) for size, seconds in sizes.items()]
    whole = sum(weight for *_, weight in points)
    middle = sum(size * weight for size, _, weight in points) / whole
    usual = sum(seconds * weight for _, seconds, weight in points) / whole
    slope = sum(w * (size - middle) * (seconds - usual) for size, seconds, w in points)
    slope /= sum(weight * (size - middle) ** 2 for size, _, weight in points)
    at_nothing = usual - slope * middle
    if at_nothing < 0:
        return in_proportion
    return at_nothing + slope * pixels if slope > 0 else usual
