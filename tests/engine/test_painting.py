"""A job painted with real diffusers classes: the stock pipeline's picture, steps and recipe."""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from studio.engine import residents as residents_module
from studio.engine.failures import PaintError
from studio.engine.paint import paint
from studio.engine.painter import Painter
from studio.engine.residents import Residents
from studio.engine.stepping import run_steps
from studio.formats.metadata import read_recipe
from studio.messages import Loading, Painted, Picture, Progress, unpack
from studio.messages import pack as packed
from studio.models.card import ModelCard
from studio.request import ImageRequest
from tests.engine.conftest import NUMPY_COPY, SMALL, Job, Told

pytestmark = NUMPY_COPY

Do = Callable[..., Painted]


def pixels(picture: Picture) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(picture.data)).convert("RGB"))


class Enough(Exception):
    pass


@pytest.mark.parametrize("guidance", [5.0, 1.0])
def test_the_picture_is_the_stock_pipelines(
    painter: Painter, job: Job, do: Do, guidance: float
) -> None:
    painted = do(job(guidance=guidance))
    stock = painter.family.pipeline(
        SMALL["prompt"],
        width=64,
        height=64,
        num_inference_steps=3,
        guidance_scale=guidance,
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]
    assert np.array_equal(pixels(painted.pictures[0]), np.asarray(stock))


def test_a_negative_prompt_is_the_stock_pipelines_too(painter: Painter, job: Job, do: Do) -> None:
    painted = do(job(negative_prompt="grey"))
    stock = painter.family.pipeline(
        SMALL["prompt"],
        negative_prompt="grey",
        width=64,
        height=64,
        num_inference_steps=3,
        guidance_scale=5.0,
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]
    assert np.array_equal(pixels(painted.pictures[0]), np.asarray(stock))


def test_a_seed_gives_the_same_picture_alone_and_among_three(job: Job, do: Do) -> None:
    three = do(job(count=3)).pictures
    assert [picture.seed for picture in three] == [7, 8, 9]
    for picture in three:
        alone = do(job(seed=picture.seed)).pictures[0]
        assert np.array_equal(pixels(alone), pixels(picture))
    assert not np.array_equal(pixels(three[0]), pixels(three[1]))


@pytest.mark.parametrize("sampler", ["euler", "euler a", "dpm++ 2m", "ddim"])
def test_every_sampler_repeats_itself_whatever_was_painted_before(
    job: Job, do: Do, sampler: str
) -> None:
    first = do(job(sampler=sampler))
    do(job(sampler="euler a", seed=1))
    again = do(job(sampler=sampler))
    assert np.array_equal(pixels(first.pictures[0]), pixels(again.pictures[0]))
    assert pixels(first.pictures[0]).std() > 1  # not one flat colour


def test_words_matter(job: Job, do: Do) -> None:
    boat, cat = do(job()).pictures[0], do(job(prompt="a cat")).pictures[0]
    assert np.abs(pixels(boat).astype(int) - pixels(cat)).mean() > 1


def test_progress_is_told_step_by_step(job: Job, do: Do, told: Told) -> None:
    painted = do(job(count=2), told.append)
    assert [(word.index, word.step) for word in told if isinstance(word, Progress)] == [
        *((0, 0), (0, 1), (0, 2), (0, 3)),
        *((1, 1), (1, 2), (1, 3)),
    ]
    assert all(word.steps == 3 for word in told if isinstance(word, Progress))
    assert (
        sum(painted.timings[part] for part in ("encode", "steps", "decode", "save"))
        < (painted.timings["total"])
    )


def test_loading_is_told_only_when_there_is_something_to_load(
    models: Path, job: Job, told: Told
) -> None:
    residents = Residents("cpu", models, "auto")
    for _ in range(2):
        paint(job(), residents, False, told.append)
    assert [type(word) for word in told].count(Loading) == 1
    assert told[0] == Loading("job", 1, "loading Test pattern (untrained)")


