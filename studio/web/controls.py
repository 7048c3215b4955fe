"""What the controls of a wish offer for a model, and how they are filled and read again.

Everything is asked of the card and of `ImageRequest`; nobody tests names of models here.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio.errors import Refused
from studio.formats.template import plain
from studio.jobs.studio import Studio
from studio.models.card import ModelCard
from studio.models.upscalers import UpscalerCard, find_upscalers
from studio.models.weights import absent
from studio.request import ImageRequest
from studio.store.rows import Job
from studio.web import frame, sources
from studio.web.wardrobe import ROWS, empty_rows, offers, rows_of, uses_of
from studio.wishes.catalog import Catalog
from studio.wishes.honour import fit
from studio.wishes.looks import names_of

# The order in which the page hands the values over, and takes them back.
NAMES = (
    "prompt",
    "negative_prompt",
    "model",
    "quality",
    "aspect",
    "seed",
    "fresh",
    "look",
    "steps",
    "guidance",
    "sampler",
    "count",
    "expand",
    "output_format",
    "upscale",
    "upscaler",
    *ROWS,
    "sources",
)
EXPANDS = [
    ("draw one", "random"),
    ("paint all", "all"),
    ("in turns", "cycle"),
    ("as written", "no"),
]
OURS = ("fresh", "look", *ROWS, "sources")  # no fields of a wish, or not in this form
MORE_THAN_ONE = 2  # choices: the best, and the only one
BEST = ""  # of the upscalers: what the model's card says, or else the first
Values = Mapping[str, object]
Filled = tuple[dict[str, object], list[str]]  # values, and what they cannot show


def bounds(field: str) -> tuple[float, float]:
    """The least and the most of a number, from the field itself."""
    least, most = 0.0, 0.0
    for limit in ImageRequest.model_fields[field].metadata:
        least = getattr(limit, "ge", least)
        most = getattr(limit, "le", most)
    return least, most


def help_of(field: str) -> str:
    return ImageRequest.model_fields[field].description or ""


def spoken(sentence: str) -> str:
    """A refusal as the page says it: what is to be chosen is called what the control calls it."""
    for words, name in EXPANDS:
        sentence = sentence.replace(f"say expand {name}", f"choose {words!r}")
    return sentence[:1].upper() + sentence[1:]


def usual(card: ModelCard) -> dict[str, Any]:
    """What the controls show when a model is chosen."""
    return {
        "quality": "balanced" if card.quality else None,
        "aspect": next(iter(card.sizes)),
        "steps": card.quality.get("balanced", card.steps),
        "guidance": card.guidance,
        "sampler": card.samplers[0].name,
        "upscale": card.upscale,
        "upscaler": BEST,
        **empty_rows(),
    }


def quality_of(card: ModelCard, steps: int) -> str | None:
    return next((name for name, meant in card.quality.items() if meant == steps), None)


def dressed(card: ModelCard, values: Values, catalog: Catalog, model_folder: Path) -> list[object]:
    """One update for each of NAMES: what the card offers, with these values where given. Of the
    catalog all models are offered: one may have been brought since the page was built."""
    enlarging = upscaler_choices(catalog.upscalers, model_folder)
    offered: dict[str, dict[str, Any]] = {
        "negative_prompt": {"visible": "negative" in card.can},
        "model": {"choices": model_choices(list(catalog.cards.values()), model_folder)},
        "look": {"choices": look_choices(catalog), "visible": bool(catalog.looks)},
        "quality": {"choices": list(card.quality), "visible": bool(card.quality)},
        "aspect": {"choices": list(card.sizes)},
        "steps": {"maximum": card.max_steps},
        "guidance": {"visible": "guidance" in card.can},
        "sampler": {"choices": [sampler.name for sampler in card.samplers]},
        "upscale": {"visible": bool(enlarging)},
        "upscaler": {"choices": enlarging, "visible": len(enlarging) > MORE_THAN_ONE},
        **offers(card, values, model_folder),
    }
    shown: list[object] = []
    for name in NAMES:
        update = dict(offered.get(name, {}))
        if name in values:
            update["value"] = values[name]
        shown.append(gr.update(**update) if update else gr.skip())
    return shown


def wish_of(card: ModelCard, values: Values) -> dict[str, object]:
    """The fields of a wish from the controls. What a model has no control for is not sent."""
    fields = {name: values[name] for name in NAMES if name not in OURS}
    if values["fresh"] or values["seed"] is None:
        del fields["seed"]
    if "negative" not in card.can:
        del fields["negative_prompt"]
    if "guidance" not in card.can:
        del fields["guidance"]
    if not card.quality:
        del fields["quality"]
    if worn := uses_of(values):
        fields["loras"] = worn
    if isinstance(looks := values["look"], list) and looks:
        fields["look"] = ", ".join(looks)
    return fields | sources.fields(card, values["sources"])


def card_of(job: Job, catalog: Catalog) -> ModelCard:
    """Of a job whose settings are those of the controls."""
    if job.elsewhere:
        raise Refused("another tool painted it; its settings are none of these controls.")
    return catalog.find(job.model)


def values_of(job: Job, card: ModelCard, seed: int | None) -> Filled:
    """The controls as they stood for a job, and in sentences what they cannot show of it.

    With the seed of one picture they are set to paint that picture again.
    """
    wish, request = job.wish, job.request
    if seed is not None and wish.get("nth") is not None:  # one of many texts, or of the turns
        wish = wish | {name: request[name] for name in ("prompt", "negative_prompt", "loras")}
        wish |= {"look": None, "expand": "no"}
    return values_from(wish, request, card, seed)


def values_from(
    wish: Mapping[str, Any], request: Mapping[str, Any], card: ModelCard, seed: int | None
) -> Filled:
    """The same of a wish and of what it is when it is settled."""
    missing = list[str]()
    size = (request["width"], request["height"])
    shapes = [name for name, known in card.sizes.items() if (known.width, known.height) == size]
    if not shapes:
        missing.append(f"{size[0]} × {size[1]} is not a shape of the list; the first is chosen.")
    if request["steps"] > card.max_steps:
        missing.append(f"{request['steps']} steps are more than {card.title} takes here.")
    loras = wish.get("loras") or ()  # those of tags are in the prompt
    for use in loras:
        if own := use.get("components"):
            parts = ", ".join(f"{weight:g} in {part}" for part, weight in own.items())
            missing.append(f"The LoRA {use['name']} had weights of its parts: {parts}.")
    if request["precision"] != ("full" if request["quality"] == "best" else "auto"):
        missing.append(f"It was painted in {request['precision']}, which has no control.")
    values = {
        "prompt": wish["prompt"],
        "count": wish["count"] if seed is None else 1,
        "expand": _expand(wish),
        "negative_prompt": wish["negative_prompt"],
        "model": card.name,
        "quality": quality_of(card, request["steps"]),
        "aspect": shapes[0] if shapes else next(iter(card.sizes)),
        "seed": request["seed"] if seed is None else seed,
        "fresh": seed is None and wish["seed"] is None,
        "look": names_of(wish["look"] or ""),
        "steps": request["steps"],
        "guidance": request["guidance"],
        "sampler": request["sampler"],
        "output_format": request["output_format"],
        "upscale": request["upscale"],
        "upscaler": wish.get("upscaler", BEST),  # once there was no choice
        **rows_of(loras),
        "sources": sources.of_request(request),
    }
    return values, missing


def fill_wish(
    studio: Studio, wish: Mapping[str, Any], current: str, lost: Sequence[str] = ()
) -> tuple[ModelCard, list[object]]:
    """The controls for a wish that was read, as near as can be; without a model for the `current`
    one. `lost` is what is known to be missing already."""
    settled, more = fit({"model": current, **wish}, studio.line.look_over)
    if settled is None:
        raise Refused(" ".join(more))
    values, missing = values_from(
        settled.wish.model_dump(mode="json"),
        settled.request.model_dump(mode="json"),
        settled.card,
        settled.request.seed if "seed" in wish else None,
    )
    sentences = dict.fromkeys((*lost, *more, *missing))
    return settled.card, filled(studio, settled.card, values, tuple(sentences))


def _expand(wish: Mapping[str, Any]) -> str:
    """As written only where that matters, so that what is typed next is not."""
    same = all(plain(str(wish[name])) for name in ("prompt", "negative_prompt"))
    return "random" if same else str(wish.get("expand", "no"))  # there were no choices once


def filled(studio: Studio, card: ModelCard, values: Values, missing: Sequence[str]) -> list[object]:
    """[note, about, size, given, *controls]"""
    folder = studio.settings.model_folder
    return [
        frame.note(" ".join(missing), "warn"),
        about(card, folder),
        size_line(card, values["aspect"], values["upscale"]),
        sources.draw(card, values["sources"], studio.store),
        *dressed(card, values, studio.catalog, folder),
    ]


def model_choices(cards: Sequence[ModelCard], model_folder: Path) -> list[tuple[str, str]]:
    """Those that can paint now come first."""
    missing = {card.name: bool(absent(card, model_folder)) for card in cards}
    return [
        (f"{card.title} (not on this machine)" if missing[card.name] else card.title, card.name)
        for card in sorted(cards, key=lambda card: (missing[card.name], card.title.lower()))
    ]


def look_choices(catalog: Catalog) -> list[tuple[str, str]]:
    return [(look.title, look.name) for look in catalog.looks.values()]


def upscaler_choices(cards: Sequence[UpscalerCard], model_folder: Path) -> list[tuple[str, str]]:
    """Those that are here, after the word for whichever is best; none where there are none."""
    here = [one.card for one in find_upscalers(cards, model_folder) if one.usable]
    named = [(f"{card.title} ({card.suits})" if card.suits else card.title) for card in here]
    own = [(title, card.name) for title, card in zip(named, here, strict=True)]
    return [("the best one here", BEST), *own] if own else []


def about(card: ModelCard, model_folder: Path) -> str:
    """What the model is, and how to fetch it when it is not here."""
    lines = (card.about, absent(card, model_folder))
    return "".join(f"<p>{escape(line)}</p>" for line in lines if line)


def size_line(card: ModelCard, aspect: object, upscale: object) -> str:
    """The chosen shape in pixels, and a small drawing of each shape in front of its name."""
    size = card.sizes.get(aspect) if isinstance(aspect, str) else None
    words = f"{size.width} × {size.height}" if size else ""
    if size and isinstance(upscale, int) and upscale > 1:
        words += f" → {size.width * upscale} × {size.height * upscale}"
    drawings = []
    for index, shape in enumerate(card.sizes.values(), start=1):
        scale = 14 / max(shape.width, shape.height)
        width, height = round(shape.width * scale), round(shape.height * scale)
        drawings.append(
            f"#aspect label:nth-of-type({index})::before{{width:{width}px;height:{height}px}}"
        )
    return f'<style>{"".join(drawings)}</style><span class="mono">{words}</span>'
