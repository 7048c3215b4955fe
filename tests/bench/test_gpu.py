"""The bench of a card runs in small on any machine; only its figures mean nothing then."""

import argparse
import json
import time
from pathlib import Path

import pytest
from diffusers import ModelMixin

from bench import architectures, gpu
from tests.engine.conftest import NUMPY_COPY, one_thread

pytestmark = [NUMPY_COPY, pytest.mark.usefixtures(one_thread.__name__)]


def test_without_a_card_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    if gpu.torch.cuda.is_available():
        pytest.skip("there is a card")
    asked = asking(tiny=False)
    assert gpu.main(asked) == 2
    assert "no CUDA card" in capsys.readouterr().out


@pytest.mark.slow
def test_in_small_it_measures_all_it_would_on_a_card(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept = architectures.denoisers(True)
    monkeypatch.setattr(gpu, "denoisers", lambda tiny: {"klein-4b": kept["klein-4b"]})
    # A compiler takes half a minute, and not every machine has one.
    monkeypatch.setattr(ModelMixin, "compile_repeated_blocks", lambda *given, **named: None)
    assert gpu.main(asking(minutes=5, into=tmp_path)) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])["figures"]
    assert figures["sdxl, 30 steps, plain_over_studio"] > 0
    assert figures["sdxl, 4 steps, 512, four_together_gain"] > 0
    assert figures["klein-4b, flash_s"] > 0
    assert figures["klein-4b, compiled, gain"] > 0
    assert 0 < figures["klein-4b, of_matrix_rate"] < 2
    assert json.loads((tmp_path / "gpu.json").read_text())["figures"] == figures


def test_a_part_that_fails_costs_no_other_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> dict[str, float]:
        raise RuntimeError("no such kernel")

    visit = gpu.Visit("cpu", time.monotonic() + 60, tmp_path)
    visit.measure("one", 1, fails)
    visit.measure("two", 1, lambda: {"s": 2.0})
    assert visit.lost == {"one": "RuntimeError: no such kernel"}
    assert visit.figures["two, s"] == 2.0
    assert json.loads((tmp_path / "gpu.json").read_text())["figures"] == visit.figures
    assert " s left" in capsys.readouterr().out


def test_a_part_for_which_no_time_is_left_is_not_begun() -> None:
    visit = gpu.Visit("cpu", time.monotonic() + 10, None)
    visit.measure("long", 20, lambda: {"s": 1.0})
    assert visit.lost == {"long": "no time was left"}


def test_a_part_that_hangs_is_ended() -> None:
    visit = gpu.Visit("cpu", time.monotonic() + 1.5, None)

    def hangs() -> dict[str, float]:
        time.sleep(30)
        return {}

    visit.measure("hangs", 1, hangs)
    assert visit.lost["hangs"].startswith("TimeoutError: it took more than")
    assert time.monotonic() < visit.until + 10


def test_a_card_that_no_longer_answers_is_asked_no_more() -> None:
    def poisoned() -> dict[str, float]:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    visit = gpu.Visit("cpu", time.monotonic() + 60, None)
    visit.measure("one", 1, poisoned)
    visit.measure("two", 1, lambda: {"s": 2.0})
    assert visit.lost["two"] == "the card no longer answers"


def asking(**fields: object) -> argparse.Namespace:
    usual = {"tiny": True, "rounds": 1, "minutes": 1, "save": False, "only": "", "into": None}
    return argparse.Namespace(**usual | fields)


def test_the_large_ones_have_the_size_of_the_real_ones() -> None:
    sizes = {"sdxl": 2.57, "flux-schnell": 11.9, "klein-4b": 3.88, "klein-9b": 9.08}  # billions
    for name, billions in sizes.items():
        with architectures.on("meta", gpu.torch.float32):
            network = architectures.denoisers(False)[name].build()
        count = sum(weight.numel() for weight in network.parameters())
        assert abs(count / 1e9 - billions) < 0.02, name
