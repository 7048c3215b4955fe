"""Full-size models with random weights on a card: what they take, how near they are to its limit.

First a whole SDXL through the engine, in turns with a plain loop of diffusers; then one step of
each denoiser: its arithmetic over what this card does in a large matrix product, by each kernel of
attention; then what painting side by side and compiling by region gain. Each part is by itself: one
that fails or takes too long costs no other, and all figures are kept after each.
`--tiny` runs all of it in small, on any machine, to see that it runs.
"""

import argparse
import gc
import io
import signal
import statistics
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image
from torch.nn.attention import sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench import architectures
from bench.architectures import Denoiser, denoisers
from bench.report import keep, report
from studio.engine.attention import TORCH
from studio.engine.failures import is_poisoned
from studio.engine.paint import paint, paint_together
from studio.engine.residents import Residents
from studio.messages import Paint, Painted
from studio.request import read_request
from studio.settings import ROOT
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog

GB = 2**30
PROMPT = "a red boat"
Figures = dict[str, float]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tiny", action="store_true", help="in small, to see that it runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=9, help="all of it ends within so long")
    parser.add_argument("--only", default="", help="parts whose name has this in it")
    parser.add_argument("--into", type=Path, help="a folder that has the figures after each part")


def main(asked: argparse.Namespace) -> int:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not asked.tiny:
        print("bench gpu: there is no CUDA card here. With --tiny it runs on the CPU, in small.")
        return 2
    visit = Visit(device, time.monotonic() + 60 * asked.minutes, asked.into)
    with tempfile.TemporaryDirectory() as folder:
        for name, seconds, work in _parts(visit, Path(folder), asked):
            if asked.only in name:
                visit.measure(name, 1 if asked.tiny else seconds, work)
    report("gpu", visit.figures, save=asked.save)
    for name, why in visit.lost.items():
        print(f"bench gpu: {name} is missing: {why}")
    return 1 if visit.lost else 0


@dataclass(slots=True)
class Visit:
    """What was measured on this card, what was not, and the time that is left for it."""

    device: str
    until: float
    into: Path | None
    figures: Figures = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    ended: bool = False

    def measure(self, name: str, seconds: float, work: Callable[[], Figures]) -> None:
        """It should take so long; it may take twice that, as far as there is time."""
        left = self.until - time.monotonic()
        if self.ended or left < seconds:
            self.lost[name] = "the card no longer answers" if self.ended else "no time was left"
            return
        print(f"bench gpu: {name}; {left:.0f} s left", flush=True)
        began = time.monotonic()
        try:
            with _at_most(min(left, max(120, 2 * seconds))):
                self.figures |= {f"{name}, {what}": round(it, 4) for what, it in work().items()}
        except Exception as error:  # noqa: BLE001 - the card is lent, and the others want their turn
            traceback.print_exc()
            self.lost[name] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            self.ended = is_poisoned(error)
        self.figures[f"{name}, took_s"] = round(time.monotonic() - began, 1)
        if not self.ended:
            _forget(self.device)
        if self.into:
            keep("gpu", self.figures, self.into)


Part = tuple[str, float, Callable[[], Figures]]


