"""What a model is and can do: one row of data, out of `presets/models` or of what was brought.

Pages and checks ask the card; nobody tests names.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from studio.errors import Refused
from studio.models.otherparts import OtherPart
from studio.models.precision import Stored, stored_in
from studio.request import Part, Quality, Upscale

# fmt: off
Ability = Literal[
    "negative", "weighting", "long_prompts", "guidance", "loras",
    "start_image", "mask", "references",
]
# fmt: on


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
    taught_side: int = Field(
        0, ge=0, description="Of the largest square it was taught; 0: beyond it nothing is said."
    )
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
    def usual_pixels(self) -> int:
        """Of its largest listed size, for which `memory_gb` is said."""
        return max(size.width * size.height for size in self.sizes.values())

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
