"""Full-size models with random weights on a card: what they take, how near they are to its limit.

First a whole SDXL through the engine, in turns with a plain loop of diffusers. Then one step of
each denoiser: its arithmetic over what this card does in a large matrix product, as it is and
compiled by region. `--tiny` runs all of it in small, on any machine, to see that it runs.
"""

import argparse
import gc
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from bench import architectures
from bench.architectures import Denoiser, denoisers
from bench.report import report
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
    parser.add_argument("--minutes", type=float, default=10, help="no new part after so long")


def main(asked: argparse.Namespace) -> int:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not asked.tiny:
        print("bench gpu: there is no CUDA card here. With --tiny it runs on the CPU, in small.")
        return 2
    until = time.monotonic() + 60 * asked.minutes
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        figures |= whole(Path(folder), asked.tiny, device, asked.rounds)
        _forget(device)
    figures["matrix_tflops"] = round(matrix_rate(device, 512 if asked.tiny else 8192), 3)
    for name, denoiser in denoisers(asked.tiny).items():
        if time.monotonic() > until:
            print(f"{name}: no time left for it")
            continue
        told = step(denoiser, device, asked.rounds, figures["matrix_tflops"])
        figures |= {f"{name}: {what}": value for what, value in told.items()}
        _forget(device)
    report("gpu", figures, save=asked.save)
    return 0


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


def whole(models: Path, tiny: bool, device: str, rounds: int) -> Figures:
    """SDXL: load, memory, seconds a picture beside a plain loop, four pictures in one pass."""
    side = 512 if tiny else 1024
    architectures.sdxl(models / "sdxl", tiny, device)
    _forget(device)
    easel = Easel(models, side, device)
    many, few = ({"steps": steps, "guidance": 5.0} for steps in ((2, 1) if tiny else (30, 4)))
    few["guidance"] = 1.0
    began = time.perf_counter()
    load = easel.paint(few).timings["load"]
    figures = {"load_s": load, "first_picture_s": time.perf_counter() - began}
    _forget(device)
    figures["rest_gb"] = _taken(device)
    plain = Plain(models, side, device)
    for name, wish in (("30 steps", many), ("4 steps", few)):
        figures |= {f"{name}: {told}": v for told, v in _turns(easel, plain, wish, rounds).items()}
    del plain
    _forget(device)
    _rest_peak(device)
    easel.paint(many)
    figures["peak_gb"] = _peak(device)
    for name, wish in (("30 steps", many), ("4 steps", few)):
        for smaller in (512, 1024)[: 1 if tiny else 2]:
            gain = _gain(easel, wish | {"width": smaller, "height": smaller}, device)
            figures[f"{name}, {smaller}: four_together_gain"] = gain
    return {f"sdxl, {name}": round(value, 4) for name, value in figures.items()}


def _turns(easel: Easel, plain: Plain, wish: Figures, rounds: int) -> Figures:
    """The engine and the loop, each in its turn. Both end with a file, so nothing is pending."""
    ours, theirs = [], []
    for _ in range(rounds + 1):  # the first round warms
        ours.append(easel.paint(wish).timings)
        began = time.perf_counter()
        plain.paint(wish)
        theirs.append(time.perf_counter() - began)
    parts = ("total", "encode", "steps", "decode", "save")
    told = {f"{part}_s": statistics.median(each[part] for each in ours[1:]) for part in parts}
    plain_s = statistics.median(theirs[1:])
    return told | {"plain_s": plain_s, "plain_over_studio": plain_s / told["total_s"]}


def _gain(easel: Easel, wish: Figures, device: str) -> float:
    easel.four(wish)
    alone = _seconds(lambda: easel.paint(wish), device)
    return 4 * alone / _seconds(lambda: easel.four(wish), device)


def step(denoiser: Denoiser, device: str, rounds: int, rate: float) -> Figures:
    """One step: alone, and compiled. `rate` is what the card does at best, in TFLOP/s."""
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    with architectures.on(device, dtype):
        network = denoiser.build().eval().requires_grad_(False)
        given = denoiser.given(device)
    if denoiser.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    figures: Figures = {"gb": _taken(device)}
    with FlopCounterMode(display=False) as counted, torch.inference_mode():
        answer = network(**given, return_dict=False)[0]
    assert torch.isfinite(answer).all()
    tera = counted.get_total_flops() / 1e12
    _rest_peak(device)
    seconds = _median(lambda: network(**given, return_dict=False), device, rounds)
    figures |= {"tflop": tera, "step_s": seconds, "of_matrix_rate": tera / seconds / rate}
    figures["peak_gb"] = _peak(device)
    began = time.perf_counter()
    network.compile_repeated_blocks(fullgraph=True)  # type: ignore[operator]
    _median(lambda: network(**given, return_dict=False), device, 1)
    figures["compile_s"] = time.perf_counter() - began
    compiled = _median(lambda: network(**given, return_dict=False), device, rounds)
    figures |= {"compiled_gain": seconds / compiled, "compiled_of_rate": tera / compiled / rate}
    torch.compiler.reset()
    return {name: round(value, 4) for name, value in figures.items()}


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
