"""The bench of a card runs in small on any machine; only its figures mean nothing then."""

import argparse
import json

import pytest
from diffusers import ModelMixin

from bench import architectures, gpu
from tests.engine.conftest import NUMPY_COPY, one_thread

pytestmark = [NUMPY_COPY, pytest.mark.usefixtures(one_thread.__name__)]


def test_without_a_card_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    if gpu.torch.cuda.is_available():
        pytest.skip("there is a card")
    asked = argparse.Namespace(tiny=False, rounds=1, minutes=1, save=False)
    assert gpu.main(asked) == 2
    assert "no CUDA card" in capsys.readouterr().out


@pytest.mark.slow
def test_in_small_it_measures_all_it_would_on_a_card(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = architectures.denoisers(True)
    monkeypatch.setattr(gpu, "denoisers", lambda tiny: {"klein-4b": kept["klein-4b"]})
    # A compiler takes half a minute, and not every machine has one.
    monkeypatch.setattr(ModelMixin, "compile_repeated_blocks", lambda *given, **named: None)
    assert gpu.main(argparse.Namespace(tiny=True, rounds=1, minutes=5, save=False)) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])["figures"]
    assert figures["sdxl, 30 steps: plain_over_studio"] > 0
    assert figures["sdxl, 4 steps, 512: four_together_gain"] > 0
    assert figures["klein-4b: compiled_gain"] > 0
    assert 0 < figures["klein-4b: of_matrix_rate"] < 2


def test_the_large_ones_have_the_size_of_the_real_ones() -> None:
    sizes = {"sdxl": 2.57, "flux-schnell": 11.9, "klein-4b": 3.88, "klein-9b": 9.08}  # billions
    for name, billions in sizes.items():
        with architectures.on("meta", gpu.torch.float32):
            network = architectures.denoisers(False)[name].build()
        count = sum(weight.numel() for weight in network.parameters())
        assert abs(count / 1e9 - billions) < 0.02, name
