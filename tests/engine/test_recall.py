"""Words that were read once are not read again, and the picture is the same to the last bit."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from studio.engine.paint import paint
from studio.engine.recall import Recall
from studio.engine.residents import Residents
from studio.messages import Paint, Painted
from studio.request import ImageRequest, read_request
from tests.engine.conftest import NUMPY_COPY, Job

pytestmark = NUMPY_COPY
ENCODER = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"


def pixels(painted: Painted) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(painted.pictures[0].data)))


@pytest.fixture
def fresh(models: Path) -> Residents:
    return Residents("cpu", models, "auto")


@pytest.fixture
def read(fresh: Residents, job: Job) -> Callable[[Paint], tuple[Painted, int]]:
    """A picture, and how often its prompts went through the first text encoder."""
    calls: list[int] = []
    paint(job(prompt="warm"), fresh, False, lambda word: None)
    (loaded,) = fresh._painters.values()
    loaded.family.pipeline.text_encoder.register_forward_pre_hook(lambda *_: calls.append(1))

    def done(message: Paint) -> tuple[Painted, int]:
        before = len(calls)
        return paint(message, fresh, False, lambda word: None), len(calls) - before

    return done


def test_the_same_words_are_read_once_and_paint_the_same(
    read: Callable[[Paint], tuple[Painted, int]], models: Path, job: Job
) -> None:
    wish = {"negative_prompt": "snow", "guidance": 4.0}
    _, first = read(job(**wish))
    again, second = read(job(**wish, seed=8))
    assert first > 0
    assert second == 0
    anew = paint(job(**wish, seed=8), Residents("cpu", models, "auto"), False, lambda word: None)
    assert np.array_equal(pixels(again), pixels(anew))
    for same in ({"steps": 2}, {"sampler": "ddim"}, {"width": 96, "height": 96}, {"count": 2}):
        assert read(job(**wish | same))[1] == 0
    for other in ({"prompt": "a cat"}, {"negative_prompt": ""}, {"guidance": 1.0}):
        assert read(job(**wish | other))[1] > 0


def test_a_lora_on_a_text_encoder_has_its_own_words(
    read: Callable[[Paint], tuple[Painted, int]], job: Job, tmp_path: Path
) -> None:
    dice = torch.Generator().manual_seed(0)
    halves = {"A": torch.randn(2, 32, generator=dice), "B": torch.randn(32, 2, generator=dice)}
    file = tmp_path / "mine.safetensors"

    def wear(weight: float) -> Paint:
        save_file({f"{ENCODER}.lora_{half}.weight": value for half, value in halves.items()}, file)
        uses = [{"name": "mine", "weight": weight}]
        return replace(job(), request=job().request | {"loras": uses}, loras={"mine": str(file)})

    bare, _ = read(job())
    worn, count = read(wear(1.0))
    assert count > 0
    assert not np.array_equal(pixels(worn), pixels(bare))
    assert read(wear(1.0))[1] == 0
    assert read(wear(0.5))[1] > 0
    halves["B"] = halves["B"] * 2
    assert read(wear(1.0))[1] > 0  # the file is another now
    off, count = read(job())
    assert count == 0
    assert np.array_equal(pixels(off), pixels(bare))


def wish(prompt: str, **fields: object) -> ImageRequest:
    return read_request({"prompt": prompt, "seed": 1} | fields)


def test_it_forgets_the_oldest_and_never_holds_more_than_it_may() -> None:
    recall, seen = Recall(most_bytes=2 * 400), []

    def ask(prompt: str) -> None:
        def read() -> dict[str, torch.Tensor]:
            seen.append(prompt)
            return {"prompt_embeds": torch.ones(100)}

        recall.words(wish(prompt), None, read)

    for prompt in ("one", "two", "one", "three", "one", "two"):
        ask(prompt)
    assert seen == ["one", "two", "three", "two"]


def test_a_prompt_larger_than_all_it_may_hold_is_read_each_time() -> None:
    recall, seen = Recall(most_bytes=10), []

    def read() -> dict[str, torch.Tensor]:
        seen.append(1)
        return {"prompt_embeds": torch.ones(100)}

    for _ in range(2):
        assert recall.words(wish("a"), None, read)["prompt_embeds"].sum() == 100
    assert len(seen) == 2


def test_what_is_no_tensor_is_not_kept() -> None:
    recall, seen = Recall(), []

    def read() -> dict[str, Any]:
        seen.append(1)
        return {"prompt_embeds": torch.ones(1), "length": 1}

    for _ in range(2):
        recall.words(wish("a"), None, read)
    assert len(seen) == 2
