"""From pixels to files: PNG and thumbnail as the studio writes them, against Pillow's own ways.

On pictures that the starter paints now, 512 x 512, and on textures like photographs, 1024 x 1024:
clouds of all sizes, soft as an autoencoder leaves them, and with a grain. `png_speedup` is that of
the latter, at its worst; `png_size_ratio` the worst of all. Each way takes its turn.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image

from bench.report import report
from starter.evaluate import Easel
from studio.engine.encode import encode, thumbnail

PROMPTS = ("a red lighthouse on an island at sunset", "three blue mushrooms in the forest")
GRAIN = 1.0  # levels
SIDE, LARGE = 1024, 4096


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5)


def main(asked: argparse.Namespace) -> int:
    torch.set_num_threads(1)
    report("encode", measure(asked.rounds), save=asked.save)
    return 0


def measure(rounds: int) -> dict[str, float]:
    easel = Easel("cpu")
    painted = [easel.paint(prompt=prompt, seed=7, upscale=2) for prompt in PROMPTS]
    kinds = {
        "starter": painted,
        "soft": [clouds(SIDE, seed, 0.0) for seed in (1, 2)],
        "grain": [clouds(SIDE, seed, GRAIN) for seed in (1, 2)],
    }
    figures: dict[str, float] = {"rounds": rounds, "png_identical": 1}
    for kind, pictures in kinds.items():
        ours, plain = _taken((png, plain_png), pictures, rounds)
        figures[f"{kind}_png_ms"] = round(ours * 1000, 1)
        figures[f"{kind}_png_speedup"] = round(plain / ours, 2)
        sizes = [sum(len(way(one)) for one in pictures) for way in (png, plain_png)]
        figures[f"{kind}_png_size_ratio"] = round(sizes[0] / sizes[1], 3)
        figures["png_identical"] *= all(map(_identical, pictures))
    figures["png_speedup"] = min(figures[f"{kind}_png_speedup"] for kind in ("soft", "grain"))
    figures["png_size_ratio"] = max(figures[f"{kind}_png_size_ratio"] for kind in kinds)
    ours, plain = _taken((thumbnail, plain_thumbnail), kinds["soft"], rounds)
    figures["thumbnail_ms"] = round(ours * 1000, 2)
    figures["thumbnail_speedup"] = round(plain / ours, 2)
    large = [kinds["soft"][0].resize((LARGE, LARGE), Image.Resampling.LANCZOS)]
    ours, plain = _taken((_save, _plain_save), large, 2)
    figures["save_4096_ms"] = round(ours * 1000)
    figures["save_4096_speedup"] = round(plain / ours, 2)
    return figures


def clouds(side: int, seed: int, grain: float) -> Image.Image:
    """Colours whose strength falls with the size of what they show, as in photographs, drawn at
    half the size; `grain` is what a sensor adds, in levels."""
    dice = np.random.default_rng(seed)
    half = side // 2
    across, down = np.fft.rfftfreq(half), np.fft.fftfreq(half)
    strength = np.hypot(down[:, None], across[None, :])
    strength[0, 0] = 1
    layers = []
    for _ in range(3):
        noise = dice.standard_normal((half, half))
        layer = np.fft.irfft2(np.fft.rfft2(noise) / strength**1.3, (half, half))
        layers.append(128 + 50 * (layer - layer.mean()) / layer.std())
    small = Image.fromarray(np.stack(layers, -1).clip(0, 255).astype(np.uint8))
    large = np.asarray(small.resize((side, side), Image.Resampling.LANCZOS)).astype(float)
    large += grain * dice.standard_normal(large.shape)
    return Image.fromarray(large.round().clip(0, 255).astype(np.uint8))


def png(image: Image.Image) -> bytes:
    return encode(image, "png", "a boat", "{}")[0]


def plain_png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def plain_thumbnail(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.resize((320, 320), Image.Resampling.LANCZOS).save(file, "WEBP", quality=80)
    return file.getvalue()


def _save(image: Image.Image) -> bytes:
    return png(image) + thumbnail(image)


def _plain_save(image: Image.Image) -> bytes:
    return plain_png(image) + plain_thumbnail(image)


def _identical(image: Image.Image) -> bool:
    return np.array_equal(np.asarray(Image.open(io.BytesIO(png(image)))), np.asarray(image))


def _taken(
    ways: Sequence[Callable[[Image.Image], bytes]], pictures: Sequence[Image.Image], rounds: int
) -> list[float]:
    """Seconds of a picture by each way, which take turns."""
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds + 1):
        for way, taken in zip(ways, seconds, strict=True):
            began = time.perf_counter()
            for picture in pictures:
                way(picture)
            taken.append((time.perf_counter() - began) / len(pictures))
    return [statistics.median(taken[1:]) for taken in seconds]
