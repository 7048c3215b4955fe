"""The painting side of the worker, on models that fail in ways a CPU cannot."""

import io
import subprocess
import sys
from pathlib import Path

import torch

from studio.engine.device import be_steady
from studio.engine.loop import POISONED
from studio.engine.painter import Painter
from studio.engine.residents import Key, Residents
from studio.messages import pack, read_frame
from studio.models.card import ModelCard
from tests.engine.conftest import Job

POISONED_DESK = """
import sys
from pathlib import Path
from studio.engine.loop import Desk
from studio.messages import unpack
from tests.engine.test_loop import Failing

message = unpack(Path(sys.argv[1]).read_bytes())
error = RuntimeError("CUDA error: an illegal memory access was encountered")
Desk(Failing(error), False, sys.stdout.buffer).paint(message)
"""


class Failing(Residents):
    """Fails to load."""

    def __init__(self, error: Exception) -> None:
        super().__init__("cpu", Path(), "auto")
        self._error = error

    def get(self, card: ModelCard, key: Key) -> Painter:
        raise self._error


def test_on_a_card_fp32_is_fp32_and_the_same_again() -> None:
    be_steady()
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_lost_card_ends_the_worker_without_failing_the_job(job: Job, tmp_path: Path) -> None:
    """The pool then paints it again in a new process."""
    (tmp_path / "job").write_bytes(pack(job()))
    ended = subprocess.run(
        [sys.executable, "-c", POISONED_DESK, str(tmp_path / "job")],
        capture_output=True,
        check=False,
    )
    assert ended.returncode == POISONED
    assert b"illegal memory access" in ended.stderr
    said = io.BytesIO(ended.stdout)
    read_frame(said)  # loading
    assert read_frame(said) is None
