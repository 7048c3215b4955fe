"""The LoRAs on the Create page: a row for each with a weight of its own, and the words they know.

A row appears when the one before it is taken. What is worn is asked for by `uses_of` and shown
again by `rows_of`; everything else is looked up in the model folder each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio.jobs.studio import Studio
from studio.models.card import ModelCard
from studio.models.loras import find_loras
from studio.request import ImageRequest, LoraUse

Values = Mapping[str, object]
NOTHING = ""
MOST = next(
    int(limit.max_length)
    for limit in ImageRequest.model_fields["loras"].metadata
    if hasattr(limit, "max_length")
)
CHOSEN = tuple(f"lora_{number}" for number in range(1, MOST + 1))
WEIGHTS = tuple(f"lora_weight_{number}" for number in range(1, MOST + 1))
LISTENING = "listening"
ROWS = (*CHOSEN, *WEIGHTS, LISTENING)
USUAL = LoraUse.model_fields["weight"].default
STEP = 0.05


@dataclass(frozen=True, slots=True)
class Wardrobe:
    """What happens when somebody chooses."""

    studio: Studio

    def choose(self, name: str, *values: object) -> list[object]:
        """[*rows] of a model: one more is there than are taken."""
        card, folder = self.studio.catalog.find(name), self.studio.settings.model_folder
        found = offers(card, dict(zip(ROWS, values, strict=True)), folder)
        return [gr.update(**found[row]) for row in ROWS]

    def say(self, event: gr.EventData, prompt: str) -> str:
        """[prompt]: with the words that a LoRA listens to."""
        words = str(getattr(event, "words", ""))
        if words.lower() in prompt.lower():
            return prompt
        return f"{prompt.rstrip().rstrip(',')}, {words}" if prompt.strip() else words


def empty_rows() -> dict[str, object]:
    return {**dict.fromkeys(CHOSEN, NOTHING), **dict.fromkeys(WEIGHTS, USUAL)}


def rows_of(uses: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """The rows as they stood for the LoRAs of a wish."""
    rows = empty_rows()
    for name, weight, use in zip(CHOSEN, WEIGHTS, uses, strict=False):
        rows |= {name: use["name"], weight: use["weight"]}
    return rows


def uses_of(values: Values) -> list[dict[str, object]]:
    return [
        {"name": values[name], "weight": values[weight]}
        for name, weight in zip(CHOSEN, WEIGHTS, strict=True)
        if values[name]
    ]


def choices_for(card: ModelCard, model_folder: Path) -> list[tuple[str, str]]:
    """Those that fit; with a title that several have, the name says which."""
    if "loras" not in card.can:
        return []
    fitting = [lora for lora in find_loras(model_folder) if lora.fits(card.lora_base)]
    titles = [lora.title for lora in fitting]
    return [
        (lora.title if titles.count(lora.title) == 1 else f"{lora.title} ({lora.name})", lora.name)
        for lora in fitting
    ]


def offers(card: ModelCard, values: Values, model_folder: Path) -> dict[str, dict[str, Any]]:
    """What each row offers and whether it is there, with these values."""
    known = choices_for(card, model_folder)
    chosen = [str(values.get(name) or NOTHING) for name in CHOSEN]
    shown = 1 + max((number for number, name in enumerate(chosen, start=1) if name), default=0)
    there = {name for _, name in known}
    found: dict[str, dict[str, Any]] = {}
    for number, (row, weight, name) in enumerate(zip(CHOSEN, WEIGHTS, chosen, strict=True)):
        visible = number < shown and bool(known or any(chosen))
        gone = [(f"{name} (not here)", name)] if name and name not in there else []
        offered = [("none", NOTHING), *known, *gone] if visible else [("none", NOTHING)]
        found[row] = {"choices": offered, "visible": visible}
        found[weight] = {"visible": bool(name)}
    words = listening(chosen, model_folder)
    found[LISTENING] = {"value": words, "visible": bool(words)}
    return found


def listening(names: Sequence[str], model_folder: Path) -> str:
    """The words that call those that are worn, each a button that writes it into the prompt."""
    if not any(names):
        return ""
    lines = []
    for lora in find_loras(model_folder):
        if lora.name in names and lora.triggers and not lora.refused:
            words = "".join(
                f'<button type="button" data-say="{escape(word)}">{escape(word)}</button>'
                for word in lora.triggers
            )
            lines.append(f"<p>{escape(lora.title)} listens to {words}</p>")
    return "".join(lines)


def build(card: ModelCard, model_folder: Path, clicks: str) -> dict[str, Any]:
    """The components by name, in the layout they stand in."""
    rows = offers(card, {}, model_folder)
    least, most = _bounds()
    found: dict[str, Any] = {}
    with gr.Column(elem_id="loras"):
        for number, (row, weight) in enumerate(zip(CHOSEN, WEIGHTS, strict=True), start=1):
            with gr.Row(elem_classes="lora"):
                found[row] = gr.Dropdown(
                    **rows[row],
                    value=NOTHING,
                    label="LoRA" if number == 1 else f"LoRA {number}",
                    show_label=number == 1,
                    elem_id=f"lora-{number}",
                    scale=4,
                    min_width=160,
                )
                found[weight] = gr.Number(
                    USUAL,
                    **rows[weight],
                    label="Weight" if number == 1 else f"Weight {number}",
                    show_label=number == 1,
                    minimum=least,
                    maximum=most,
                    step=STEP,
                    elem_id=f"weight-{number}",
                    scale=0,
                    min_width=96,
                )
        found[LISTENING] = gr.HTML(
            **rows[LISTENING], elem_id="listening", js_on_load=clicks, apply_default_css=False
        )
    return found


def _bounds() -> tuple[float, float]:
    limits = LoraUse.model_fields["weight"].metadata
    least = next(limit.ge for limit in limits if hasattr(limit, "ge"))
    return least, next(limit.le for limit in limits if hasattr(limit, "le"))
