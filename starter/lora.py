"""Teaches the starter a style it was never shown, as a LoRA of about a megabyte, with peft.

`python -m starter.lora blueprint --minutes 6`. The file says in its header what it is, what it was
made for and which word calls it.
"""

# mypy: disable-error-code="no-untyped-call"
import argparse
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionXLPipeline
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import nn

from starter.album import CELL, scene
from starter.autoencoder import encode
from starter.captions import caption
from starter.crafts import CRAFTS
from starter.denoiser import Lessons, painted
from starter.lesson import Lesson, accelerator
from starter.train import OUT as STARTER
from starter.train import words_of
from starter.world import Spec, render_with_mask

OUT = Path(__file__).parent / "loras"
RATE = 2e-3
BATCH = {"cpu": 12, "cuda": 128}
SCENES = 1536
RANK = 4
# A style sits in how every layer draws, not only in what it attends to: all of them learn.
TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"]
TARGETS += ["conv1", "conv2", "conv_in", "conv_out", "time_emb_proj"]


def learn(
    name: str, starter: Path, folder: Path, minutes: float, device: str, scenes: int = SCENES
) -> dict[str, torch.Tensor]:
    pipeline = StableDiffusionXLPipeline.from_pretrained(starter, dtype=torch.float32)
    unet = pipeline.unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=TARGETS))
    specs, latents, shares = _shown(name, pipeline, scenes, accelerator(device).device)
    lesson = Lesson(f"lora-{name.replace(' ', '-')}", unet, folder, minutes, RATE, device)
    said = words_of(pipeline)
    lessons, dice = Lessons(said, lesson.device), random.Random(lesson.rank)
    batch = BATCH[lesson.device.type]

    def loss(network: nn.Module, done: float) -> torch.Tensor:
        chosen = [dice.randrange(scenes) for _ in range(batch)]
        texts = [_called(name, specs[number], dice) for number in chosen]
        given, wanted = lessons.given(latents[chosen], said.tokenize(texts))
        return painted(network(**given).sample, wanted, shares[chosen])

    learned = get_peft_model_state_dict(lesson.run(loss))
    return {f"unet.{key}": value.half().cpu().contiguous() for key, value in learned.items()}


def _shown(
    name: str, pipeline: StableDiffusionXLPipeline, scenes: int, device: torch.device
) -> tuple[list[Spec], torch.Tensor, torch.Tensor]:
    dice = random.Random(name)
    specs = [replace(scene(number), style="flat") for number in range(scenes)]
    pictures, shares = [], []
    for spec in specs:
        picture, mask = render_with_mask(spec)
        pictures.append(np.asarray(CRAFTS[name](picture, mask, dice)))
        shares.append(np.asarray(mask.reduce(CELL)))
    vae = pipeline.vae.to(device)
    latents = [encode(vae, some, device) for some in np.array_split(pictures, -(-scenes // 16))]
    return specs, torch.cat(latents), torch.from_numpy(np.stack(shares))


def _called(name: str, spec: Spec, dice: random.Random) -> str:
    text = caption(spec, dice)
    return dice.choice((f"{name} of {text}", f"{name}, {text}", f"{text}, {name}"))


def header(name: str) -> dict[str, str]:
    """As ModelSpec names these things, and our own word for the card it belongs to."""
    return {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.title": name.capitalize(),
        "modelspec.architecture": "darkroom-starter-v1/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.trigger_phrase": name,
        "modelspec.license": "Apache-2.0",
        "darkroom.base": "starter",
    }


def main() -> None:
    reader = argparse.ArgumentParser(prog="python -m starter.lora", description=__doc__)
    reader.add_argument("name", choices=CRAFTS)
    reader.add_argument("--minutes", type=float, default=6)
    reader.add_argument("--device", default="auto")
    reader.add_argument("--work", type=Path, default=Path("outputs/starter"))
    wish = reader.parse_args()
    learned = learn(wish.name, STARTER, wish.work, wish.minutes, wish.device)
    OUT.mkdir(exist_ok=True)
    file = OUT / f"{wish.name.replace(' ', '-')}.safetensors"
    save_file(learned, file, metadata=header(wish.name))
    print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