@pytest.mark.parametrize("last_step", [1, 2, 3])
def test_a_picture_stopped_after_any_step_is_never_decoded(
    painter: Painter, job: Job, do: Do, last_step: int
) -> None:
    decoded: list[object] = []
    hook = painter.family.pipeline.vae.decoder.register_forward_hook(
        lambda *_: decoded.append(None)
    )

    def tell(word: Loading | Progress) -> None:
        if isinstance(word, Progress) and word.step == last_step:
            raise Enough

    with pytest.raises(Enough):
        do(job(), tell)
    assert not decoded
    do(job())
    assert len(decoded) == 1
    hook.remove()


def test_a_stopped_run_frees_what_it_had_moved_to_the_card(painter: Painter, job: Job) -> None:
    """Hooks are freed also where the pipeline itself never comes to it."""

    class Spy:
        freed = 0

        def __call__(self, **_: object) -> None:
            raise Enough

        def maybe_free_model_hooks(self) -> None:
            self.freed += 1

    spy = Spy()
    with pytest.raises(Enough):
        run_steps(spy, {}, lambda number, latents: None)
    assert spy.freed == 1


def test_a_preview_is_a_small_picture_a_few_times_a_second(
    residents: Residents, job: Job, told: Told
) -> None:
    paint(job(steps=40, width=128), residents, True, told.append)
    sent = [word.preview for word in told if isinstance(word, Progress) and word.preview]
    assert 1 <= len(sent) < 20
    for data in sent:
        assert max(Image.open(io.BytesIO(data)).size) <= 256
    told.clear()
    paint(job(steps=40, width=128), residents, False, told.append)
    assert not any(word.preview for word in told if isinstance(word, Progress))


def test_large_models_are_sketched_from_latents_alone(painter: Painter) -> None:
    decoder = painter.family.pipeline.vae
    more = torch.nn.Module()
    more.register_parameter("weight", torch.nn.Parameter(torch.empty(5_000_000, device="meta")))
    decoder.ballast = more
    try:
        sketch = painter.family.sketch(torch.randn(1, 4, 24, 16), ImageRequest(prompt="x"))
    finally:
        del decoder.ballast
    assert sketch.shape == (1, 3, 24, 16)
    assert sketch.std() > 0


def test_the_recipe_paints_the_same_picture_again(job: Job, do: Do) -> None:
    painted = do(job(count=2, look="ink", negative_prompt="grey"))
    second = painted.pictures[1]
    recipe = read_recipe(Image.open(io.BytesIO(second.data)).info["darkroom"])
    assert (recipe["seed"], recipe["index"]) == (8, 1)
    assert {**recipe, "seed": 0, "index": 0} == {**painted.recipe, "seed": 0, "index": 0}
    assert recipe["wish"]["prompt"] == "a red boat" and "expand" not in recipe["wish"]
    again = do(job(**recipe["request"] | {"seed": recipe["seed"], "count": 1}))
    assert np.array_equal(pixels(again.pictures[0]), pixels(second))


def test_the_recipe_keeps_how_words_were_chosen(job: Job, do: Do) -> None:
    message = job(prompt="a red boat")
    wish = message.wish | {"prompt": "a {red|blue} boat", "expand": "all", "nth": 0}
    recipe = do(replace(message, wish=wish)).recipe
    assert recipe["request"]["prompt"] == "a red boat" and recipe["request"]["expand"] == "no"
    assert recipe["wish"] == {"prompt": "a {red|blue} boat", "expand": "all", "nth": 0}


def test_the_fingerprint_tells_what_painted_it(job: Job, do: Do) -> None:
    marks = do(job(sampler="dpm++ 2m")).recipe["fingerprint"]
    assert marks["scheduler"] == "DPMSolverMultistepScheduler"
    assert marks["dtype"] == "fp32"
    assert "so small a model" in marks["plan"]
    assert len(marks["model_hash"]) == 64
    assert {"darkroom", "torch", "diffusers", "transformers", "compel", "python"} <= set(marks)
    assert marks["scheduler_config"]["lambda_min_clipped"] == "-Infinity", "JSON has no such number"
    json.dumps(marks, allow_nan=False)


