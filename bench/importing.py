"""A folder of very many pictures taken into the history: how fast, how much memory; then `fsck`.

The command line as its user would have it, in a process of its own each time. Then once more into a
studio that paints: what the import takes from the painting and from who looks at the history.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median

import httpx
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bench.report import report
from bench.server import ROOT, running

SIDE = 256
A_FOLDER = 500
PAINTED = 5
WISH = {"prompt": "a red boat on the sea", "model": "starter", "steps": 8}
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
        beside = _beside(many, Path(folder) / "beside")
    figures = {
        "pictures": asked.pictures,
        "mb": size / 1e6,
        "per_s": asked.pictures / seconds,
        "memory_mb": large - small,
        "again_per_s": asked.pictures / again,
        "fsck_seconds": check,
        "fsck_memory_mb": checking - small,
        "fsck_deep_seconds": deep,
        **beside,
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


def _beside(many: Path, data: Path) -> dict[str, float]:
    """Into a studio that paints one picture after another and is looked at all the time."""
    with running(data) as url, httpx.Client(base_url=url, timeout=120) as http:
        _busy(http, 1)  # the model is loaded
        alone = _busy(http, PAINTED)
        server = int((data / "darkroom.lock").read_text().split()[1])
        before, began = _peak(server), time.perf_counter()
        command = [sys.executable, "app.py", "import", str(many), "--data", str(data)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as importing:
            meanwhile = _busy(http, PAINTED, lambda: importing.poll() is not None)
            importing.wait()
        seconds = time.perf_counter() - began
        memory = (_peak(server) - before) * 1024 / 1e6
    return {
        "beside_seconds": seconds,
        "beside_memory_mb": memory,
        **{f"alone_{name}": value for name, value in alone.items()},
        **{f"beside_{name}": value for name, value in meanwhile.items()},
    }


def _busy(
    http: httpx.Client, least: int, over: Callable[[], bool] = lambda: True
) -> dict[str, float]:
    """How long a picture takes, and a page: of at least so many pictures, and until it is over."""
    painted, looked = list[float](), list[float]()
    done = threading.Event()

    def look() -> None:
        with httpx.Client(base_url=http.base_url, timeout=60) as other:
            while not done.wait(0.1):
                began = time.perf_counter()
                other.get("/api/pictures", params={"q": "boat"}).raise_for_status()
                looked.append(time.perf_counter() - began)

    looking = threading.Thread(target=look)
    looking.start()
    while len(painted) < least or not over():
        began = time.perf_counter()
        http.post("/api/generate", json=WISH | {"seed": len(painted)}).raise_for_status()
        painted.append(time.perf_counter() - began)
    done.set()
    looking.join()
    looked.sort()
    return {
        "picture_ms": 1000 * median(painted),
        "page_p50_ms": 1000 * median(looked),
        "page_p99_ms": 1000 * looked[int(0.99 * len(looked))],
    }


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
