"""Which model paints a quality: a card may name a quicker or a finer relative for it.

A wish is passed on only where it leaves to the card what the relative does its own way, and only to
one that is on this machine and can do all that is wished for.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path

from studio.canvas import Input
from studio.models.card import ModelCard
from studio.models.loras import Lora, find_loras
from studio.models.upscalers import Upscaler, find_upscalers
from studio.models.weights import absent
from studio.request import ImageRequest, read_request
from studio.wishes.catalog import Catalog, Settled
from studio.wishes.looks import Look


class Here:
    """What is on this machine, looked at once for all wishes of one call: in 10,000 of them the
    looking takes longer than all else."""

    def __init__(self, catalog: Catalog, model_folder: Path) -> None:
        self.catalog, brought = copy(catalog), cache(lambda: tuple(catalog.brought()))
        self.catalog.brought = brought
        self._folder = model_folder
        self._absent: dict[str, str] = {}

    @cached_property
    def loras(self) -> tuple[Lora, ...]:
        return find_loras(self._folder)

    @cached_property
    def upscalers(self) -> tuple[Upscaler, ...]:
        return find_upscalers(self.catalog.upscalers, self._folder)

    def absent(self, card: ModelCard) -> str:
        """What is missing of a model, in a sentence; empty if all of it is here."""
        if card.name not in self._absent:
            self._absent[card.name] = absent(card, self._folder)
        return self._absent[card.name]


def route(
    wish: ImageRequest, catalog: Catalog, here: Callable[[ModelCard], bool]
) -> tuple[ImageRequest, str]:
    """The wish for the model that paints it, and in words who stepped in, if anybody did."""
    card = catalog.find(wish.model)
    name = card.variants.get(wish.quality) if wish.quality else None
    relative = catalog.find(name) if name else card
    if relative is card or not (_leaves_it_to(card, wish) and _can(relative, wish, card)):
        return wish, ""
    if not here(relative):
        return wish, ""
    # A draft is what the quicker model does by itself, the best is the best of the finer one.
    quality = wish.quality if wish.quality == "best" and "best" in relative.quality else None
    own = {"steps": None, "guidance": None, "sampler": None, "quality": quality}
    passed_on = read_request(wish.model_dump() | own | {"model": relative.name})
    return passed_on, f"Quality {wish.quality} of {card.title} is painted by {relative.title}."


def settle_here(
    wish: ImageRequest,
    here: Here,
    inputs: Mapping[str, Input] | None = None,
    worn: Sequence[Look] = (),
) -> Settled:
    """The wish made whole with what is on this machine, for the model that paints it."""
    wish, passed_on = route(wish, here.catalog, lambda card: not here.absent(card))
    named = wish.loras or wish.look or "<lora:" in wish.prompt.lower()
    loras = here.loras if named else ()
    settled = here.catalog.settle(wish, loras, inputs, here.upscalers, worn)
    return replace(settled, warnings=(passed_on, *settled.warnings)) if passed_on else settled


def _leaves_it_to(card: ModelCard, wish: ImageRequest) -> bool:
    """The page fills in what the card says; that is as good as nothing said."""
    usual = {
        "steps": card.quality.get(wish.quality or "balanced", card.steps),
        "guidance": card.guidance,
        "sampler": card.samplers[0].name,
    }
    return all(getattr(wish, field) in (None, value) for field, value in usual.items())


def _can(relative: ModelCard, wish: ImageRequest, card: ModelCard) -> bool:
    if wish.width and wish.height and relative.size_objection(wish.width, wish.height):
        return False
    if wish.aspect and relative.sizes.get(wish.aspect) != card.sizes.get(wish.aspect):
        return False
    wears = bool(wish.loras) or "<lora:" in wish.prompt.lower()
    asked = {
        "negative": bool(wish.negative_prompt),
        "loras": wears,
        "start_image": bool(wish.start_image),
        "mask": bool(wish.mask),
        "references": bool(wish.references),
    }
    lost = card.can - relative.can - {"guidance"}
    if any(asked.get(ability, True) for ability in lost):
        return False
    return relative.lora_base == card.lora_base or not wears
