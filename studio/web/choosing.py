"""What follows on the Create page when a quality, steps, a shape or a look is chosen.

Each answers with the values its outputs name in `create`.
"""

from dataclasses import dataclass

import gradio as gr

from studio.jobs.studio import Studio
from studio.models.card import ModelCard
from studio.web.controls import quality_of, size_line
from studio.wishes.looks import Look

SET_BY_LOOKS = ("quality", "steps", "guidance", "sampler", "aspect", "upscale")


@dataclass(frozen=True, slots=True)
class Choosing:
    studio: Studio

    def choose_quality(self, name: str, quality: str) -> object:
        """[steps]"""
        card = self.studio.catalog.find(name)
        return next((steps for known, steps in card.quality.items() if known == quality), gr.skip())

    def choose_steps(self, name: str, steps: int) -> str | None:
        """[quality]: the one that means these steps, if any does."""
        return quality_of(self.studio.catalog.find(name), steps)

    def choose_shape(self, name: str, aspect: str, upscale: int) -> str:
        """[size]"""
        return size_line(self.studio.catalog.find(name), aspect, upscale)

    def choose_looks(self, name: str, chosen: object) -> list[object]:
        """[*SET_BY_LOOKS]: what the looks set, where the model has it; the later count more."""
        card, looks = self.studio.catalog.find(name), self.studio.catalog.looks
        names = chosen if isinstance(chosen, list) else []
        values: dict[str, object] = {}
        for one in names:
            if one in looks:
                values |= _of_look(card, looks[one])
        return [values.get(name, gr.skip()) for name in SET_BY_LOOKS]


def _of_look(card: ModelCard, look: Look) -> dict[str, object]:
    says = look.settings
    values: dict[str, object] = {n: says[n] for n in ("guidance", "upscale") if n in says}
    steps = card.quality.get(says["quality"]) if "quality" in says else None
    steps = says.get("steps", steps)
    if steps and steps <= card.max_steps:
        values |= {"steps": steps, "quality": quality_of(card, steps)}
    if says.get("sampler") in [sampler.name for sampler in card.samplers]:
        values["sampler"] = says["sampler"]
    size = (says.get("width"), says.get("height"))
    shapes = [n for n, known in card.sizes.items() if (known.width, known.height) == size]
    if says.get("aspect") in card.sizes:
        shapes = [says["aspect"]]
    return values | ({"aspect": shapes[0]} if shapes else {})
