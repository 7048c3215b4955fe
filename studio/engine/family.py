"""What the code for a kind of model must offer, and which kinds there are.

The painter speaks to a model only through this.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image

from studio.engine.failures import PaintError
from studio.engine.inputs import Inputs
from studio.engine.plan import Plan
from studio.engine.stepping import AfterStep
from studio.models.card import ModelCard
from studio.request import ImageRequest


class Family(Protocol):
    pipeline: Any

    def condition(self, request: ImageRequest, between: Callable[[], None]) -> dict[str, Any]:
        """Pipeline arguments that follow from the prompts; computed once per job."""

    def begin(self, start: Image.Image, free: Image.Image | None) -> dict[str, torch.Tensor]:
        """A start image as latents, and where they may change; computed once per job."""

    def arguments(self, request: ImageRequest) -> dict[str, Any]:
        """All other pipeline arguments, but the generator."""

    def paint(
        self, arguments: dict[str, Any], inputs: Inputs, request: ImageRequest, tell: AfterStep
    ) -> torch.Tensor:
        """The finished latents, from all arguments together; `tell` hears of each step."""

    def decode(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor:
        """Pixels from -1 to 1 of finished latents."""

    def sketch(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor | None:
        """Small pixels from -1 to 1 of unfinished latents, in milliseconds; None if that would
        take longer."""


# The last are parts that another model has in memory, and that this one has byte for byte too.
Load = Callable[[Path, ModelCard, Mapping[str, Path], Plan, Mapping[str, Any]], Family]
# By the name that cards say; a module is imported when the first model of its kind is loaded.
FAMILIES = {
    "sdxl": "Sdxl",
    "flux": "Flux",
    "flux2": "Flux2",
    "chroma": "Chroma",
    "qwen": "Qwen",
    "zimage": "ZImage",
    "pixart": "PixArt",
    "sana": "Sana",
    "hunyuan": "Hunyuan",
    "lumina": "Lumina",
    "sd3": "Sd3",
    "cascade": "Cascade",
}


def find_family(card: ModelCard) -> Load:
    if card.family not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise PaintError(
            "model_invalid",
            f"model: {card.title} is of the family {card.family!r}; this version paints: {known}.",
        )
    module = import_module(f"studio.engine.families.{card.family}")
    kind: Load = getattr(module, FAMILIES[card.family])
    return kind
