"""What a wish that is painted from pictures asks of a card: refused, filled in, or said.

`Catalog.settle` calls it once the size is known. It sees sizes only, never pixels.
"""

from collections.abc import Mapping
from typing import NoReturn

from studio.canvas import Input, alike, nearest, place
from studio.errors import Refused
from studio.models.card import ModelCard
from studio.request import Fit, ImageRequest, steps_taken

ANEW = 1.0  # the strength of what is painted inside a mask or around a picture, if none says
LEAST_REFERENCE = 64  # pixels a side; what is smaller tells a model nothing
LONGEST_REFERENCE = 8  # times as long as it is wide
MOST_PIXELS = 100_000_000  # together: two of the largest that are read, or sixteen of 6 megapixels
Found = Mapping[str, Input]


def shape(wish: ImageRequest, card: ModelCard, found: Found) -> str:
    """The name of the size that is painted where the wish names none."""
    first = wish.start_image or (wish.references[0].id if wish.references else None)
    if first is None:
        return next(iter(card.sizes))
    sizes = {name: (size.width, size.height) for name, size in card.sizes.items()}
    return nearest((found[first].width, found[first].height), sizes)


def begin(
    wish: ImageRequest, card: ModelCard, found: Found, size: tuple[int, int], steps: int
) -> tuple[dict[str, object], list[str]]:
    """The fields of the settled request, and what there is to say."""
    said = _look_at_references(wish, card, found)
    _refuse_too_many_pixels(wish, found)
    if wish.start_image is None:
        for field in ("mask", "strength", "fit"):
            if getattr(wish, field) is not None:
                _refuse(field, "it needs a start image, and there is none. Give both, or neither.")
        return {}, said + _shape_said(wish, card, found, size)
    start, fit = found[wish.start_image], wish.fit or "cover"
    masked = _is_masked(wish, card, found, size, fit)
    strength = wish.strength
    if strength is None:
        strength = ANEW if masked else card.strength
    strength, weak = _strong_enough(strength, steps)
    cut = place((start.width, start.height), size, fit).cut(*size)
    return {"strength": strength, "fit": fit}, [
        *said,
        *weak,
        *_fit_said(wish, card, start, size, cut),
    ]


def _refuse_too_many_pixels(wish: ImageRequest, found: Found) -> None:
    """They go to the worker in one message, and it has them in memory at once."""
    seen = {id_: found[id_] for _, id_ in wish.pictures()}
    pixels = sum(one.width * one.height for one in seen.values())
    if pixels > MOST_PIXELS:
        given = f"the {len(seen)} pictures have {pixels / 1e6:.0f} megapixels together"
        limit = f"the most is {MOST_PIXELS // 10**6}. Hand them in smaller."
        _refuse("references" if wish.references else "start_image", f"{given}; {limit}")


def _look_at_references(wish: ImageRequest, card: ModelCard, found: Found) -> list[str]:
    if not wish.references:
        return []
    if "references" not in card.can:
        _refuse("references", f"{card.title} takes no reference pictures. Leave them out.")
    if len(wish.references) > card.max_references:
        given = f"{len(wish.references)} are too many for {card.title}"
        _refuse("references", f"{given}; the most is {card.max_references}.")
    for number, reference in enumerate(wish.references):
        seen = found[reference.id]
        short, long = sorted((seen.width, seen.height))
        if short < LEAST_REFERENCE or long > LONGEST_REFERENCE * short:
            limits = f"at least {LEAST_REFERENCE} pixels a side, and at most {LONGEST_REFERENCE}"
            why = f"it is {seen.size}; a reference has {limits} times as many one way as the other."
            _refuse(f"references.{number}.id", why)
    if (wish.mask or wish.fit == "contain") and len(wish.references) > 1:
        sentence = (
            f"beside a mask or a border {card.title} takes one; {len(wish.references)} given."
        )
        _refuse("references", sentence)
    if any(reference.weight != 1 for reference in wish.references):
        return [f"The weights of the references have no effect: to {card.title} all count alike."]
    return []


def _is_masked(
    wish: ImageRequest, card: ModelCard, found: Found, size: tuple[int, int], fit: Fit
) -> bool:
    """Whether only a part is painted: inside the mask, or around the picture."""
    start = found[wish.start_image or ""]
    border = place((start.width, start.height), size, fit).border(*size)
    if wish.mask is not None:
        mask = found[wish.mask]
        if not alike((mask.width, mask.height), (start.width, start.height)):
            shapes = f"it is {mask.size} and the start image {start.size}"
            _refuse("mask", f"{shapes}; a mask has the shape of its start image.")
    if (wish.mask is not None or border) and "mask" not in card.can:
        if wish.mask is not None:
            _refuse("mask", f"{card.title} takes no masks. Leave it out.")
        _refuse("fit", f"{card.title} paints no border around a picture. Use cover.")
    if wish.mask is None and not border and "start_image" not in card.can:
        _refuse("start_image", f"{card.title} {_instead(card)}")
    return wish.mask is not None or border


def _instead(card: ModelCard) -> str:
    ways = ["give it a mask of what may change"] if "mask" in card.can else []
    ways += ["give the picture as a reference"] if "references" in card.can else []
    if not ways:
        return "cannot begin from a picture. Leave it out, or choose another model."
    return f"cannot repaint a whole picture: {', or '.join(ways)}."


def _strong_enough(strength: float, steps: int) -> tuple[float, list[str]]:
    asked = {"steps": steps, "strength": strength, "start_image": ""}
    if strength == 0:
        return 0.0, ["Strength 0 keeps the start image: nothing is painted."]
    if steps_taken(asked):
        return strength, []
    least = 1 / steps
    return least, [
        f"Strength {strength:g} is less than one of {steps} steps; {least:.2g} was taken."
    ]


def _shape_said(
    wish: ImageRequest, card: ModelCard, found: Found, size: tuple[int, int]
) -> list[str]:
    if not wish.references or wish.width or wish.aspect:
        return []
    first = found[wish.references[0].id]
    if alike((first.width, first.height), size):
        return []
    name = shape(wish, card, found)
    return [
        f"The first reference is {first.size}; of the shapes of {card.title}, {name} is the "
        f"nearest: {size[0]}x{size[1]}."
    ]


def _fit_said(
    wish: ImageRequest, card: ModelCard, start: Input, size: tuple[int, int], cut: bool
) -> list[str]:
    if alike((start.width, start.height), size):
        return []
    end = " Its edges are cut off." if cut else ""
    given = f"The start image is {start.size}"
    if not (wish.width or wish.aspect):
        name = shape(wish, card, {start.id: start})
        nearest_one = f"of the shapes of {card.title}, {name} is the nearest"
        return [f"{given}; {nearest_one}: {size[0]}x{size[1]}.{end}"]
    return [f"{given}, the picture {size[0]}x{size[1]}.{end}"] if cut else []


def _refuse(field: str, sentence: str) -> NoReturn:
    raise Refused(f"{field}: {sentence}", field=field)
