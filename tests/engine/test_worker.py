"""The worker as a real process: frames in, frames out, and how it ends."""

import io
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest
from PIL import Image

from studio.engine.paint import paint
from studio.engine.residents import Residents
from studio.messages import (
    Cancel,
    Cancelled,
    Failed,
    FromWorker,
    Hello,
    Leave,
    Load,
    Loading,
    Paint,
    Painted,
    Progress,
    ToWorker,
    Unload,
    read_frame,
    write_frame,
)
from studio.models.card import ModelCard
from studio.wishes.catalog import Catalog
from tests.engine import one_file, test_one_file
from tests.engine.conftest import NUMPY_COPY, Job

pytestmark = NUMPY_COPY
Heard = FromWorker | None
SECONDS = 60

# Prints all the time, through Python and past it, while a worker runs in the same process.
NOISY = """
import os, sys, threading, time
from studio.engine.worker import main

def shout():
    while True:
        print("noise", flush=True)
        os.write(1, b"\\0\\0\\0\\5noise")
        time.sleep(0.005)

noise = threading.Timer(0.5, shout)
noise.daemon = True
noise.start()
main(sys.argv[1:])
"""
# Starts a worker and dies at once, without closing anything in order.
SHORT_LIVED = """
import os, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-m", "studio.engine.worker", *sys.argv[1:]],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(worker.pid, flush=True)
time.sleep(1)
os._exit(0)
"""


