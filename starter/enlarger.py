"""Teaches the starter's 2x upscaler: Real-ESRGAN's compact network, on scenes of the world.

`python -m starter.enlarger --minutes 8`. It learns to sharpen what the autoencoder gave back, too:
that is what it will be shown.
"""

# mypy: disable-error-code="no-untyped-call"
import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file
from torch import nn

from starter.album import scene
from starter.autoencoder import decode, encode
from starter.lesson import Lesson, accelerator
from starter.train import OUT as STARTER
from starter.world import SIZE, render
from studio.engine.enlargers import SRVGGNetCompact

OUT = Path(__file__).parent / "upscaler" / "starter-x2.safetensors"
FEATURES, LAYERS = 40, 10
RATE = 1e-3
SCENES = 768
SIDE, BATCH = 64, 12  # of the small picture's crops


def learn(
    vae: AutoencoderTiny, folder: Path, minutes: float, device: str, scenes: int = SCENES
) -> SRVGGNetCompact:
    small, large = _pairs(vae, scenes, accelerator(device).device)

    def loss(network: nn.Module, done: float) -> torch.Tensor:
        given, wanted = [], []
        for _ in range(BATCH):
            pair, y, x = dice.integers(len(small)), *dice.integers(0, SIZE - SIDE, 2)
            given.append(small[pair][y : y + SIDE, x : x + SIDE])
            wanted.append(large[pair // 2][2 * y : 2 * (y + SIDE), 2 * x : 2 * (x + SIDE)])
        enlarged = network(_scaled(given).to(lesson.device)).float()
        error = enlarged - _scaled(wanted).to(lesson.device)
        edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
        return error.abs().mean() + edges

    network = SRVGGNetCompact(num_feat=FEATURES, num_conv=LAYERS, upscale=2)
    lesson = Lesson("upscaler", network, folder, minutes, RATE, device)
    dice = np.random.default_rng(lesson.rank)
    return lesson.run(loss)  # type: ignore[return-value]


def _pairs(
    vae: AutoencoderTiny, scenes: int, device: torch.device
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Each scene twice as large, and two small ones: as it is, and as the autoencoder sees it."""
    vae, small, large = vae.to(device), [], []
    for number in range(scenes):
        picture = render(scene(number), 2 * SIZE)
        clean = np.asarray(picture.reduce(2))
        seen = decode(vae, encode(vae, clean[None], device))[0]
        large.append(np.asarray(picture))
        small += [clean, seen]
    return small, large


def _scaled(pictures: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def main() -> None:
    reader = argparse.ArgumentParser(prog="python -m starter.enlarger", description=__doc__)
    reader.add_argument("--minutes", type=float, default=8)
    reader.add_argument("--device", default="auto")
    reader.add_argument("--work", type=Path, default=Path("outputs/starter"))
    wish = reader.parse_args()
    vae = AutoencoderTiny.from_pretrained(STARTER / "vae", torch_dtype=torch.float32)
    network = learn(vae, wish.work, wish.minutes, wish.device)
    OUT.parent.mkdir(exist_ok=True)
    weights = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(weights, OUT, metadata={"modelspec.title": "Starter x2", "darkroom.base": "starter"})
    print(f"{OUT}: {OUT.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
