"""What each model is and can do, and how a wish is made whole for it.

A `ModelCard` is one row of data read by `presets`. `Catalog.settle` joins a wish with its card: it
draws the seed, fills steps and guidance, refuses what is impossible and names what has no effect.
It knows neither weights nor devices.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from studio import enlarging
from studio.canvas import Input
from studio.errors import Refused
from studio.filling import (
    MAX_FINISHED,
    guidance_of,
    sampler_of,
    size_of,
    steps_of,
    unheard_for,
    upscale_of,
    upscaler_of,
)
from studio.formats.prompt import blends, inert_syntax
from studio.looks import Dressed, Look, dress, unknown_sentences
from studio.loras import Lora, check, taken, triggers_of
from studio.otherparts import OtherPart
from studio.precision import Stored, check_precision, settled_precision, stored_in
from studio.request import MAX_SEED, ImageRequest, Part, Quality, Upscale, read_request
from studio.starts import begin
from studio.upscalers import Upscaler, UpscalerCard
from studio.vocabulary import unknown_words

# fmt: off
Ability = Literal[
    "negative", "weighting", "long_prompts", "guidance", "loras",
    "start_image", "mask", "references",
]
# fmt: on

# Fields whose engine is not built yet. They are refused in words, never swallowed.
NOT_YET = {
    "upload_urls": "sending pictures to upload URLs",
}
SPENT = {"aspect", "look", "nth"}  # by settling
MAX_WEIGHTED = 100
MOST_NAMED = 20  # models in a sentence


class Size(Part):
    width: int = Field(ge=64, le=4096)
    height: int = Field(ge=64, le=4096)


class Sampler(Part):
    """A sampler by its everyday name, with the options this model wants of it."""

    name: str
    options: dict[str, str | int | float | bool] = Field(default_factory=dict, strict=False)
    max_steps: int = Field(200, ge=1, le=200)
    distilled: bool = Field(False, description="It wants a LoRA that was distilled for it.")


class ModelCard(Part):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    title: str
    about: str
    family: str
    repo: str = Field(description="Hub repository, a local folder, or embedded:<name>.")
    revision: str | None = None
    variant: str | None = None
    parts: dict[str, OtherPart] = Field(default_factory=dict)
    beside: str = Field("", description="The card whose folder holds what a checkpoint lacks.")
    architecture: str = Field(
        "", description="The checkpoints that are painted as this card says, in ModelSpec's word."
    )
    aliases: tuple[str, ...] = Field((), strict=False)
    files: tuple[str, ...] = Field((), strict=False, description="Its names where it is one file.")
    default: bool = False
    can: frozenset[Ability] = Field(strict=False)
    steps: int = Field(ge=1, le=200)
    max_steps: int = Field(ge=1, le=200)
    guidance: float = Field(ge=0, le=30)
    samplers: tuple[Sampler, ...] = Field(min_length=1, strict=False)
    sizes: dict[str, Size]
    only_sizes: bool = Field(False, description="It paints the sizes listed and no others.")
    size_step: int = Field(8, ge=8)
    min_side: int = Field(ge=64)
    max_side: int = Field(le=4096)
    quality: dict[Quality, int] = Field(default_factory=dict)
    variants: dict[Quality, str] = Field({}, description="Cards that paint a quality for it.")
    lora_base: str = Field("", description="What its LoRAs must state they were made for.")
    strength: float = Field(
        0.6, gt=0, le=1, description="How far from a start image if none says, without a mask."
    )
    max_references: int = Field(0, ge=0, le=16)
    upscale: Upscale = Field(1, description="How much its pictures are enlarged if none says.")
    upscaler: str = Field("", description="What enlarges them if none is named; empty: the best.")
    half: Literal["bf16", "fp16"] = Field("bf16", description="The half precision it was made for.")
    gpus: int = Field(1, ge=1, le=8)
    tokens: int = Field(512, ge=1, description="How many its text encoder reads, if it ends there.")
    memory_gb: float = Field(gt=0, description="Weights and one picture, in bf16.")
    weights: dict[str, float] = Field({}, description="GB of each component, in bf16.")
    words: tuple[Annotated[str, Field(pattern=r"^[a-z0-9]+$")], ...] = Field(
        (), strict=False, description="All the words it was taught; empty: no list is kept."
    )
    examples: tuple[str, ...] = Field((), strict=False, description="Prompts for the empty page.")
    licence: str
    homepage: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, size in self.sizes.items():
            why_not = self._size_objection(size.width, size.height)
            if why_not:
                raise ValueError(f"sizes.{name}: {why_not}")
        if not self.sizes:
            raise ValueError("sizes: a card needs at least one.")
        if ("references" in self.can) != (self.max_references > 0):
            raise ValueError("max_references: it goes together with the ability references.")
        if (weights := sum(self.weights.values())) >= self.memory_gb:
            raise ValueError(f"weights: {weights:g} GB and a picture are more than memory_gb.")
        return self

    @cached_property
    def known(self) -> frozenset[str]:
        return frozenset(self.words)

    @property
    def stored(self) -> Stored:
        return stored_in(part.file for part in self.parts.values())

    def sampler(self, name: str) -> Sampler:
        for sampler in self.samplers:
            if sampler.name == name:
                return sampler
        offered = ", ".join(sampler.name for sampler in self.samplers)
        raise Refused(f"sampler: {self.title} has no {name!r}. It has: {offered}.", field="sampler")

    def size_objection(self, width: int, height: int) -> tuple[str, str] | None:
        """(field, sentence) when this model cannot paint the size."""
        if self.only_sizes and (width, height) not in {
            (s.width, s.height) for s in self.sizes.values()
        }:
            listed = ", ".join(f"{size.width}x{size.height}" for size in self.sizes.values())
            return "width", f"{width}x{height} is not one of {listed}."
        sentence = self._size_objection(width, height)
        if sentence is None:
            return None
        return ("height" if f"{height} high" in sentence else "width"), sentence

    def _size_objection(self, width: int, height: int) -> str | None:
        for side, word in ((width, "wide"), (height, "high")):
            if side % self.size_step:
                return f"{side} {word} is not a multiple of {self.size_step}."
            if not self.min_side <= side <= self.max_side:
                return f"{side} {word} is outside {self.min_side} to {self.max_side}."
        return None


@dataclass(frozen=True, slots=True)
class Brought:
    """What somebody put into the model folder: its card, or why it has none."""

    name: str
    path: Path
    card: ModelCard | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """A wish made whole. `request` paints the same picture wherever and whenever it is painted."""

    wish: ImageRequest
    request: ImageRequest
    card: ModelCard
    warnings: tuple[str, ...]
    unheard: str = ""  # why a negative prompt is not
    unknown: tuple[str, ...] = ()  # words that the model was never taught


class Catalog:
    """The cards of the presets, and those of what was brought, which is looked for each time."""

    def __init__(
        self,
        cards: list[ModelCard],
        looks: list[Look],
        upscalers: Sequence[UpscalerCard] = (),
        brought: Callable[[], Sequence[Brought]] = tuple,
        own_looks: Callable[[], Mapping[str, Look]] = dict,
    ) -> None:
        self.presets, self.brought = tuple(cards), brought
        self._looks, self._own_looks = {look.name: look for look in looks}, own_looks
        self.upscalers = tuple(upscalers)
        self.default = next((card for card in cards if card.default), cards[0])
        self._by_name = {card.name: card for card in cards}
        self._seen: dict[str, ModelCard] = {}  # of what was brought
        self._by_alias = {alias: card for card in cards for alias in (card.name, *card.aliases)}
        self.enlarging = ModelCard.model_validate(enlarging.CARD)  # no page offers it as a model
        self._by_alias[self.enlarging.name] = self.enlarging

    @property
    def looks(self) -> dict[str, Look]:
        """Those that came along, and the user's own, which stand before them."""
        return {**self._looks, **self._own_looks()}

    @property
    def cards(self) -> dict[str, ModelCard]:
        self._seen = {one.name: one.card for one in self.brought() if one.card}
        return self._by_name | self._seen

    def card(self, name: str) -> ModelCard | None:
        """By the name in a settled request, as it was last seen: the line asks for each job."""
        if name == self.enlarging.name:
            return self.enlarging
        return self._by_name.get(name) or self._seen.get(name) or self.cards.get(name)

    def find(self, name: str) -> ModelCard:
        if not name:
            return self.default
        card = self._by_alias.get(name) or self._by_alias.get(name.lower())
        if card:
            return card
        brought = self.brought()
        for one in brought:
            aliases = one.card.aliases if one.card else ()
            if name in (one.path.name, one.path.stem, *aliases) or name.lower() == one.name:
                if one.card:
                    return one.card
                raise Refused(
                    f"model: {one.path.name} cannot be used: {one.refused}.", field="model"
                )
        names = [*self._by_alias, *(one.name for one in brought if one.card)]
        near = get_close_matches(name, names, n=1)
        known = tuple(dict.fromkeys((self.default.name, *self.cards)))
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {_some(known)}."
        raise Refused(f"model: there is no model {name[:60]!r}. {hint}", field="model")

    def dress(self, wish: ImageRequest) -> Dressed:
        """The wish with its looks put on."""
        return dress(wish, self.looks if wish.look else {}, lambda name: self.find(name).words)

    def guides(self, model: str) -> bool:
        """By a second pass for each step. Those without it take guidance as a number, if at all."""
        card = self.card(model)
        return card is not None and "negative" in card.can

    def settle(
        self,
        wish: ImageRequest,
        loras: Sequence[Lora] = (),
        inputs: Mapping[str, Input] | None = None,
        upscalers: Sequence[Upscaler] | None = None,
        worn: Sequence[Look] = (),
    ) -> Settled:
        """The wish made whole for its card. Settling what is settled changes nothing.

        `loras` and `upscalers` are those of this machine, `inputs` the pictures of the wish, by
        their hashes. Without `upscalers` nobody chooses one. `worn` are looks that it wears
        already. Choices in its words are made before; here they are text.
        """
        card, inputs = self.find(wish.model), inputs or {}
        _refuse_what_is_not_built(wish)
        if card is self.enlarging:
            whole, said = enlarging.settle(wish, card, inputs, upscalers, MAX_FINISHED)
            return Settled(wish, read_request(whole), card, tuple(said))
        asked, dressed = wish, self.dress(wish)
        wish, looks = dressed.wish, (*worn, *dressed.worn)
        card = self.find(wish.model)
        if wish.enlarged_from:
            raise Refused(
                f"enlarged_from: only the model {enlarging.NAME!r} enlarges alone. Leave it out.",
                field="enlarged_from",
            )
        check_precision(wish.precision, card.title, card.stored)
        width, height = size_of(wish, card, inputs)
        steps = steps_of(wish, card)
        start, warnings = begin(wish, card, inputs, (width, height), steps)
        warnings = [*dressed.said, *warnings]
        guidance, unguided = guidance_of(wish, card)
        warnings += unguided
        negative = wish.negative_prompt
        prompt, uses, said = taken(wish.prompt, wish.loras)
        warnings += said
        unheard = unheard_for(card, guidance)
        if negative and unheard:
            warnings.append(f"The negative prompt has no effect: {unheard}")
        for field, text in (("prompt", prompt), ("negative_prompt", negative)):
            if "weighting" in card.can:
                _refuse_too_many_weights(field, text)
            warnings += inert_syntax(text, weighting="weighting" in card.can)
        if uses and "loras" not in card.can:
            field = "loras" if wish.loras else "prompt"
            raise Refused(f"{field}: {card.title} takes no LoRAs. Take them off.", field=field)
        sampler, said = sampler_of(wish, card, steps, loras=bool(uses))
        warnings += said
        warnings += check(uses, loras, card.title, card.lora_base, prompt)
        known = (card.known | triggers_of(uses, loras)) if card.words else ()
        unknown = unknown_words((prompt, "" if unheard else negative), known) if known else ()
        if unknown:
            warnings += unknown_sentences(card.title, unknown, looks)
        if wish.quality and wish.steps is None and wish.quality not in card.quality:
            warnings.append(f"{card.title} has one quality; {wish.quality!r} changes nothing.")
        times = upscale_of(wish, card, max(width, height))
        upscaler, said = upscaler_of(wish, card, times, upscalers)
        warnings += said
        whole = wish.model_dump(exclude=SPENT, exclude_defaults=True) | {
            "model": card.name,
            "width": width,
            "height": height,
            "prompt": prompt,
            "negative_prompt": negative,
            "loras": [use.model_dump() for use in uses],
            "expand": "no",
            "seed": secrets.randbelow(MAX_SEED + 1) if wish.seed is None else wish.seed,
            "steps": steps,
            "guidance": guidance,
            "precision": settled_precision(wish.precision, wish.quality, card.stored),
            "upscale": times,
            "upscaler": upscaler,
            "sampler": sampler,
            **start,
        }
        once = tuple(dict.fromkeys(warnings))
        return Settled(asked, read_request(whole), card, once, unheard, tuple(unknown))


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join([*names[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])


def _refuse_too_many_weights(field: str, text: str) -> None:
    """Each costs passes of the text encoders, which no cancel interrupts."""
    parts = blends(text)
    weighted = sum(part.weight != 1 for blend in parts for chunk in blend.chunks for part in chunk)
    weighted += len(parts) - 1
    if weighted > MAX_WEIGHTED:
        raise Refused(
            f"{field}: {weighted} weighted parts are too many; the most is {MAX_WEIGHTED}.",
            field=field,
        )


def _refuse_what_is_not_built(wish: ImageRequest) -> None:
    for field, what in NOT_YET.items():
        if getattr(wish, field) != ImageRequest.model_fields[field].default:
            raise Refused(
                f"{field}: this version does not do {what} yet. Leave it out.", field=field
            )
