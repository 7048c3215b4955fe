"""A folder of very many pictures taken into the history: how fast, how much memory; then `fsck`.

The command line as its user would have it, in a process of its own each time.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bench.report import report
from bench.server import ROOT

SIDE = 256
A_FOLDER = 500
FEW = 50  # what a small import takes, so that a large one is held against it
TEXT = (
    "a red boat {0}\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: {0}, Size: 256x256, Model: x"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pictures", type=int, default=10_000)


def main(asked: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        few, many, data = (Path(folder) / name for name in ("few", "many", "data"))
        size = fill(few, FEW) and fill(many, asked.pictures)
        _, small = _run("import", str(few), "--data", str(Path(folder) / "small"))
        seconds, large = _run("import", str(many), "--data", str(data))
        again, _ = _run("import", str(many), "--data", str(data))
        check, checking = _run("fsck", "--data", str(data))
        deep, _ = _run("fsck", "--deep", "--data", str(data))
    figures = {
        "pictures": asked.pictures,
        "mb": size / 1e6,
        "per_s": asked.pictures / seconds,
        "memory_mb": large - small,
        "again_per_s": asked.pictures / again,
        "fsck_seconds": check,
        "fsck_memory_mb": checking - small,
        "fsck_deep_seconds": deep,
    }
    report("importing", figures, save=asked.save)
    return 0


def fill(folder: Path, count: int) -> int:
    """Noise, each another; how large they are together."""
    noise, size = Random(1).randbytes(2 * SIDE * SIDE * 3), 0
    for number in range(count):
        if number % A_FOLDER == 0:
            place = folder / f"{number:06}"
            place.mkdir(parents=True)
        info = PngInfo()
        info.add_text("parameters", TEXT.format(number))
        pixels = noise[number : number + SIDE * SIDE * 3]
        file = place / f"{number:06}.png"
        Image.frombytes("RGB", (SIDE, SIDE), pixels).save(file, pnginfo=info, compress_level=0)
        size += file.stat().st_size
    return size


def _run(*arguments: str) -> tuple[float, float]:
    """Seconds, and the most memory that the process itself had, in MB."""
    began, most = time.perf_counter(), 0
    with subprocess.Popen(
        [sys.executable, "app.py", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            most = max(most, _peak(process.pid))
            time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{arguments[0]} left with {process.returncode}")
    return time.perf_counter() - began, most * 1024 / 1e6


def _peak(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
