"""How long a job will take here, from what its like took: nothing is guessed for an unknown model.

Painting is made of parts that grow differently: words once a job, steps with their number and the
pixels, decoding and saving with each picture. Each part is the median of what was measured lately,
of the same size where there is one, else in proportion to the pixels.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from studio.jobs.together import Passes
from studio.store.rows import Job

KEPT = 60  # jobs of each model
ENOUGH = 3  # of the same size; with fewer, all sizes are asked
A_LOAD = 0.2  # seconds; a shorter one found the model in memory


@dataclass(frozen=True, slots=True)
class Sample:
    pixels: int
    times: int  # enlarged
    once: float
    a_step: float
    a_picture: float
    load: float


class Estimates:
    def __init__(self) -> None:
        self._samples: dict[str, deque[Sample]] = defaultdict(lambda: deque(maxlen=KEPT))
        self.passes = Passes()

    def learn(self, model: str, request: Mapping[str, Any], timings: Mapping[str, float]) -> None:
        """From a job that was painted alone. What lacks its timings teaches nothing."""
        if "steps" not in timings or "together" in timings:
            return
        count, steps = int(request["count"]), int(request["steps"])
        pictures = sum(timings.get(part, 0.0) for part in ("decode", "upscale", "save"))
        self._samples[model].append(
            Sample(
                pixels=_pixels(request),
                times=int(request.get("upscale") or 1),
                once=timings.get("encode", 0.0),
                a_step=timings["steps"] / (count * steps),
                a_picture=pictures / count,
                load=timings.get("load", 0.0),
            )
        )

    def learn_all(self, done: Iterable[Job]) -> None:
        for job in done:
            self.learn(job.model, job.request, job.timings)
            self.passes.learn(job, job.timings)

    def seconds(self, model: str, request: Mapping[str, Any]) -> float | None:
        """Of painting, without loading; None for a model that never painted here."""
        samples = self._samples.get(model)
        if not samples:
            return None
        pixels, times = _pixels(request), int(request.get("upscale") or 1)
        alike = [one for one in samples if (one.pixels, one.times) == (pixels, times)]
        used = alike if len(alike) >= ENOUGH else list(samples)
        a_step = median(one.a_step * pixels / one.pixels for one in used)
        finished = pixels * times * times
        a_picture = median(one.a_picture * finished / (one.pixels * one.times**2) for one in used)
        once = median(one.once for one in used)
        return once + int(request["count"]) * (int(request["steps"]) * a_step + a_picture)

    def load_seconds(self, model: str) -> float | None:
        loads = [one.load for one in self._samples.get(model, ()) if one.load > A_LOAD]
        return median(loads) if loads else None


def _pixels(request: Mapping[str, Any]) -> int:
    return int(request["width"]) * int(request["height"])
