"""What most families share: a stock pipeline whose words are encoded before it is called.

A family says which pipeline it is, how its prompts are encoded, and where it differs from this.
"""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers.pipelines.flux.pipeline_flux_img2img import retrieve_latents
from diffusers.utils.torch_utils import get_module_execution_device
from PIL import Image
from torch.nn.functional import adaptive_avg_pool2d

from studio.engine.inputs import Inputs
from studio.engine.placing import load
from studio.engine.plan import Plan
from studio.engine.redraw import MARGIN, another_way, begin, redraw, strength
from studio.engine.stepping import AfterStep, run_steps
from studio.formats.prompt import unescaped
from studio.models.card import ModelCard
from studio.request import ImageRequest

SKETCH_SIDE = 16  # latents a side of a sketch that is decoded for real: a card takes 2 ms for it


class Stock:
    kind: ClassVar[Any]
    redraws: ClassVar[Any] = None  # its pipeline for start images, where there is one
    options: ClassVar[dict[str, Any]] = {}  # of from_pretrained

    def __init__(
        self,
        folder: Path,
        card: ModelCard,
        parts: Mapping[str, Path],
        plan: Plan,
        lent: Mapping[str, Any],
        **more: Any,
    ) -> None:
        """`more` are components that the folder knows nothing of."""
        given = {**self.options, **more}
        self.pipeline: Any = load(self.kind, folder, card, parts, plan, lent, **given)
        self.card = card
        self.quick = plan.device != "cpu" and plan.offload == "none"

    def condition(self, request: ImageRequest, between: Callable[[], None]) -> dict[str, Any]:
        """Its words, and where guidance makes them count, those against it."""
        arguments = self.encode(unescaped(request.prompt))
        if "negative" not in self.card.can or (request.guidance or 0) <= 1:
            return arguments
        between()
        against = self.encode(unescaped(request.negative_prompt))
        return arguments | {f"negative_{name}": value for name, value in against.items()}

    def encode(self, text: str) -> dict[str, Any]:
        raise NotImplementedError

    def begin(self, start: Image.Image, free: Image.Image | None) -> dict[str, torch.Tensor]:
        """A start image and its mask as the network sees them."""
        return begin(self.pipeline, self.latents, start, free)

    def paint(
        self, arguments: dict[str, Any], inputs: Inputs, request: ImageRequest, tell: AfterStep
    ) -> torch.Tensor:
        """The finished latents."""
        start, free = arguments.pop("start", None), arguments.pop("free", None)
        if start is None:
            return run_steps(self.pipeline, arguments, tell)
        # A little less: from how much is left to be done diffusers counts upwards.
        arguments["strength"] = strength(request, -MARGIN)
        way = another_way(self.pipeline, self.redraws)
        return redraw(way, arguments, start, free, tell, self.packed)

    def arguments(self, request: ImageRequest) -> dict[str, Any]:
        return {
            "width": request.width,
            "height": request.height,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
        }

    def decode(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor:
        pixels = self.pixels(self.unpacked(latents, request))
        self.pipeline.maybe_free_model_hooks()  # where parts take turns, the next needs the room
        return pixels

    def sketch(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor | None:
        """What is left of the noise is less in the mean of several latents."""
        if not self.quick:
            return None
        latents = self.unfinished(latents, request)
        shrink = min(1.0, SKETCH_SIDE / max(latents.shape[-2:]))
        height, width = (max(1, round(side * shrink)) for side in latents.shape[-2:])
        return self.pixels(adaptive_avg_pool2d(latents, (height, width)))

    def unpacked(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor:
        """Finished latents as n x channels x height x width."""
        return latents

    def packed(self, latents: torch.Tensor) -> torch.Tensor:
        """The way back."""
        return latents

    def unfinished(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor:
        """The same of those that are still on their way."""
        return self.unpacked(latents, request)

    @torch.no_grad()
    def pixels(self, latents: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        shift = vae.config.get("shift_factor") or 0.0
        latents = latents.to(get_module_execution_device(vae), vae.dtype)
        latents = latents / vae.config.scaling_factor + shift
        pixels: torch.Tensor = vae.decode(latents, return_dict=False)[0]
        return pixels

    @torch.no_grad()
    def latents(self, pixels: torch.Tensor) -> torch.Tensor:
        """Of pixels, and as the VAE means them: no dice are thrown."""
        vae = self.pipeline.vae
        pixels = pixels.to(get_module_execution_device(vae), vae.dtype)
        latents: torch.Tensor = retrieve_latents(vae.encode(pixels), sample_mode="argmax")
        shift = vae.config.get("shift_factor") or 0.0
        latents = (latents - shift) * vae.config.scaling_factor
        return latents