def _parts(visit: Visit, models: Path, asked: argparse.Namespace) -> Iterator[Part]:
    """The first are worth most; with the seconds that each should take on a large card."""
    device, tiny, rounds = visit.device, asked.tiny, asked.rounds
    kinds = denoisers(tiny)
    yield "matrix", 5, lambda: {"tflops": matrix_rate(device, 512 if tiny else 8192)}

    def rate() -> float:
        return visit.figures.get("matrix, tflops", 1.0)

    whole = Whole(models, tiny, device)
    yield "sdxl, made", 60, whole.make
    many, few = whole.wishes()
    yield "sdxl, 30 steps", 60, lambda: whole.turns(many, rounds)
    yield "sdxl, 4 steps", 15, lambda: whole.turns(few, rounds)
    whole.rest()
    for name, denoiser in kinds.items():
        yield name, 25, partial(step, denoiser, device, rounds, rate)
    for side in (512, 1024)[: 1 if tiny else 2]:
        for steps, wish in ((30, many), (4, few)):
            work = partial(whole.gain, wish, side)
            yield f"sdxl, {steps} steps, {side}", 5 + steps * side / 1024, work
    whole.close()
    for name, denoiser in kinds.items():
        yield f"{name}, compiled", 60, partial(compiled, denoiser, device, rounds)


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Where there is such a clock."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def late(*_: object) -> None:
        raise TimeoutError(f"it took more than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Easel:
    """The engine in this process, with an SDXL of random weights."""

    def __init__(self, models: Path, side: int, device: str) -> None:
        self._catalog: Catalog = load_catalog(ROOT / "presets")
        self._folder, self._side = models / "sdxl", side
        self._residents = Residents(device, models, "auto")

    def _message(self, number: int, wish: Figures) -> Paint:
        sides = {"width": self._side, "height": self._side}
        fields = {"model": "sdxl", "prompt": PROMPT, "seed": number, **sides, **wish}
        settled = self._catalog.settle(read_request(fields))
        return Paint(
            job=f"job{number}",
            token=1,
            request=settled.request.model_dump(mode="json"),
            card=settled.card.model_dump(mode="json"),
            folder=str(self._folder),
        )

    def paint(self, wish: Figures) -> Painted:
        return paint(self._message(1, wish), self._residents, False, lambda word: None)

    def four(self, wish: Figures) -> None:
        jobs = [replace(self._message(number, wish), at_once=4) for number in range(4)]
        paint_together(jobs, self._residents, False, lambda word: None, lambda end: None)


class Plain:
    """The loop that a person would write."""

    def __init__(self, models: Path, side: int, device: str) -> None:
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        self._pipeline: Any = StableDiffusionXLPipeline.from_pretrained(
            models / "sdxl", dtype=dtype
        ).to(device)
        self._pipeline.set_progress_bar_config(disable=True)
        self._side = side

    def paint(self, wish: Figures) -> None:
        picture: Image.Image = self._pipeline(
            PROMPT,
            num_inference_steps=int(wish["steps"]),
            guidance_scale=wish["guidance"],
            width=self._side,
            height=self._side,
            generator=torch.Generator("cpu").manual_seed(1),
        ).images[0]
        picture.save(io.BytesIO(), "PNG")


class Whole:
    """SDXL from a folder, by the engine and by the loop that a person would write."""

    def __init__(self, models: Path, tiny: bool, device: str) -> None:
        self._models, self._tiny, self._device = models, tiny, device
        self._side = 512 if tiny else 1024
        self._easel: Easel | None = None
        self._plain: Plain | None = None

    def wishes(self) -> tuple[Figures, Figures]:
        many, few = (2, 1) if self._tiny else (30, 4)
        return {"steps": many, "guidance": 5.0}, {"steps": few, "guidance": 1.0}

    def make(self) -> Figures:
        """What it takes to load and at rest, and at most while it paints."""
        architectures.sdxl(self._models / "sdxl", self._tiny, self._device)
        _forget(self._device)
        easel, (many, few) = Easel(self._models, self._side, self._device), self.wishes()
        began = time.perf_counter()
        figures = {"load_s": easel.paint(few).timings["load"]}
        figures["first_picture_s"] = time.perf_counter() - began
        _forget(self._device)
        figures["rest_gb"] = _taken(self._device)
        _rest_peak(self._device)
        easel.paint(many)
        figures["peak_gb"] = _peak(self._device)
        self._easel = easel
        return figures

    @property
    def easel(self) -> "Easel":
        if self._easel is None:
            raise RuntimeError("it could not be made")
        return self._easel

    def turns(self, wish: Figures, rounds: int) -> Figures:
        """The engine and the loop, each in its turn. Both end with a file: nothing is pending."""
        easel = self.easel
        self._plain = self._plain or Plain(self._models, self._side, self._device)
        ours, theirs = [], []
        for _ in range(rounds + 1):  # the first round warms
            ours.append(easel.paint(wish).timings)
            began = time.perf_counter()
            self._plain.paint(wish)
            theirs.append(time.perf_counter() - began)
        parts = ("total", "encode", "steps", "decode", "save")
        told = {f"{part}_s": statistics.median(each[part] for each in ours[1:]) for part in parts}
        plain_s = statistics.median(theirs[1:])
        return told | {"plain_s": plain_s, "plain_over_studio": plain_s / told["total_s"]}

    def gain(self, wish: Figures, side: int) -> Figures:
        """Of four pictures in one pass, over one after another."""
        easel, wish = self.easel, wish | {"width": side, "height": side}
        easel.four(wish)
        alone = _seconds(lambda: easel.paint(wish), self._device)
        together = _seconds(lambda: easel.four(wish), self._device)
        return {"four_together_gain": 4 * alone / together}

    def rest(self) -> None:
        self._plain = None
        _forget(self._device)

    def close(self) -> None:
        self._easel = self._plain = None
        _forget(self._device)


def step(denoiser: Denoiser, device: str, rounds: int, rate: Callable[[], float]) -> Figures:
    """One step, by torch's choice of attention and by each kernel; `rate` is the card's best, in
    TFLOP/s. What a kernel cannot compute has no figure."""
    held = _taken(device)
    network, given = _built(denoiser, device)
    figures: Figures = {"gb": _taken(device) - held}
    with FlopCounterMode(display=False) as counted, torch.inference_mode():
        answer = network(**given, return_dict=False)[0]
    if not torch.isfinite(answer).all():
        raise ArithmeticError("its numbers are none")
    tera = counted.get_total_flops() / 1e12
    _rest_peak(device)

    def once() -> Any:
        return network(**given, return_dict=False)

    seconds = _median(once, device, rounds)
    figures |= {"tflop": tera, "step_s": seconds, "of_matrix_rate": tera / seconds / rate()}
    figures["peak_gb"] = _peak(device) - held
    for kernel in ("flash", "cudnn", "efficient"):
        try:
            with sdpa_kernel(TORCH[kernel]):
                figures[f"{kernel}_s"] = _median(once, device, rounds)
        except RuntimeError as error:
            if is_poisoned(error):
                raise
            print(f"bench gpu: {kernel}: {(str(error).splitlines() or [''])[0]}")
    if denoiser.channels_last:
        network.to(memory_format=torch.contiguous_format)
        figures["channels_last_gain"] = _median(once, device, rounds) / seconds
    return figures


def compiled(denoiser: Denoiser, device: str, rounds: int) -> Figures:
    """Its repeated blocks, as the engine does it where that is asked for."""
    network, given = _built(denoiser, device)

    def once() -> Any:
        return network(**given, return_dict=False)

    seconds, began = _median(once, device, rounds), time.perf_counter()
    try:
        network.compile_repeated_blocks(fullgraph=True)
        _median(once, device, 1)
        took = time.perf_counter() - began
        return {"compile_s": took, "gain": seconds / _median(once, device, rounds)}
    finally:
        torch.compiler.reset()


def _built(denoiser: Denoiser, device: str) -> tuple[Any, dict[str, Any]]:
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    with architectures.on(device, dtype):
        network: Any = denoiser.build().eval().requires_grad_(False)
        given = denoiser.given(device)
    if denoiser.channels_last:
        network.to(memory_format=torch.channels_last)
    return network, given


def matrix_rate(device: str, side: int) -> float:
    """TFLOP/s of a large product of random matrices."""
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    seconds = _median(lambda: one @ other, device, 10)
    return 2 * side**3 / seconds / 1e12


@torch.inference_mode()
def _median(work: Callable[[], Any], device: str, rounds: int) -> float:
    for _ in range(2):
        work()
    return statistics.median(_seconds(work, device) for _ in range(max(3, rounds)))


def _seconds(work: Callable[[], Any], device: str) -> float:
    _wait(device)
    began = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _taken(device: str) -> float:
    return torch.cuda.memory_allocated() / GB if device == "cuda" else 0.0


def _peak(device: str) -> float:
    return torch.cuda.max_memory_allocated() / GB if device == "cuda" else 0.0


def _rest_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def _forget(device: str) -> None:
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
