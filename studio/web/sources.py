"""Pictures that a wish begins from, on the Create page: a start image with its mask, references.

The browser hands files in at `/api/inputs` and says their ids; what is drawn here is what the page
will send. One hidden value holds it: ids alone, in their order.
"""

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from studio.canvas import Input
from studio.errors import NotFound
from studio.models.card import ModelCard
from studio.store.store import Store
from studio.wishes.starts import ANEW

# {"start": id or "", "mask": id or "", "strength": None for the card's, "fit", "references": [ids]}
Sources = dict[str, Any]
NOTHING: Sources = {"start": "", "mask": "", "strength": None, "fit": "cover", "references": []}
FITS = {"cover": "fill the shape", "contain": "keep all of it"}
SCRIPT = Path(__file__).with_name("sources.js").read_text(encoding="utf-8")
KINDS = "image/png,image/jpeg,image/webp"


def sound(given: object) -> Sources:
    """As we wrote it, whatever the browser's storage holds."""
    if not isinstance(given, Mapping):
        return dict(NOTHING)
    references, strength, fit = (given.get(name) for name in ("references", "strength", "fit"))
    return {
        "start": str(given.get("start") or ""),
        "mask": str(given.get("mask") or ""),
        "strength": strength if isinstance(strength, int | float) else None,
        "fit": fit if fit in tuple(FITS) else "cover",
        "references": [str(one) for one in references] if isinstance(references, list) else [],
    }


def change(given: object, what: str, key: str) -> Sources:
    """What a click or a file does to them. `key` is an id, or the place of a reference."""
    sources = sound(given)
    references: list[str] = sources["references"]
    place = int(key) if key.isdecimal() else -1
    match what:
        case "start":
            return sources | {"start": key, "mask": "", "strength": None}
        case "strength":
            return sources | {"strength": float(key)}
        case "fit" if key in FITS:
            return sources | {"fit": key}
        case "mask":
            return sources | {"mask": key}
        case "reference":
            return sources | {"references": [*references, key]}
        case "away" if 0 <= place < len(references):
            return sources | {"references": references[:place] + references[place + 1 :]}
        case "earlier" if 0 < place < len(references):
            moved = references[place]
            rest = references[:place] + references[place + 1 :]
            return sources | {"references": [*rest[: place - 1], moved, *rest[place - 1 :]]}
    return sources


def fields(card: ModelCard, sources: object) -> dict[str, object]:
    """The fields of a wish. What the model has no place for is not shown, and not sent."""
    have, found = sound(sources), dict[str, object]()
    if "start_image" in card.can and have["start"]:
        found |= {"start_image": have["start"], "strength": have["strength"], "fit": have["fit"]}
        if "mask" in card.can and have["mask"]:
            found["mask"] = have["mask"]
    if "references" in card.can and have["references"]:
        found["references"] = [{"id": one} for one in have["references"]]
    return found


def of_request(request: Mapping[str, Any]) -> Sources:
    return {
        "start": request.get("start_image") or "",
        "mask": request.get("mask") or "",
        "strength": request.get("strength"),
        "fit": request.get("fit") or "cover",
        "references": [one["id"] for one in request.get("references") or ()],
    }


def draw(card: ModelCard, sources: object, store: Store) -> str:
    have = sound(sources)
    parts = []
    if "start_image" in card.can:
        parts.append(_start(card, have, store.look))
    if "references" in card.can:
        parts.append(_references(have["references"], card.max_references, store.look))
    return f'<div class="sources">{"".join(parts)}</div>' if parts else ""


def _start(card: ModelCard, have: Sources, look: Callable[[str], Input]) -> str:
    image, may_mask = _known(have["start"], look), "mask" in card.can
    if image is None:
        return _drop("start", "Begin from a picture")
    mask = have["mask"] if _known(have["mask"], look) else ""
    draws = (
        f'<canvas data-mask="{escape(mask)}" aria-label="What may change"></canvas>'
        if may_mask
        else ""
    )
    acts = [_act("data-do", "paint", "Paint a mask")] if may_mask else []
    acts += [_act("data-put", "mask", "Clear the mask")] if mask else []
    acts += [_act("data-put", "start", "Take the picture away")]
    brush = (
        '<label class="brush">Brush <input type="range" min="2" max="40" value="12"></label>'
        if may_mask
        else ""
    )
    strength = have["strength"]
    if strength is None:
        strength = ANEW if mask else card.strength
    fits = "".join(
        f'<option value="{name}"{" selected" if name == have["fit"] else ""}>{words}</option>'
        for name, words in FITS.items()
        if name == "cover" or may_mask
    )
    return (
        f'<p class="quiet">Begins from a picture of '
        f'<span class="mono">{image.width} × {image.height}</span></p>'
        f'<figure class="start" style="--w:{image.width};--h:{image.height}">'
        f'<img src="/inputs/{image.id}" alt="the picture it begins from">{draws}</figure>'
        f'<div class="acts">{"".join(acts)}{brush}</div>'
        f'<label class="far">How far from it <input type="range" data-say="strength" min="0" '
        f'max="1" step="0.05" value="{strength:g}"><span class="mono">{strength:g}</span></label>'
        f'<label class="far">Where the shapes differ <select data-say="fit">{fits}</select></label>'
    )


def _references(ids: list[str], most: int, look: Callable[[str], Input]) -> str:
    shown = []
    for place, key in enumerate(ids):
        image = _known(key, look)
        if image is None:
            continue
        earlier = _act("data-put", "earlier", "←", str(place), "Earlier") if place else ""
        away = _act("data-put", "away", "×", str(place), "Take it away")
        shown.append(
            f'<figure class="reference"><img src="/inputs/{image.id}" '
            f'alt="reference {place + 1}"><figcaption>{place + 1}{earlier}{away}</figcaption>'
            "</figure>"
        )
    more = _drop("reference", "Add a reference") if len(ids) < most else ""
    return f'<div class="references">{"".join(shown)}</div>{more}'


def _drop(into: str, words: str) -> str:
    return (
        f'<label class="drop" data-into="{into}" tabindex="0">{words}: drop it here, paste it, or '
        f'<u>choose a file</u><input type="file" accept="{KINDS}" hidden></label>'
    )


def _act(attribute: str, what: str, words: str, key: str = "", label: str = "") -> str:
    said = f' aria-label="{label}" title="{label}"' if label else ""
    return (
        f'<button type="button" {attribute}="{what}" data-key="{escape(key)}"{said}>'
        f"{words}</button>"
    )


def _known(key: str, look: Callable[[str], Input]) -> Input | None:
    try:
        return look(key) if key else None
    except NotFound:
        return None
