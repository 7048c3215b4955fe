"""A picture from anywhere, read for this studio: what it says, and the wish to paint it again.

Ours is settled from its recipe alone and nothing else; another tool's as near as can be, with each
loss told. What was read stands in a recipe beside the pixels that are kept, to compare with later.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.errors import Refused
from studio.formats.foreign.notes import Reading
from studio.formats.foreign.samplers import meant
from studio.formats.metadata import RECIPE
from studio.jobs.rerun import Settle, again
from studio.request import read_request
from studio.wishes.catalog import Catalog, Settled
from studio.wishes.honour import Honoured, honour, why_nothing
from studio.wishes.matching import Match

WHICH = "Name the model that is to paint it instead."


def understood(
    reading: Reading, catalog: Catalog, models: Path, settle: Settle, *, deep: bool = False
) -> Honoured:
    """What it says, as a wish for this studio. `settle` need not ask whether the model is here."""
    found = honour(reading, catalog, models, settle=settle, deep=deep)
    if reading.own is None:
        return found
    lost = tuple(dict.fromkeys(_of_ours(reading, catalog, models, settle)))
    return replace(found, model=_named(reading, catalog), not_honoured=lost)


def painted_again(
    reading: Reading, catalog: Catalog, models: Path, settle: Settle, model: str
) -> tuple[Settled, dict[str, Any]]:
    """A wish as near as can be to what another tool painted, and what that was, in our words."""
    if not reading.tool:
        its = (one.text for one in reading.unread if one.where == RECIPE)
        raise Refused(next(its, why_nothing(reading)))
    found = honour(reading, catalog, models, settle=settle, instead=model, deep=True)
    if "model" not in found.wish:
        raise Refused(f"model: {' '.join(_about_model(found))} {WHICH}", field="model")
    if "prompt" not in found.wish:
        raise Refused("prompt: it is not told what the picture should show.", field="prompt")
    settled = settle(read_request(found.wish))
    warnings = (*found.translated, *found.not_honoured, *settled.warnings)
    settled = replace(settled, warnings=tuple(dict.fromkeys(warnings)))
    told = {"tool": found.tool, "version": found.version, "not_honoured": found.not_honoured}
    seed = reading.fields.get("seed", settled.request.seed)
    recipe = {"version": 1, "request": _theirs(reading, found), "fingerprint": {}, "seed": seed}
    return settled, recipe | {"foreign": told}


def _of_ours(reading: Reading, catalog: Catalog, models: Path, settle: Settle) -> Iterator[str]:
    assert reading.own is not None
    seed = int(reading.own["seed"])
    try:
        yield from again(reading.own, seed, settle, catalog.upscalers, models).warnings
    except Refused as why:
        sentence = str(why)
        yield sentence[:1].upper() + sentence[1:]


def _named(reading: Reading, catalog: Catalog) -> Match | None:
    if reading.model is None:
        return None
    try:
        here = catalog.find(reading.model.name).name
    except Refused:
        here = ""
    return Match(reading.model.name, reading.model.hash, here, "name" if here else "")


def _about_model(found: Honoured) -> Iterator[str]:
    if found.model:
        yield found.model.said
    else:
        yield "The picture does not say which model painted it."


def _theirs(reading: Reading, found: Honoured) -> dict[str, object]:
    """What the other tool said of it, by our names where there are any."""
    request = dict(reading.fields)
    if reading.model:
        request["model"] = found.model and found.model.here or reading.model.name
    if reading.sampler:
        request["sampler"] = meant(reading.sampler, reading.schedule)[0] or reading.sampler
    request["loras"] = [
        {"name": match.here or named.name, "weight": named.weight}
        for match, named in zip(found.loras, reading.loras, strict=True)
    ]
    return request
