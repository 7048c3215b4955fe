"""What the history has of a bulk file already: each of its pictures as a line would ask for it.

A picture of this studio is asked for by its recipe and its seed. One of another tool is asked for
as near as can be; what cannot be painted from what it says is told in a sentence.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from studio.errors import Refused
from studio.formats.foreign.notes import Named, Reading, Unread
from studio.jobs.line import Line
from studio.jobs.rerun import request_of
from studio.request import ImageRequest, read_request
from studio.store.bulks import There
from studio.store.rows import Picture
from studio.store.seeds import of_seeds
from studio.wishes.honour import Honoured, honour

NO_PROMPT = "It does not say what it should show."
NO_SEED = "Its seed is not known, so it would become another picture."


@dataclass(frozen=True, slots=True)
class Past:
    """`request` asks for the picture again. Where that cannot be painted, or would be another
    picture, `why` says so; `lost` is what of another tool's recipe is not done here."""

    request: ImageRequest
    why: str = ""
    lost: tuple[str, ...] = ()


# What is no part of one picture, or was made of it before it is settled.
APART = {"count", "expand", "nth", "priority", "upload_urls"}
DEFAULTS = read_request({"prompt": "x"}).model_dump(mode="json", exclude={"prompt"})


class Had:
    """Pictures of the history by what they ask for; each is taken once."""

    def __init__(self, line: Line, asked: Collection[ImageRequest]) -> None:
        """Of those that are asked for."""
        self._kept: dict[str, list[Picture]] = defaultdict(list)
        seeds = {seed for one in asked if one.seed is not None for seed in one.seeds()}
        prompts, reader = {one.prompt for one in asked}, Reader(line)
        # Other tools write their LoRAs into the prompt, from where ours takes them out.
        for picture in of_seeds(line.store, seeds, lambda told: told in prompts or "<" in told):
            if not picture.foreign:
                self._kept[mark(picture.recipe["request"], picture.seed)].append(picture)
            elif not (past := reader.past(picture)).why:
                self._kept[_marks(past.request)[0]].append(picture)

    def take(self, request: ImageRequest, job: str = "") -> There | None:
        """Where it is, if it is there once more; of this job alone, if one is named."""
        found = self._find(request, job) if self._kept else {}
        for name, one in found.items():
            self._kept[name].remove(one)
        for one in found.values():
            alone = request.count == 1 and _count(one) > 1
            return There(one.job, one.id if alone else None)
        return None

    def _find(self, request: ImageRequest, job: str = "") -> dict[str, Picture]:
        """By their marks. All of a wish for several are of one job, and all that it painted."""
        names = _marks(request)
        for first in self._kept.get(names[0], ()) if names else ():
            if job and first.job != job:
                continue
            if len(names) == 1:
                return {names[0]: first}
            each = {name: one for name in names if (one := self._of_job(name, first.job))}
            if len(each) == len(names) == _count(first):
                return each
        return {}

    def _of_job(self, name: str, job: str) -> Picture | None:
        return next((one for one in self._kept.get(name, ()) if one.job == job), None)


def mark(request: Mapping[str, Any], seed: int) -> str:
    """What one picture of an owner is, however it is asked for. What has its default is left out,
    so that a new field makes no old picture another."""
    told = {
        name: value
        for name, value in request.items()
        if name not in APART and value != DEFAULTS.get(name)
    }
    return json.dumps(told | {"seed": seed}, sort_keys=True)


def _marks(request: ImageRequest) -> list[str]:
    """Of each of its pictures; none without a seed."""
    if request.seed is None:
        return []
    told = request.model_dump(mode="json")
    return [mark(told, seed) for seed in request.seeds()]


def _count(picture: Picture) -> int:
    """Of its job."""
    return int(picture.recipe["request"].get("count", 1))


class Reader:
    """Reads pictures of the history for one file: models and LoRAs are looked for once a name."""

    def __init__(self, line: Line) -> None:
        self._line, self._here = line, line.here()

    def past(self, picture: Picture) -> Past:
        if not picture.foreign:
            return Past(request_of(picture.recipe, picture.known_seed))
        return self._foreign(picture)

    def _foreign(self, picture: Picture) -> Past:
        reading = reading_of(picture.recipe["imported"])
        line = self._line
        settle = cache(lambda wish: line.look_over(wish, self._here))
        catalog, models = self._here.catalog, line.settings.model_folder
        found = honour(reading, catalog, models, settle=settle, here=self._here)
        kept = picture.recipe["request"]
        beside = {name: kept[name] for name in ("filename", "tags", "owner") if name in kept}
        fields = {**found.wish, **beside, "expand": "no"}
        why = _why_not(found, picture)
        if why:
            named = {"model": picture.model} if "model" not in found.wish else {}
            fields = {**fields, **named, "prompt": found.wish.get("prompt") or "unknown"}
            return Past(read_request(fields), why, found.not_honoured)
        wish = read_request(fields)
        try:
            return Past(settle(wish).request, "", found.not_honoured)
        except Refused as refused:
            return Past(wish, str(refused), found.not_honoured)


def _why_not(found: Honoured, picture: Picture) -> str:
    if not found.wish.get("prompt"):
        return NO_PROMPT
    if "model" not in found.wish:
        said = found.model.said if found.model else ""
        return said or "It does not say which model painted it."
    return "" if "seed" in found.wish else NO_SEED


def reading_of(imported: Mapping[str, Any]) -> Reading:
    """What was read of a picture when it was brought."""
    model = imported.get("model")
    return Reading(
        str(imported.get("tool") or ""),
        str(imported.get("version") or ""),
        dict(imported.get("fields") or {}),
        Named(*model) if model else None,
        tuple(Named(*lora) for lora in imported.get("loras") or ()),
        str(imported.get("sampler") or ""),
        str(imported.get("schedule") or ""),
        tuple(Unread(*one) for one in imported.get("unread") or ()),
        tuple(imported.get("beyond") or ()),
        tuple(imported.get("translated") or ()),
    )