def test_what_it_says_crosses_the_border(job: Job, do: Do) -> None:
    painted = do(job())
    assert unpack(packed(painted)) == painted


def test_numbers_gone_wrong_are_an_error_and_not_a_black_picture(
    painter: Painter, job: Job, do: Do
) -> None:
    bias = painter.family.pipeline.vae.decoder.conv_out.bias
    before = bias.detach().clone()
    try:
        bias.data.fill_(float("nan"))
        with pytest.raises(PaintError, match="no numbers"):
            do(job())
    finally:
        bias.data.copy_(before)


def test_precision_is_the_requests_or_else_the_workers(models: Path, card: ModelCard) -> None:
    residents = Residents("cpu", models, "bf16")
    assert residents.key(card, "", "auto").precision == "bf16"
    assert residents.key(card, "", "fp32").precision == "fp32"
    painter = residents.get(card, residents.key(card, "", "auto"))
    assert painter.family.pipeline.unet.dtype == torch.bfloat16


def test_a_bf16_picture_resembles_the_exact_one(models: Path, job: Job, do: Do) -> None:
    half = paint(job(precision="bf16"), Residents("cpu", models, "auto"), False, lambda word: None)
    exact = do(job())
    assert np.abs(pixels(half.pictures[0]).astype(int) - pixels(exact.pictures[0])).mean() < 8


def test_models_stay_until_they_are_dropped_and_each_is_here_once(
    tmp_path: Path, models: Path, card: ModelCard
) -> None:
    shutil.copytree(models, tmp_path, dirs_exist_ok=True)
    residents = Residents("cpu", tmp_path, "auto")
    other = card.model_copy(update={"name": "other", "memory_gb": 9.0})
    exact, half = (residents.key(card, "", precision) for precision in ("fp32", "bf16"))
    large = residents.key(other, "", "fp32")
    for one, key in ((card, exact), (other, large), (card, half)):
        residents.get(one, key)
    assert [key in residents for key in (exact, large, half)] == [False, True, True]
    assert residents.get(card, half) is residents.get(card, half)
    residents.drop("other")
    assert [key in residents for key in (large, half)] == [False, True]
    residents.drop("never here")


def test_one_that_leaves_a_card_rests_in_memory_while_that_has_room(
    models: Path, card: ModelCard, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card is played: moves are counted, and its pictures are painted here."""
    spare = {"gb": 100.0}
    monkeypatch.setattr(residents_module, "_spare_gb", lambda: spare["gb"])
    residents = Residents("cpu", models, "auto")
    key = residents.key(card, "", "auto")

    def on_a_card() -> tuple[Painter, list[str]]:
        painter, moves = residents.get(card, key), []
        painter.plan = replace(painter.plan, device="cuda:0")
        monkeypatch.setattr(painter.family.pipeline, "to", moves.append)
        return painter, moves

    painter, moves = on_a_card()
    bare: list[object] = []
    monkeypatch.setattr(painter.loras, "wear", lambda uses, files: bare.append(uses))
    residents.leave(card.name)
    assert bare == [()], "its LoRAs hang beside it, and would stay on the card"
    assert key not in residents
    assert moves == ["cpu"]
    assert residents.get(card, key) is painter
    assert moves == ["cpu", "cuda:0"]
    residents.leave(card.name)
    spare["gb"] = 0.05  # another is loaded, and there is no room for both
    residents.get(card.model_copy(update={"name": "other"}), key._replace(model="other"))
    residents.drop("other")
    spare["gb"] = 100.0
    again, moves = on_a_card()
    assert again is not painter
    monkeypatch.setattr(again.family.pipeline, "to", _fails)
    residents.leave(card.name)
    assert residents.get(card, key) is not again
    again, moves = on_a_card()
    again.plan = replace(again.plan, peak_gb=card.memory_gb * 2)  # in fp32
    spare["gb"] = card.memory_gb * 1.5
    residents.leave(card.name)
    assert moves == []
    assert residents.get(card, key) is not again


def _fails(device: str) -> None:
    raise RuntimeError("out of memory")
