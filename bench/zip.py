"""A ZIP of very many pictures from the real server: how fast, how much memory, and when it ends.

The client saves it and reads it back whole; then one stops taking, and one hangs up.
"""

import argparse
import io
import json
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random

import httpx

from bench.report import report
from bench.server import free_port, start, wait_for
from studio.formats.zip64 import Zip
from studio.request import ImageRequest
from studio.settings import Settings
from studio.store.ids import new_id
from studio.store.rows import Picture
from studio.store.store import Store
from studio.wishes.catalog import Settled
from studio.wishes.presets import load_catalog

MB = 1e6
TO_A_JOB = 10
WRITER_FILES = 400  # enough to tell the two writers apart
STILL_SECONDS = 2.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--bytes", type=int, default=250_000, help="of each picture, about")


def main(asked: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        data, figures = Path(folder) / "data", {}
        figures["pictures"] = asked.pictures
        ids = fill(data, asked.pictures, asked.bytes)
        figures |= _writers(sorted((data / "pictures").rglob("*.png"))[:WRITER_FILES])
        with _server(data) as (url, pid):
            figures |= _whole(url, pid, ids, Path(folder) / "all.zip")
            figures |= _left(url, pid, ids)
    report("zip", figures, save=asked.save)
    return int(figures["memory_mb"] > 50 or figures["wrong"] > 0)


def fill(data: Path, count: int, size: int) -> list[str]:
    """A history of files that no compressor makes smaller, without waiting for the disk each."""
    store, dice, ids = Store.open(Settings(data=data)), Random(1), list[str]()
    catalog = load_catalog(Settings().presets, "test-pattern")
    (data / "pictures").mkdir()
    noise = dice.randbytes(2 * size)
    try:
        for first in range(0, count, TO_A_JOB):
            wish = {"prompt": f"a red car {first}", "seed": first, "count": TO_A_JOB}
            settled = catalog.settle(ImageRequest.model_validate(wish))
            found = []
            for index in range(min(TO_A_JOB, count - first)):
                cut = dice.randrange(size)
                content = b"%9d" % (first + index) + noise[cut : cut + size]
                found.append(_picture(data, settled, index, content))
            store.adopt(settled.request, {}, found, time.time(), "for the bench")
            ids += [one.id for one in found]
    finally:
        store.close()
    return ids


def _picture(data: Path, settled: Settled, index: int, content: bytes) -> Picture:
    key, request = new_id(), settled.request
    path = data / "pictures" / f"{key}.png"
    path.write_bytes(content)
    fingerprint = {"torch": "2.13.0", "device": "cuda", "model_hash": "0" * 64}
    return Picture(
        id=key,
        job="",
        index=index,
        path=f"pictures/{key}.png",
        thumb=f"thumbs/{key}.webp",
        sha256=sha256(content).hexdigest(),
        bytes=len(content),
        width=request.width or 0,
        height=request.height or 0,
        seed=(request.seed or 0) + index,
        format="png",
        recipe={
            "version": 1,
            "request": request.model_dump(mode="json"),
            "wish": {},
            "fingerprint": fingerprint,
            "warnings": [],
        },
        created_at=time.time(),
        owner="local",
        model="test-pattern",
        prompt=request.prompt,
    )


@contextmanager
def _server(data: Path) -> Iterator[tuple[str, int]]:
    port = free_port()
    process = start(data, port)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/api/ready", process)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(timeout=60)


def _whole(url: str, pid: int, ids: list[str], out: Path) -> dict[str, float]:
    with _asked(url, ids[:100]) as warm:  # what is imported and cached once is not the ZIP's
        warm.read()
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak counts from now on
    before, began, first = _memory(pid, "VmRSS"), time.perf_counter(), 0.0
    with _asked(url, ids) as answer, out.open("wb") as saved:
        for piece in answer.iter_bytes():
            first = first or time.perf_counter() - began
            saved.write(piece)
    seconds, size = time.perf_counter() - began, out.stat().st_size
    memory = _memory(pid, "VmHWM") - before
    with zipfile.ZipFile(out) as read:
        told = json.loads(read.read("manifest.json"))["pictures"]
        wrong = sum(sha256(read.read(one["file"])).hexdigest() != one["sha256"] for one in told)
        wrong += abs(len(told) - len(ids)) + sum(one["state"] != "whole" for one in told)
    out.unlink()
    return {
        "gb": size / 1e9,
        "seconds": seconds,
        "mb_per_s": size / MB / seconds,
        "first_byte_ms": 1000 * first,
        "memory_mb": memory,
        "wrong": wrong,
    }


def _left(url: str, pid: int, ids: list[str]) -> dict[str, float]:
    """How far it reads ahead of one who takes no more, and reads on after one who hung up."""
    with _asked(url, ids) as answer:
        taken, pieces = 0, answer.iter_bytes()
        while taken < 5 * MB:
            taken += len(next(pieces))
        time.sleep(STILL_SECONDS)
        waiting = _read(pid)
        time.sleep(STILL_SECONDS)
        crept = _read(pid) - waiting
    time.sleep(0.5)  # until the hanging up is heard of
    gone = _read(pid)
    time.sleep(STILL_SECONDS)
    return {"while_nobody_takes_mb": crept, "after_hanging_up_mb": _read(pid) - gone}


def _asked(url: str, ids: list[str]) -> AbstractContextManager[httpx.Response]:
    return httpx.stream("POST", f"{url}/api/pictures/zip", json={"ids": ids}, timeout=60)


def _memory(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024 / MB


def _read(pid: int) -> float:
    """Megabytes that the server has read, from wherever."""
    return int(Path(f"/proc/{pid}/io").read_text().split()[1]) / MB


def _writers(files: list[Path]) -> dict[str, float]:
    """Our own writer beside Python's, which puts the sizes behind the bytes on such a stream."""
    return {
        "own_writer_mb_per_s": _speed(_own, files),
        "zipfile_mb_per_s": _speed(_python, files),
    }


def _speed(write: Callable[[list[Path]], int], files: list[Path]) -> float:
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        size = write(files)
        seconds.append(time.perf_counter() - began)
    return float(size / MB / min(seconds))


def _own(files: list[Path]) -> int:
    size = 0
    with Zip() as archive:
        for path in files:
            content = path.read_bytes()
            pieces = archive.stored(path.name, 0, len(content), zlib.crc32(content), [content])
            size += sum(map(len, pieces))
        size += sum(map(len, archive.end()))
    return size


class _Counted(io.RawIOBase):
    size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        length = len(memoryview(data))  # type: ignore[arg-type]
        self.size += length
        return length


def _python(files: list[Path]) -> int:
    out = _Counted()
    with zipfile.ZipFile(out, "w") as archive:  # type: ignore[call-overload]
        for path in files:
            archive.write(path, path.name)
    return out.size