class Worker:
    """The process, and what it has said."""

    def __init__(self, models: Path, *more: str, program: tuple[str, ...] = ()) -> None:
        program = program or ("-m", "studio.engine.worker")
        self.process = subprocess.Popen(
            [sys.executable, *program, *options(models), *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._heard: SimpleQueue[Heard] = SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, *messages: ToWorker) -> None:
        assert self.process.stdin
        for message in messages:
            write_frame(self.process.stdin, message)

    def hear(self) -> Heard:
        return self._heard.get(timeout=SECONDS)

    def hear_until(self, *kinds: type) -> list[Heard]:
        heard: list[Heard] = []
        while not heard or (heard[-1] is not None and not isinstance(heard[-1], kinds)):
            heard.append(self.hear())
        return heard

    def paint(self, message: Paint) -> FromWorker | None:
        self.send(message)
        return self.hear_until(Painted, Failed, Cancelled)[-1]

    def end(self) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        code = self.process.wait(SECONDS)
        self.process.stdout.close()
        return code

    def _listen(self) -> None:
        assert self.process.stdout
        while (message := read_frame(self.process.stdout)) is not None:
            self._heard.put(message)  # type: ignore[arg-type]
        self._heard.put(None)


def options(models: Path) -> list[str]:
    return ["--name", "slot0", "--device", "cpu", "--threads", "1", "--models", str(models)]


@pytest.fixture(scope="module")
def worker(models: Path) -> Iterator[Worker]:
    worker = Worker(models, "--no-previews")
    hello = worker.hear()
    assert isinstance(hello, Hello)
    assert hello.pid == worker.process.pid
    assert hello.reason.startswith("cpu, threads: 1")
    assert "torch" in hello.versions
    yield worker
    assert worker.end() == 0


def pixels(painted: Heard) -> np.ndarray:  # type: ignore[type-arg]
    assert isinstance(painted, Painted)
    return np.asarray(Image.open(io.BytesIO(painted.pictures[0].data)))


def test_a_job_is_loaded_painted_and_repeated(
    worker: Worker, job: Job, do: Callable[..., Painted]
) -> None:
    worker.send(job())
    heard = worker.hear_until(Painted)
    assert [type(word) for word in heard] == [Loading, *[Progress] * 4, Painted]
    assert np.array_equal(pixels(heard[-1]), pixels(do(job())))  # another process, the same picture
    worker.send(job())
    assert not any(isinstance(word, Loading) for word in worker.hear_until(Painted))


@pytest.fixture(scope="module")
def errors(models: Path, catalog: Catalog) -> bytes:
    """What a worker that is well writes there, with what the library of threads has heard."""
    asked = io.BytesIO()
    write_frame(asked, Load(catalog.cards["starter"].model_dump(mode="json"), ""))
    ran = subprocess.run(
        [sys.executable, "-m", "studio.engine.worker", *options(models)],
        env={name: v for name, v in os.environ.items() if name != "GOMP_SPINCOUNT"}
        | {"OMP_DISPLAY_ENV": "VERBOSE"},
        input=asked.getvalue(),
        capture_output=True,
        timeout=SECONDS,
        check=True,
    )
    return ran.stderr


def test_libraries_say_nothing_where_all_is_well(errors: bytes) -> None:
    asked_for = rb"\s*OPENMP DISPLAY ENVIRONMENT BEGIN.*?OPENMP DISPLAY ENVIRONMENT END\n"
    assert re.sub(asked_for, b"", errors, flags=re.DOTALL) == b""


def test_its_threads_spin_little_while_they_wait(errors: bytes) -> None:
    assert b"GOMP_SPINCOUNT = '1000'" in errors


def test_a_cancel_stops_a_picture_between_two_steps(worker: Worker, job: Job) -> None:
    worker.send(job("long", steps=100, width=128))
    while not isinstance(word := worker.hear(), Progress) or word.step < 2:
        assert word is not None
    worker.send(Cancel("long", 1))
    heard = worker.hear_until(Painted, Failed, Cancelled)
    assert heard[-1] == Cancelled("long", 1)
    assert len(heard) < 50
    assert isinstance(worker.paint(job()), Painted)


def test_a_cancel_is_heard_while_a_model_loads(worker: Worker, job: Job) -> None:
    worker.send(replace(job("load"), folder="another place, so that it loads again"))
    assert isinstance(worker.hear(), Loading)
    worker.send(Cancel("load", 1))
    assert worker.hear() == Cancelled("load", 1)


def test_a_cancel_reaches_a_job_that_has_not_begun(worker: Worker, job: Job) -> None:
    worker.send(job("first", steps=20), job("second"), Cancel("second", 1))
    assert isinstance(worker.hear_until(Painted)[-1], Painted)
    assert worker.hear() == Cancelled("second", 1)


def test_a_cancel_for_an_older_lease_is_not_taken(worker: Worker, job: Job) -> None:
    worker.send(Cancel("leased", 1))
    assert isinstance(worker.paint(replace(job("leased"), token=2)), Painted)


def test_a_failure_is_told_in_words_and_the_next_job_is_fine(
    worker: Worker, job: Job, card: ModelCard, tmp_path: Path
) -> None:
    elsewhere = card.model_copy(update={"repo": "someone/model"}).model_dump(mode="json")
    missing = worker.paint(replace(job(), card=elsewhere, folder=str(tmp_path)))
    assert isinstance(missing, Failed)
    assert missing.code == "model_missing"
    assert str(tmp_path) in missing.sentence
    assert "Traceback" in missing.detail
    assert "Traceback" not in missing.sentence
    half = worker.paint(job(precision="fp16"))
    assert isinstance(half, Failed)
    assert half.code == "precision"
    strange = worker.paint(replace(job(), request={"prompt": "x", "colour": "red"}))
    assert isinstance(strange, Failed)
    assert "colour" in strange.sentence
    assert isinstance(worker.paint(job()), Painted)


def test_a_checkpoint_in_one_file_paints_what_its_folder_paints(
    worker: Worker, models: Path, tmp_path: Path
) -> None:
    test_one_file.put(models)
    one_file.sdxl().save_pretrained(tmp_path / "sdxl")
    folder = test_one_file.job(tmp_path, "sdxl")
    painted = worker.paint(test_one_file.job(models, "mine"))
    here = Residents("cpu", tmp_path, "fp32")
    assert np.array_equal(pixels(painted), pixels(paint(folder, here, False, lambda word: None)))


def test_stray_prints_stay_out_of_the_channel_and_leave_ends_it_in_mid_picture(
    models: Path, job: Job, card: ModelCard, do: Callable[..., Painted]
) -> None:
    worker = Worker(models, program=("-c", NOISY))
    assert isinstance(worker.hear(), Hello)
    worker.send(Load(card.model_dump(mode="json"), ""))
    worker.send(job(steps=30))
    heard = worker.hear_until(Painted, Failed)
    assert not any(isinstance(word, Loading) for word in heard)  # it was loaded before
    assert np.array_equal(pixels(heard[-1]), pixels(do(job(steps=30))))
    worker.send(Unload(card.name))
    worker.send(job("again", steps=1))
    assert any(isinstance(word, Loading) for word in worker.hear_until(Painted, Failed))
    worker.send(job("long", steps=100, width=512, height=512))
    worker.hear()
    worker.send(Leave())
    assert worker.process.wait(timeout=5) == 0
    assert len(worker.hear_until()) < 50
    worker.end()


@pytest.mark.skipif(sys.platform != "linux", reason="a Linux promise")
def test_it_dies_with_its_parent(models: Path) -> None:
    parent = subprocess.run(
        [sys.executable, "-c", SHORT_LIVED, *options(models)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert _gone(int(parent.stdout), within=2.0)


def _gone(pid: int, within: float) -> bool:
    """Gone, or a zombie that nobody has buried."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    os.kill(pid, 9)
    return False


def test_a_worker_attends_as_it_was_told(models: Path, job: Job) -> None:
    worker = Worker(models, "--attention", "math")
    painted = worker.paint(job())
    assert isinstance(painted, Painted)
    assert painted.recipe["fingerprint"]["attention"] == "AttnProcessor2_0 (math)"
    assert worker.end() == 0
