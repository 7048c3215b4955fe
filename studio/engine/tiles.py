"""Pixels out of latents: a picture above the usual size in tiles, where memory is too short for the
whole of it. Found out beforehand, since a CPU that has no more memory ends the worker, and a card
would have all its steps taken again.
"""

from collections.abc import Callable

import torch

from studio.engine.device import spare_gb
from studio.engine.painter import Painter
from studio.models.memory import picture_gb
from studio.request import ImageRequest


def decode(
    painter: Painter,
    latents: torch.Tensor,
    request: ImageRequest,
    spare: Callable[[str], float] = spare_gb,
) -> tuple[torch.Tensor, str]:
    """With a sentence, if it was done in tiles for this picture alone."""
    plan, width, height = painter.plan, request.width or 0, request.height or 0
    vae = getattr(painter.family.pipeline, "vae", None)
    settled = plan.tiling or not plan.tiles or width * height <= painter.card.usual_pixels
    needed = picture_gb(painter.card, plan.vae_dtype, width * height)
    if vae is None or settled or needed <= spare(plan.device):
        return painter.family.decode(latents, request), ""
    vae.enable_tiling()
    try:
        pixels = painter.family.decode(latents, request)
    finally:
        vae.disable_tiling()
    return pixels, f"Memory was too short for {width}x{height} at once, so it was decoded in tiles."
