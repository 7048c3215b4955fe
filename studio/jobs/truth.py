"""The truth about a wish before it is painted: what its model will read, weigh, wear and lose.

It speaks of the same settled wish that would be painted, and asks the reader what the encoders make
of it. A model that is not on this machine is spoken of too, but for its tokens.
"""

from collections.abc import Mapping
from typing import Any

from studio.errors import Refused
from studio.formats.prompt import blends, inert_syntax, weighing
from studio.jobs.reader import Reader
from studio.models.loras import Lora, find_loras, spoken
from studio.models.weights import EMBEDDED, find_weights
from studio.settings import Settings
from studio.wishes.catalog import Settled
from studio.wishes.looks import Look, names_of
from studio.wishes.wording import Wording, told

Told = dict[str, Any]  # JSON-shaped
SHOWN_TEXTS = 20


def tell_truth(
    settled: Settled,
    looks: Mapping[str, Look],
    settings: Settings,
    reader: Reader,
    choices: Told | None = None,
) -> Told:
    """`choices` are what the words of the wish may become, where they may become several."""
    loras = find_loras(settings.model_folder)
    folder, why = _folder(settled, settings)
    read = reader.ask(
        {
            "card": settled.card.model_dump(mode="json"),
            "request": settled.request.model_dump(mode="json"),
            "folder": folder,
        }
    ) or {"encoders": {}, "unread": [], "why": "the process that counts did not answer"}
    why = why or read["why"]
    worn = [looks[name] for name in names_of(settled.wish.look or "") if name in looks]
    request, unheard = settled.request, settled.unheard if settled.request.negative_prompt else ""
    return {
        "model": settled.card.name,
        "title": settled.card.title,
        "prompt": _text(settled, request.prompt, read["encoders"].get("prompt", [])),
        "negative_prompt": _text(
            settled, request.negative_prompt, read["encoders"].get("negative_prompt", []), unheard
        ),
        "loras": [_lora(use.name, use.weight, loras, request.prompt) for use in request.loras],
        "look": {"name": settled.wish.look, "title": ", ".join(look.title for look in worn)}
        if worn
        else None,
        "choices": choices,
        "unknown_words": list(settled.unknown) if settled.card.words else None,
        "counted": not why,
        "why": f"Tokens are not counted: {why}" if why else "",
        "warnings": [*settled.warnings, *read["unread"]],
    }


def tell_choices(wording: Wording) -> Told | None:
    """How many texts a wish has, and the first that would be painted; `example` says that others
    will be, because no seed is given."""
    if not wording.dynamic:
        return None
    wish = wording.wish
    example = wish.seed is None and wish.expand == "random"
    times = wording.texts if wish.expand == "all" and wish.nth is None else 1
    shown = wording.shown(SHOWN_TEXTS)
    return {
        "expand": wish.expand,
        "texts": wording.texts,
        "words": told(wording.texts),
        "pictures": wish.count * times,
        "example": example,
        "shown": [
            {
                "prompt": one.bare.prompt,
                "negative_prompt": one.bare.negative_prompt,
                "seed": None if example else one.bare.seed,
                "nth": one.wish.nth,
            }
            for one in shown
        ],
        "wildcards": wording.wildcards,
    }


def _folder(settled: Settled, settings: Settings) -> tuple[str, str]:
    """Where its tokenizers are, or why they are not here."""
    card = settled.card
    if card.repo.startswith(EMBEDDED):
        built = settings.model_folder / card.name
        if (built / "model_index.json").is_file():
            return str(built.resolve()), ""
        return "", f"{card.title} is made on this machine when it first paints."
    try:
        return find_weights(card, settings.model_folder), ""
    except Refused as error:
        return "", str(error)


def _text(settled: Settled, text: str, encoders: list[Told], unheard: str = "") -> Told:
    """`weighted` are its blends with what they weigh, `as_text` the marks that weigh nothing."""
    weighs = "weighting" in settled.card.can
    return {
        "text": text,
        "heard": bool(text) and not unheard,
        "why": unheard,
        "blends": [
            {"share": blend.share, "chunks": [[p._asdict() for p in c] for c in blend.chunks]}
            for blend in (blends(text) if weighs and text else ())
        ],
        "as_text": [] if weighs else weighing(text),
        "inert": inert_syntax(text, weighting=weighs),
        "encoders": encoders,
    }


def _lora(name: str, weight: float, loras: tuple[Lora, ...], prompt: str) -> Told:
    lora = next(lora for lora in loras if lora.name == name and not lora.refused)
    return {
        "name": name,
        "title": lora.title,
        "kind": lora.kind,
        "weight": weight,
        "trigger_words": list(lora.triggers),
        "said": spoken(lora, prompt),
    }
