"""The examiner: a small network that reads thing, colour, place, position and style off a picture.

It learns from renders of the world alone, never from a generated picture, so that it is a judge
and no accomplice. `python -m starter.examiner --minutes 8` teaches it; its weights are kept here.
"""

# mypy: disable-error-code="no-untyped-call"
import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy, interpolate

from starter.album import Album, exam_scene
from starter.autoencoder import scaled
from starter.lesson import Lesson
from starter.words import TRAITS, traits

FILE = Path(__file__).parent / "examiner.safetensors"
READS = ("thing", "colour", "place", "position", "style")
SIDE = 128
SCENES = 16_384
RATE = 3e-3
BATCH = 64


class Examiner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sees = nn.Sequential(
            _shrink(3, 24), _shrink(24, 48), _Look(48), _shrink(48, 96), _Look(96),
            _shrink(96, 128), _Look(128), nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(0.1),
        )  # fmt: skip
        self.tells = nn.ModuleDict({name: nn.Linear(128 * 16, len(TRAITS[name])) for name in READS})

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        seen = self.sees(pixels)
        return {name: tell(seen) for name, tell in self.tells.items()}

    @torch.no_grad()
    def read(self, pictures: Sequence[Image.Image]) -> list[dict[str, str]]:
        """What each picture shows, in words."""
        answers = self(_seen(pictures))
        return [
            {name: TRAITS[name][int(answers[name][place].argmax())] for name in READS}
            for place in range(len(pictures))
        ]

    @torch.no_grad()
    def believe(self, pictures: Sequence[Image.Image], name: str, value: str) -> float:
        """How sure it is on average, 0 to 1, that this trait has this value."""
        answers = self(_seen(pictures))[name].softmax(1)
        return float(answers[:, TRAITS[name].index(value)].mean())


class _Look(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.inner(x))


def _shrink(of: int, to: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(of, to, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(to), nn.ReLU()
    )


def _seen(pictures: Sequence[Image.Image]) -> torch.Tensor:
    small = (
        picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX) for picture in pictures
    )
    return scaled(np.stack([np.asarray(picture) for picture in small]))


def load(file: Path = FILE) -> Examiner:
    examiner = Examiner()
    weights = {name: value.float() for name, value in load_file(file).items()}
    # A counter that batch norm keeps while it learns, and nobody needs afterwards.
    examiner.load_state_dict(weights, strict=False)
    return examiner.eval()


def learn(album: Album, scenes: int, folder: Path, minutes: float, device: str) -> Examiner:
    shards = list(album.shards(scenes))
    numbers = [number for some, _, _ in shards for number in some]
    pictures = np.concatenate(
        [
            kept.reshape(len(kept), SIDE, 2, SIDE, 2, 3).mean((2, 4)).astype(np.uint8)
            for _, kept, _ in shards
        ]
    )
    names = list(TRAITS)
    truth = torch.tensor([traits(album.scene(number)) for number in numbers])

    def loss(network: nn.Module, done: float) -> torch.Tensor:
        chosen = dice.integers(len(pictures), size=BATCH)
        answers = network(_worn(scaled(pictures[chosen], lesson.device), dice))
        asked = truth[chosen].to(lesson.device)
        return torch.stack(
            [cross_entropy(answers[name], asked[:, names.index(name)]) for name in READS]
        ).sum()

    lesson = Lesson("examiner", Examiner(), folder, minutes, RATE, device)
    dice = np.random.default_rng(lesson.rank)
    return lesson.run(loss)  # type: ignore[return-value]


def _worn(pixels: torch.Tensor, dice: np.random.Generator) -> torch.Tensor:
    """A little noise, blur and light: a generated picture is never as clean as a render."""
    if dice.random() < 0.5:
        less = int(dice.integers(SIDE // 2, SIDE))
        pixels = interpolate(
            interpolate(pixels, size=(less, less), mode="bilinear", antialias=True),
            size=(SIDE, SIDE), mode="bilinear",
        )  # fmt: skip
    light = 1 + 0.1 * (torch.rand(len(pixels), 1, 1, 1, device=pixels.device) - 0.5)
    return pixels * light + torch.randn_like(pixels) * 0.06 * dice.random()


def main() -> None:
    reader = argparse.ArgumentParser(prog="python -m starter.examiner", description=__doc__)
    reader.add_argument("--minutes", type=float, default=8)
    reader.add_argument("--device", default="auto")
    reader.add_argument("--work", type=Path, default=Path("outputs/starter"))
    reader.add_argument("--scenes", type=int, default=SCENES)
    reader.add_argument("--out", type=Path, default=FILE)
    wish = reader.parse_args()
    album = Album(wish.work / "exam", exam_scene)
    album.grow(wish.scenes)
    examiner = learn(album, wish.scenes, wish.work, wish.minutes, wish.device)
    kept = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in examiner.state_dict().items()
    }
    save_file(kept, wish.out)
    print(f"{wish.out}: {wish.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
