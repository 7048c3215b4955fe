"""Enlarging without painting: `/api/upscale` in its own words becomes a wish like any other."""

from collections.abc import Mapping

from studio.errors import Refused
from studio.jobs.line import Line
from studio.models.enlarge import NAME
from studio.store.rows import Job
from studio.store.store import Store
from studio.web.asking import ask, in_their_words

WAYS = ("picture", "image")


def enlarge(line: Line, given: Mapping[str, object], *, key: str | None = None) -> Job:
    """A `picture` of the history by its id, or an `image` that is handed in, 2 or 4 `times`."""
    names = {"upscale": "times", "start_image": _way(given), "enlarged_from": "picture"}
    try:
        return ask(line, [_wish(line.store, given)], key=key)[0]
    except Refused as error:
        raise in_their_words(error, names) from None


def _way(given: Mapping[str, object]) -> str:
    ways = [way for way in WAYS if given.get(way) is not None]
    if len(ways) != 1:
        raise Refused("picture: give one of picture and image.", field="picture")
    return ways[0]


def _wish(store: Store, given: Mapping[str, object]) -> dict[str, object]:
    """What a picture of the history says of itself stays with it."""
    fields = {name: value for name, value in given.items() if name not in (*WAYS, "times")}
    for name in ("model", "upscale", "start_image", "enlarged_from"):
        if name in fields:
            raise Refused(f"{name} is not known here.", field=name)
    fields |= {"model": NAME, "upscale": given.get("times")}
    if _way(given) == "image":
        return {"prompt": "", **fields, "start_image": given["image"]}
    picture = store.picture(str(given["picture"]))
    own = {"prompt": picture.prompt, "seed": picture.known_seed, "output_format": picture.format}
    return own | fields | {"start_image": {"picture": picture.id}, "enlarged_from": picture.id}
