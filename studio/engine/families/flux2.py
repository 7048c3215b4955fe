"""FLUX.2 klein: layers of a Qwen3 read the prompt, a transformer paints latents that are packed
and normalised. One that was taught so looks at references in its first step alone and keeps what it
saw; the folder says which it is."""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import Flux2KleinInpaintPipeline, Flux2KleinKVPipeline, Flux2KleinPipeline
from diffusers.pipelines.flux.pipeline_flux_img2img import retrieve_latents
from diffusers.utils.torch_utils import get_module_execution_device
from PIL import Image

from studio.engine.inputs import Inputs
from studio.engine.plan import Plan
from studio.engine.redraw import MARGIN, another_way, greys_of, strength
from studio.engine.stepping import AfterStep, run_steps
from studio.engine.stock import Stock
from studio.models.card import ModelCard
from studio.models.weights import read_index
from studio.request import ImageRequest

PATCH = 16  # pixels a side of one packed latent


class Flux2(Stock):
    kind: ClassVar[Any] = Flux2KleinPipeline

    def __init__(
        self,
        folder: Path,
        card: ModelCard,
        parts: Mapping[str, Path],
        plan: Plan,
        lent: Mapping[str, Any],
    ) -> None:
        self.keeps = (read_index(folder) or {}).get("_class_name") == Flux2KleinKVPipeline.__name__
        if self.keeps:
            self.kind = Flux2KleinKVPipeline  # type: ignore[misc]
        super().__init__(folder, card, parts, plan, lent)

    def arguments(self, request: ImageRequest) -> dict[str, Any]:
        arguments = super().arguments(request)
        if self.keeps:
            del arguments["guidance_scale"]  # which its pipeline does not know
        return arguments

    @torch.no_grad()
    def encode(self, text: str) -> dict[str, Any]:
        words, _ = self.pipeline.encode_prompt(text, max_sequence_length=self.card.tokens)
        return {"prompt_embeds": words}

    def begin(self, start: Image.Image, free: Image.Image | None) -> dict[str, torch.Tensor]:
        """The mask as pixels: its pipeline lays it over the latents itself."""
        begun = super().begin(start, None)
        return begun if free is None else begun | {"free": greys_of(free)}

    def paint(
        self, arguments: dict[str, Any], inputs: Inputs, request: ImageRequest, tell: AfterStep
    ) -> torch.Tensor:
        """References are read beside the words, and so is a start image, which it never repaints
        whole."""
        start, free = arguments.pop("start", None), arguments.pop("free", None)
        references = list(inputs.references)
        if start is None:
            if references:
                self.pipeline.maybe_free_model_hooks()  # of what read the words
                arguments["image"] = references
            return run_steps(self.pipeline, arguments, tell)
        given = arguments | {"image": start, "mask_image": free}
        given["strength"] = strength(request, -MARGIN)
        given["image_reference"] = references or None
        return run_steps(another_way(self.pipeline, Flux2KleinInpaintPipeline), given, tell)

    def unfinished(self, latents: torch.Tensor, request: ImageRequest) -> torch.Tensor:
        """What the pipeline itself does after its last step."""
        assert request.width and request.height  # settled
        shape = (request.height // PATCH, request.width // PATCH)
        latents = latents.transpose(1, 2).unflatten(2, shape)
        vae = self.pipeline.vae
        spread = (vae.bn.running_var + vae.config.batch_norm_eps).sqrt()
        latents = latents * _channels(spread, latents) + _channels(vae.bn.running_mean, latents)
        unpacked: torch.Tensor = self.pipeline._unpatchify_latents(latents)
        return unpacked

    @torch.no_grad()
    def latents(self, pixels: torch.Tensor) -> torch.Tensor:
        """Packed; its pipeline makes them normal."""
        vae = self.pipeline.vae
        pixels = pixels.to(get_module_execution_device(vae), vae.dtype)
        latents = retrieve_latents(vae.encode(pixels), sample_mode="argmax")
        packed: torch.Tensor = self.pipeline._patchify_latents(latents)
        return packed

    @torch.no_grad()
    def pixels(self, latents: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        latents = latents.to(get_module_execution_device(vae), vae.dtype)
        pixels: torch.Tensor = vae.decode(latents, return_dict=False)[0]
        return pixels


def _channels(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.to(like).view(1, -1, 1, 1)
