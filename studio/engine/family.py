"""What the code for a kind of model must offer, and which kinds there are.

The painter speaks to a model only through this.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from studio.catalog import ModelCard
from studio.engine.failures import PaintError
from studio.engine.families.sdxl import Sdxl
from studio.engine.plan import Plan
from studio.request import ImageRequest


class Family(Protocol):
    pipeline: Any

    def condition(self, request: ImageRequest, between: Callable[[], None]) -> dict[str, Any]:
        """Pipeline arguments that follow from the prompts; computed once per job."""

    def arguments(self, request: ImageRequest) -> dict[str, Any]:
        """All other pipeline arguments, but the generator."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Pixels from -1 to 1 of finished latents."""

    def sketch(self, latents: torch.Tensor) -> torch.Tensor:
        """Small pixels from -1 to 1 of unfinished latents, in milliseconds."""


Load = Callable[[Path, ModelCard, Mapping[str, Path], Plan], Family]
FAMILIES: dict[str, Load] = {"sdxl": Sdxl}


def find_family(card: ModelCard) -> Load:
    if card.family not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise PaintError(
            "model_invalid",
            f"model: {card.title} is of the family {card.family!r}; this version paints: {known}.",
        )
    return FAMILIES[card.family]
