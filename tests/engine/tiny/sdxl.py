"""SDXL in small: the test pattern; for Playground with the noise and the latents of EDM."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

from diffusers import EDMDPMSolverMultistepScheduler

from studio.engine import embedded

CARDS = (
    "sdxl",
    "sdxl-lightning",
    "sdxl-turbo",
    "realvis-fast",
    "realvis-quality",
    "realvis-v4",
    "juggernaut-xl",
    "animagine-xl",
    "dreamshaper-xl",
    "playground",
)
ALIKE = CARDS[3:-1]


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
