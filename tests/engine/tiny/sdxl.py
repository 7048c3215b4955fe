"""SDXL in small: the test pattern; for Playground with the noise and the latents of EDM."""

# mypy: disable-error-code="no-untyped-call"
from pathlib import Path
from typing import Any

from diffusers import EDMDPMSolverMultistepScheduler, UNet2DConditionModel

from studio.engine import embedded
from tests.engine.tiny.parts import seeded

CARDS = (
    "sdxl",
    "sdxl-lightning",
    "sdxl-refined",
    "sdxl-turbo",
    "realvis-fast",
    "realvis-quality",
    "realvis-v4",
    "juggernaut-xl",
    "animagine-xl",
    "dreamshaper-xl",
    "sdxl-lightning-2",
    "sdxl-lightning-8",
    "playground",
)
ALIKE = CARDS[4:-1]


def build(card: str) -> Any:
    pipeline = embedded.build()
    if card == "playground":
        pipeline.scheduler = EDMDPMSolverMultistepScheduler()
        pipeline.vae.register_to_config(
            scaling_factor=0.5,
            latents_mean=[-1.6, 1.9, -1.4, 2.5],
            latents_std=[8.5, 5.9, 6.5, 5.2],
        )
    return pipeline


def parts(card: str, models: Path) -> dict[str, Any]:
    """The refiner sees the second text encoder alone, and how fine a picture is to be."""
    if card != "sdxl-refined":
        return {}
    config = dict(embedded.build().unet.config) | {
        "cross_attention_dim": embedded.WIDTH,
        "projection_class_embeddings_input_dim": embedded.WIDTH + 5 * 8,
    }
    folder = models / "someones-refiner"
    seeded(UNet2DConditionModel.from_config(config)).save_pretrained(folder / "unet")
    return {
        "refiner": {
            "repo": str(folder),
            "file": "unet/diffusion_pytorch_model.safetensors",
            "config": "unet/config.json",
            "share": 0.2,
        }
    }
