"""A picture from elsewhere as the history holds it: what it says of itself, and nothing made up.

One of this studio brings its recipe. One of another tool brings what can be said in our words, and
beside it what was read, as it was written. What nobody knows stays unknown: the seed is -1 then.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from studio.errors import DarkroomError
from studio.formats.foreign.samplers import meant
from studio.request import ImageRequest, read_request
from studio.store.glancing import Glance
from studio.store.rows import UNKNOWN_SEED

UNKNOWN = "unknown"  # the name of a model that a picture does not tell
BESIDE = ("version", "owner", "priority", "upload_urls", "count", "filename", "enlarged_from")
MOST_SEED = 2**53  # whole numbers that every reader of JSON keeps


@dataclass(frozen=True, slots=True)
class Foreign:
    """`wish` is what was written, `recipe` what stays with the picture."""

    request: ImageRequest
    wish: dict[str, Any]
    recipe: dict[str, Any]
    seed: int


def understood(seen: Glance, name: str, owner: str, at: float) -> Foreign:
    reading = sound(seen.reading or {})
    own = reading.pop("own", None)
    imported = {"file": sound(name), "at": at, **reading}
    if isinstance(own, dict):
        try:
            return _ours(own, imported, owner)
        except (DarkroomError, KeyError, TypeError, ValueError) as error:
            imported["unread"] = [*imported.get("unread", ()), ["recipe", str(error)]]
    return _others(reading, imported, seen, owner)


def _ours(recipe: Mapping[str, Any], imported: dict[str, Any], owner: str) -> Foreign:
    seed = int(recipe["seed"])
    request = read_request({**recipe["request"], "count": 1, "seed": seed, "owner": owner})
    kept = {name: value for name, value in recipe.items() if name not in ("seed", "index")}
    wish = {**request.model_dump(mode="json"), **dict(recipe.get("wish", {}))}
    return Foreign(request, wish, {"warnings": [], **kept, "imported": imported}, seed)


def _others(
    reading: Mapping[str, Any], imported: dict[str, Any], seen: Glance, owner: str
) -> Foreign:
    said = dict(reading.get("fields") or {})
    said |= {"sampler": _sampler(reading), "owner": owner}
    said["loras"] = [{"name": lora[0], "weight": lora[2]} for lora in reading.get("loras") or ()]
    stem = PurePath(imported["file"]).stem
    known = {"filename": stem[:120] or None, **_held(said)}
    request = read_request({**known, "prompt": known.get("prompt") or UNKNOWN, "owner": owner})
    model = (reading.get("model") or [UNKNOWN])[0]
    facts = {"prompt": known.get("prompt", ""), "model": str(model)[:128] or UNKNOWN}
    request = request.model_copy(update=facts | {"width": seen.width, "height": seen.height})
    settled, seed = request.model_dump(mode="json"), said.get("seed")
    recipe = {"version": 1, "request": settled, "wish": {}, "fingerprint": {}, "warnings": []}
    if not isinstance(seed, int) or not 0 <= seed <= MOST_SEED:
        seed = UNKNOWN_SEED
    return Foreign(request, settled, recipe | {"imported": imported}, seed)


def _sampler(reading: Mapping[str, Any]) -> str | None:
    """By our name where it means one of ours, so that both are found and counted as one."""
    theirs = str(reading.get("sampler") or "")
    ours, undone = meant(theirs, str(reading.get("schedule") or ""))
    return (ours if ours and not undone else theirs) or None


def _held(said: Mapping[str, Any]) -> dict[str, Any]:
    """Of what was said, all that a request can hold, each by itself."""
    known = {}
    for name, value in said.items():
        if name not in ImageRequest.model_fields or name in BESIDE or value is None:
            continue
        if name in ("width", "height"):  # the picture itself says that
            continue
        try:
            ImageRequest.model_validate({"prompt": "x", name: value})
        except ValidationError:
            continue  # it stays in what was read
        known[name] = value
    return known


def sound(value: Any) -> Any:
    """As both databases can hold it: no NUL, no half of a surrogate pair."""
    match value:
        case str():
            return value.replace("\x00", "?").encode(errors="replace").decode()
        case list() | tuple():
            return [sound(one) for one in value]
        case dict():
            return {sound(name): sound(one) for name, one in value.items()}
    return value
