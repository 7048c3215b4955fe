"""What the studio adds to a picture: a job through the server against a direct pipeline call.

Same weights, seed, steps, dtype and threads. The two take turns, picture by picture, on an
otherwise idle machine, in an order drawn anew each round. The direct call includes encoding the
PNG as the studio does. `outside_worker` is what the answer took beyond the worker's own clock.
"""

import argparse
import io
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import torch
from diffusers import StableDiffusionXLPipeline
from gradio_client import Client
from PIL import Image

from bench.report import report
from bench.server import running
from studio.engine.png import write_png
from studio.formats.metadata import RECIPE

REST_SECONDS = 0.4  # OpenMP's threads spin on for a while after each picture
PROMPT = "a red lighthouse on an island at sunset, soft light, calm sea"
MODEL = "test-pattern"  # small steps: what is added shows


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pictures", type=int, default=30)


def main(asked: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as url:
        figures = measure(url, Path(folder), asked.pictures)
    report("overhead", figures, save=asked.save)
    return 0


def measure(url: str, data: Path, pictures: int) -> dict[str, float]:
    client, gradio = httpx.Client(base_url=url, timeout=60), Client(url, verbose=False)
    first = _ask(client, 0)
    kept = client.get(first["image_url"]).content
    pipe, dtype = _same_pipeline(data, kept)
    ways: dict[str, Callable[[int], object]] = {
        "direct": lambda seed: _paint(pipe, seed),
        "served": lambda seed: _ask(client, seed),
        "gradio": lambda seed: gradio.predict(
            PROMPT, seed=seed, randomize_seed=False, model=MODEL, api_name="/generate"
        ),
    }
    taken: dict[str, list[float]] = {way: [] for way in ways}
    outside: list[float] = []
    for seed in range(pictures + 3):
        for way in random.Random(seed).sample(list(ways), len(ways)):  # nobody always goes first
            seconds, answer = _timed(ways[way], seed)
            taken[way].append(seconds)
            if way == "served":
                outside.append((seconds - answer["generation_time"]) * 1000)  # type: ignore[index]
    direct, served, through_gradio = (taken[way][3:] for way in ways)
    added = [(a - b) * 1000 for a, b in zip(served, direct, strict=True)]
    added_gradio = [(a - b) * 1000 for a, b in zip(through_gradio, direct, strict=True)]
    return {
        "pictures": pictures,
        "direct_p50_ms": round(statistics.median(direct) * 1000, 1),
        "served_p50_ms": round(statistics.median(served) * 1000, 1),
        "added_p50_ms": round(statistics.median(added), 1),
        "added_p90_ms": round(statistics.quantiles(added, n=10)[-1], 1),
        "outside_worker_p50_ms": round(statistics.median(outside[3:]), 1),
        "added_gradio_client_p50_ms": round(statistics.median(added_gradio), 1),
        "bits_of_dtype": torch.finfo(dtype).bits,
    }


def _ask(client: httpx.Client, seed: int) -> dict[str, object]:
    answer = client.post("/api/generate", json={"prompt": PROMPT, "model": MODEL, "seed": seed})
    answer.raise_for_status()
    body: dict[str, object] = answer.json()
    return body


def _same_pipeline(data: Path, kept: bytes) -> tuple[StableDiffusionXLPipeline, torch.dtype]:
    """The pipeline as anybody would load it, with the dtype and threads that the studio used."""
    recipe = json.loads(Image.open(io.BytesIO(kept)).info[RECIPE])
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[recipe["fingerprint"]["dtype"]]
    torch.set_num_threads(int(recipe["fingerprint"]["threads"]))
    pipe = StableDiffusionXLPipeline.from_pretrained(
        data / "models" / MODEL, torch_dtype=dtype, local_files_only=True
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe, dtype


def _paint(pipe: StableDiffusionXLPipeline, seed: int) -> bytes:
    image = pipe(
        PROMPT,
        width=256,
        height=256,
        num_inference_steps=8,
        guidance_scale=5.0,
        generator=torch.Generator("cpu").manual_seed(seed),
    ).images[0]
    return write_png(image, {})


def _timed(act: Callable[[int], object], seed: int) -> tuple[float, object]:
    time.sleep(REST_SECONDS)
    began = time.perf_counter()
    answer = act(seed)
    return time.perf_counter() - began, answer
