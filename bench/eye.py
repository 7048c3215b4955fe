"""What separates two pictures that look the same from two that do not, with the starter's own.

Pictures in fp32, and each again: in bf16, beside others, as JPEG and WebP, by another sampler, with
one step more, with another seed. Each is measured as a rerun is. What looks the same must stay
below `NOTICED`, and what does not must lie above it.
"""

import argparse
import io
from collections.abc import Callable
from statistics import median

import torch
from PIL import Image

from bench.report import report
from studio.engine.paint import paint, paint_together
from studio.engine.residents import Residents
from studio.formats.compare import NOTICED, Distance, distance
from studio.messages import Paint, Painted
from studio.models.weights import find_weights
from studio.request import read_request
from studio.settings import Settings
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog

SIZE = {"width": 256, "height": 256, "upscale": 1}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pictures", type=int, default=8)


def main(asked: argparse.Namespace) -> int:
    torch.set_num_threads(1)
    settings = Settings()
    catalog = load_catalog(settings.presets, "starter")
    residents = {name: Residents("cpu", settings.model_folder, name) for name in ("fp32", "bf16")}
    prompts = [
        catalog.default.examples[n % len(catalog.default.examples)] for n in range(asked.pictures)
    ]

    def painted(number: int, where: str = "fp32", **more: object) -> bytes:
        message = _message(catalog, settings, prompts[number], **{"seed": number} | more)
        return paint(message, residents[where], False, lambda word: None).pictures[0].data

    def beside(seed: int) -> bytes:
        four = [_message(catalog, settings, prompts[seed], seed=seed + n) for n in range(4)]
        ends: list[Painted] = []
        paint_together(four, residents["fp32"], False, lambda word: None, ends.append)  # type: ignore[arg-type]
        return ends[0].pictures[0].data

    other = next(one.name for one in catalog.default.samplers[1:])
    ways: dict[str, Callable[[int], bytes]] = {
        "beside others": beside,
        "bf16": lambda seed: painted(seed, "bf16"),
        "WebP 95": lambda seed: painted(seed, output_format="webp"),
        "JPEG 95": lambda seed: painted(seed, output_format="jpeg"),
        "JPEG 75": lambda seed: _jpeg(first[seed], 75),
        "JPEG 30": lambda seed: _jpeg(first[seed], 30),
        "one step more": lambda seed: painted(seed, steps=catalog.default.steps + 1),
        "another sampler": lambda seed: painted(seed, sampler=other),
        "another seed": lambda seed: painted(seed, seed=seed + 1000),
    }
    figures, first = {"noticed from": NOTICED}, [painted(n) for n in range(asked.pictures)]
    for way, again in ways.items():
        found = [_apart(one, again(number)) for number, one in enumerate(first)]
        seen = [far.seen for far in found]
        figures |= {
            f"{way}: seen, least": min(seen),
            f"{way}: seen, median": median(seen),
            f"{way}: seen, most": max(seen),
            f"{way}: levels, most": max(far.most for far in found),
            f"{way}: levels, mean": round(median(far.mean for far in found), 3),
        }
    report("eye", figures, save=asked.save)
    return 0


def _message(catalog: Catalog, settings: Settings, prompt: str, **more: object) -> Paint:
    settled = catalog.settle(read_request({"prompt": prompt, **SIZE, **more}))
    card = settled.card
    return Paint(
        job=f"job{settled.request.seed}",
        token=1,
        request=settled.request.model_dump(mode="json"),
        card=card.model_dump(mode="json"),
        folder=find_weights(card, settings.model_folder),
        at_once=4,
    )


def _jpeg(png: bytes, quality: int) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(file, "JPEG", quality=quality)
    return file.getvalue()


def _apart(one: bytes, other: bytes) -> Distance:
    found = distance(one, other)
    assert found
    return found
