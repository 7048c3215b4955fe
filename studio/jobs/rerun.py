"""A picture painted once more, from its recipe alone, and what came of it.

Nothing of today's presets goes into it: the request is the settled one of the recipe, and where it
would be settled otherwise now it is refused. What is known to be another is told before painting.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from studio.errors import NotFound, Refused
from studio.formats import compare
from studio.formats.compare import Comparison, Distance
from studio.formats.read import own_recipe
from studio.models.hashes import content_hash, file_hash
from studio.models.loras import lora_files
from studio.models.upscalers import UpscalerCard, original_hash, upscaler_of
from studio.models.weights import find_part, find_weights
from studio.request import ImageRequest, read_request
from studio.store.rows import Picture
from studio.store.store import Store
from studio.wishes.catalog import Settled

Settle = Callable[[ImageRequest], Settled]
Recipe = Mapping[str, Any]
_measuring = Lock()  # the largest pictures take a gigabyte, and everybody who looks on asks at once


@dataclass(frozen=True, slots=True)
class Rerun:
    """`of` is the id of a picture, or the hash of a file that was given. Without a comparison
    there is a reason in words. `not_honoured` is what of another tool's recipe is not done here."""

    of: str
    comparison: Comparison | None
    words: str
    not_honoured: tuple[str, ...] = ()


def again(
    recipe: Recipe,
    seed: int,
    settle: Settle,
    upscalers: Sequence[UpscalerCard],
    model_folder: Path,
) -> Settled:
    """One picture of this recipe as a wish of its own. What an older recipe does not say yet is as
    it is usual now."""
    request = request_of(recipe, seed)
    settled = settle(request)
    for field in recipe["request"]:
        was, now = getattr(request, field), getattr(settled.request, field)
        if was != now:
            raise Refused(
                f"{field}: it was painted with {was!r}, and {settled.card.title} takes that as "
                f"{now!r} now. It cannot be painted as it was.",
                field=field,
            )
    wished = read_request(request.model_dump() | dict(recipe.get("wish", {})))
    told = _other_files(recipe.get("fingerprint", {}), settled, upscalers, model_folder)
    return replace(settled, wish=wished, warnings=(*told, *settled.warnings))


def compared(store: Store, now: Picture, of: str) -> Rerun:
    """What came of painting it again."""
    try:
        file, recipe, seed = _original(store, of)
        comparison = _compare(store, now, file, recipe, seed)
    except (NotFound, Refused) as error:
        return Rerun(of, None, f"There is nothing left to compare it with. {error}")
    lost = tuple(recipe.get("foreign", {}).get("not_honoured", ()))
    words = comparison.words
    if lost:
        things = "one thing" if len(lost) == 1 else f"{len(lost)} things"
        words += f"; {things} of its recipe could not be honoured"
    return Rerun(of, comparison, words, lost)


def compare_with(store: Store, now: Picture, of: str) -> Comparison:
    """`of` is what it was before: the id of a picture, or the hash of a file that was given."""
    return _compare(store, now, *_original(store, of))


def _compare(store: Store, now: Picture, file: Path, recipe: Recipe, seed: int) -> Comparison:
    changed = compare.changes(recipe, now.recipe, (seed, now.seed))
    with _measuring:
        return Comparison(_distance(file, store.file(now)), changed)


def request_of(recipe: Recipe, seed: int | None) -> ImageRequest:
    """Sent nowhere a second time. Its choices were made."""
    alone: Recipe = {"seed": seed, "count": 1, "upload_urls": [], "expand": "no", "nth": None}
    return read_request({**dict(recipe.get("request", {})), **alone})


def _original(store: Store, of: str) -> tuple[Path, Recipe, int]:
    try:
        picture = store.picture(of)
    except NotFound:
        file = store.input_file(of)
        recipe = own_recipe(file.read_bytes())
        return file, recipe, int(recipe["seed"])
    return store.file(picture), picture.recipe, picture.seed


@lru_cache(maxsize=1024)
def _distance(was: Path, now: Path) -> Distance | None:
    """Files of pictures never change, so it is measured once."""
    return compare.distance(was.read_bytes(), now.read_bytes())


def _other_files(
    marks: Recipe, settled: Settled, upscalers: Sequence[UpscalerCard], folder: Path
) -> Iterator[str]:
    """A sentence for each file that is not the one that painted it. All of them are here: else the
    wish would have been refused."""
    card = settled.card
    weights = Path(find_weights(card, folder) or folder / card.name)
    parts = {name: Path(find_part(card, part, folder)) for name, part in card.parts.items()}
    if weights.is_dir():  # one that the worker builds itself may not be there yet
        now, _ = content_hash(weights, card, parts)
        was = marks.get("model_hash", now)
        yield from _other(f"The weights of {card.title} are others", "model_hash", was, now)
    uses = [use.name for use in settled.request.loras if use.weight != 0]
    worn = {lora["name"]: lora for lora in marks.get("loras", ())}
    for name, file in lora_files(uses, folder).items() if uses else ():
        now = file_hash(Path(file))
        was = worn.get(name, {}).get("sha256", now)
        yield from _other(f"The LoRA {name!r} is another", f"loras.{name}.sha256", was, now)
    if enlarges := upscaler_of(settled.request.model_dump(), upscalers, folder):
        now = original_hash(Path(enlarges)) or file_hash(Path(enlarges))
        was = marks.get("upscaler_hash", now)
        yield from _other("The upscaler is another", "upscaler_hash", was, now)


def _other(what: str, field: str, was: str, now: str) -> Iterator[str]:
    if was != now:
        yield (
            f"{what} than when it was painted ({field} {now[:12]}, was {was[:12]}); "
            "the picture will differ."
        )
