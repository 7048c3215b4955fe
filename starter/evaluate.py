"""How well the starter paints what it is told: `python -m starter.evaluate --n 500`.

Prompts name combinations it was never shown; the studio's own engine paints them at the card's own
settings; the examiner reads the pictures. The last line is JSON, as in every bench.
"""

import argparse
import io
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image

from bench.report import report
from starter import examiner
from starter.captions import caption
from starter.examiner import READS, Examiner
from starter.world import Spec, held_out, random_spec, render
from studio.engine.paint import paint
from studio.engine.residents import Residents
from studio.messages import Paint
from studio.models.loras import find_loras, lora_files
from studio.models.upscalers import find_upscalers, upscaler_of
from studio.models.weights import find_weights
from studio.request import read_request
from studio.settings import ROOT
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog

MODELS = ROOT / "outputs" / "models"
TOGETHER = "all_five"
Reading = Mapping[str, str]


class Easel:
    """Paints wishes with the engine itself, in this process."""

    def __init__(self, device: str = "auto", presets: Path = ROOT / "presets") -> None:
        self._catalog: Catalog = load_catalog(presets)
        self._residents = Residents(device, MODELS, "auto")

    def paint(self, **wish: object) -> Image.Image:
        known = find_upscalers(self._catalog.upscalers, MODELS)
        whole = read_request({"model": "starter", **wish})
        settled = self._catalog.settle(whole, find_loras(MODELS), upscalers=known)
        request = settled.request
        asked = request.model_dump(mode="json")
        message = Paint(
            job="starter",
            token=0,
            request=asked,
            card=settled.card.model_dump(mode="json"),
            folder=find_weights(settled.card, MODELS),
            upscaler=upscaler_of(asked, self._catalog.upscalers, MODELS),
            loras=lora_files([use.name for use in request.loras], MODELS),
        )
        painted = paint(message, self._residents, previews=False, tell=lambda said: None)
        return Image.open(io.BytesIO(painted.pictures[0].data)).convert("RGB")


def exam(count: int) -> Iterator[tuple[Spec, str]]:
    """Scenes that were held out, each with words that name all that will be read."""
    dice = random.Random("exam paper")
    while count:
        spec = random_spec(dice)
        if held_out(spec) and not spec.relation:
            count -= 1
            yield spec, caption(spec, dice, whole=True)


def truth(spec: Spec) -> Reading:
    item = spec.items[0]
    return {
        "thing": item.thing,
        "colour": item.colour,
        "place": spec.place,
        "position": item.position,
        "style": spec.style,
    }


def marks(specs: Sequence[Spec], read: Iterable[Reading]) -> dict[str, list[bool]]:
    """For each trait, and for all together, whether each picture shows what it should."""
    found: dict[str, list[bool]] = {name: [] for name in (*READS, TOGETHER)}
    for spec, reading in zip(specs, read, strict=True):
        right = {name: reading[name] == truth(spec)[name] for name in READS}
        for name in READS:
            found[name].append(right[name])
        found[TOGETHER].append(all(right.values()))
    return found


def interval(right: Sequence[bool]) -> tuple[float, float]:
    """Wilson's, for 95 in 100."""
    n, z = len(right), 1.96
    share = sum(right) / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def by_luck(specs: Sequence[Spec]) -> dict[str, float]:
    """The best that one constant answer could do on these prompts."""
    usual = {
        name: Counter(truth(spec)[name] for spec in specs).most_common(1)[0][1] / len(specs)
        for name in READS
    }
    return usual | {TOGETHER: math.prod(usual.values())}


def evaluate(
    count: int, judge: Examiner, draw: Callable[[str, int], Image.Image]
) -> dict[str, float]:
    paper = list(exam(count))
    specs = [spec for spec, _ in paper]
    start = time.monotonic()
    pictures = [draw(words, number) for number, (_, words) in enumerate(paper)]
    seconds = (time.monotonic() - start) / count
    read = judge.read(pictures)
    painted = marks(specs, read)
    ceiling = marks(specs, judge.read([render(spec) for spec in specs]))
    luck = by_luck(specs)
    print(f"{'':>10} {'right':>7} {'95 %':>15} {'ceiling':>8} {'by luck':>8}")
    for name, right in painted.items():
        low, high = interval(right)
        print(
            f"{name:>10} {_share(right):7.3f} {low:7.3f}–{high:.3f}  {_share(ceiling[name]):8.3f} "
            f"{luck[name]:8.3f}"
        )
    _print_confusions(specs, read)
    return (
        {name: round(_share(right), 4) for name, right in painted.items()}
        | {f"ceiling_{name}": round(_share(right), 4) for name, right in ceiling.items()}
        | {f"low_{name}": round(interval(right)[0], 4) for name, right in painted.items()}
        | {f"high_{name}": round(interval(right)[1], 4) for name, right in painted.items()}
        | {"n": count, "seconds_a_picture": round(seconds, 3)}
    )


def _share(right: Sequence[bool]) -> float:
    return sum(right) / len(right)


def _print_confusions(specs: Sequence[Spec], read: Sequence[Reading]) -> None:
    for name in READS:
        wrong = Counter(
            (truth(spec)[name], reading[name])
            for spec, reading in zip(specs, read, strict=True)
            if truth(spec)[name] != reading[name]
        )
        told = ", ".join(f"{asked} → {seen} {n}" for (asked, seen), n in wrong.most_common(6))
        print(f"{name}: {told or 'nothing wrong'}")


def main() -> None:
    reader = argparse.ArgumentParser(prog="python -m starter.evaluate", description=__doc__)
    reader.add_argument("--n", type=int, default=500)
    reader.add_argument("--device", default="auto")
    reader.add_argument("--save", action="store_true", help="keep the figures in bench/results")
    wish = reader.parse_args()
    easel = Easel(wish.device)
    figures = evaluate(
        wish.n, examiner.load(), lambda words, seed: easel.paint(prompt=words, seed=seed)
    )
    report("starter", figures, save=wish.save)


if __name__ == "__main__":
    main()
