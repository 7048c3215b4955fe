"""What a bulk file would cost, from what its like took here: by model, in seconds, and until when.

Nothing is guessed for a model that never painted here. What shares a pass is reckoned as if it were
painted alone, so the end comes rather earlier.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from studio.jobs.bulk import Plan
from studio.jobs.estimate import Estimates
from studio.jobs.forecast import Now
from studio.jobs.state import Need
from studio.models.card import ModelCard

ALONE = Need()


@dataclass(frozen=True, slots=True)
class Ahead:
    """What stands before a file: GPU seconds of all that is painted or waits, on so many GPUs.
    None where nobody knows. A model that is loaded is not loaded again."""

    gpus: int
    seconds: float | None
    needs: Mapping[str, Need]
    loaded: frozenset[str] = frozenset()
    paused: bool = False


@dataclass(frozen=True, slots=True)
class ModelCost:
    """Of all that one model paints. `seconds` is None where it never painted here."""

    name: str
    title: str
    jobs: int
    pictures: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Cost:
    """`ends` is in seconds since 1970; without it `why` says what is not known."""

    models: Sequence[ModelCost]
    gpu_seconds: float
    ends: float | None
    why: str


def ahead_of(now: Now | None, *, paused: bool) -> Ahead:
    if now is None:
        return Ahead(0, None, {}, paused=paused)
    state = now.state
    left = [max(0.0, times.ends - state.now) for _, times in now.painting.values()]
    known = now.waits is not None and all(map(isfinite, left))
    seconds = sum(left) + (now.waits or 0.0) if known else None
    loaded = frozenset(resident.model for resident in state.residents)
    return Ahead(len(state.gpus), seconds, state.needs, loaded, paused)


def cost(plan: Plan, estimates: Estimates, ahead: Ahead) -> Cost:
    models = _by_model(plan, estimates)
    gpu_seconds = sum(
        one.seconds * ahead.needs.get(one.name, ALONE).gpus
        for one in models
        if one.seconds is not None
    )
    loads = sum(
        ahead.needs[one.name].load_seconds
        for one in models
        if one.name in ahead.needs and one.name not in ahead.loaded
    )
    if why := _unknown(models, ahead):
        return Cost(models, gpu_seconds, None, why)
    seconds = ((ahead.seconds or 0.0) + gpu_seconds + loads) / ahead.gpus
    return Cost(models, gpu_seconds, time.time() + seconds, "")


def _by_model(plan: Plan, estimates: Estimates) -> list[ModelCost]:
    found: dict[str, tuple[ModelCard, list[int], list[float | None]]] = {}
    for one in plan.new:
        settled = one.ask.settled
        _, counts, times = found.setdefault(settled.card.name, (settled.card, [], []))
        counts.append(settled.request.count)
        times.append(estimates.seconds(settled.card.name, vars(settled.request)))
    return [
        ModelCost(
            name,
            card.title,
            len(counts),
            sum(counts),
            None if None in times else sum(filter(None, times)),
        )
        for name, (card, counts, times) in found.items()
    ]


def _unknown(models: Sequence[ModelCost], ahead: Ahead) -> str:
    """Why nobody knows the end, if that is so."""
    strangers = [one.title for one in models if one.seconds is None]
    if strangers:
        *some, last = strangers
        names, have = (f"{', '.join(some)} and {last}", "have") if some else (last, "has")
        return f"{names} {have} not painted here yet, so nobody knows how long it takes."
    if ahead.paused:
        return "The line is paused."
    if not ahead.gpus:
        return "There is no slot to paint on."
    if ahead.seconds is None:
        return "Nobody knows how long that will take which waits before it."
    return ""


def told(seconds: float) -> str:
    """How long, as people say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def when(ends: float, now: float | None = None) -> str:
    """The hour, with its day where that is not today."""
    today, then = time.localtime(now), time.localtime(ends)
    same = (today.tm_year, today.tm_yday) == (then.tm_year, then.tm_yday)
    return time.strftime("%H:%M" if same else "%H:%M on %Y-%m-%d", then)
