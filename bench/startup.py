"""From the command to a page that answers, over the imports no such studio can avoid.

The imports run in one process that does nothing else; the two take turns, on warm file caches.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.report import report
from bench.server import free_port, start, wait_for


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5)


def main(asked: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), asked.rounds)
    report("startup", figures, save=asked.save)
    return 0


def measure(data: Path, rounds: int) -> dict[str, float]:
    pages, imports, torch_in_parent = [], [], False
    for _ in range(rounds + 1):  # the first round warms the file caches
        imports.append(_imports())
        seconds, with_torch = _page(data)
        pages.append(seconds)
        torch_in_parent |= with_torch
    page, least = statistics.median(pages[1:]), statistics.median(imports[1:])
    return {
        "rounds": rounds,
        "page_s": round(page, 2),
        "imports_s": round(least, 2),
        "ratio": round(page / least, 3),
        "parent_imports_torch": int(torch_in_parent),
    }


def _imports() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import gradio, diffusers"], check=True, stderr=-3)
    return time.perf_counter() - began


def _page(data: Path) -> tuple[float, bool]:
    port = free_port()
    began = time.perf_counter()
    process = start(data, port)
    try:
        wait_for(f"http://127.0.0.1:{port}/", process)
        seconds = time.perf_counter() - began
        maps = Path(f"/proc/{process.pid}/maps")
        return seconds, maps.exists() and "libtorch" in maps.read_text()
    finally:
        process.terminate()
        process.wait(timeout=60)
