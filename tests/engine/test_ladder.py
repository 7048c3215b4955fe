"""Memory that runs out: the picture is painted by a cheaper plan, with its seed, and says so."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image

from studio.engine.ladder import Ladder
from studio.engine.loop import Desk
from studio.engine.plan import Plan, lower
from studio.engine.residents import Residents
from studio.formats.metadata import read_recipe
from studio.messages import Failed, Loading, Painted, Worn, read_frame
from tests.engine.conftest import NUMPY_COPY, Job

pytestmark = NUMPY_COPY


class Full:
    """A UNet whose memory runs out for the first so many steps that it is asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.left = times
        forward = UNet2DConditionModel.forward

        def step(unet: Any, *given: Any, **named: Any) -> Any:
            if self.left:
                self.left -= 1
                raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(unet, *given, **named)

        monkeypatch.setattr(UNet2DConditionModel, "forward", step)


@pytest.fixture
def fresh(models: Path) -> Iterator[Residents]:
    residents = Residents("cpu", models, "auto")
    yield residents
    residents.clear()


def pixels(painted: Painted) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(painted.pictures[0].data)).convert("RGB"), np.int16)


def test_the_same_picture_comes_out_and_says_what_was_done(
    fresh: Residents, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F04"""
    ladder, told = Ladder(fresh), []
    usual = pixels(ladder.paint(job(), False, told.append))
    Full(monkeypatch, 1)
    freed = ladder.paint(job(), False, told.append)
    assert np.array_equal(pixels(freed), usual)
    assert freed.warnings == ("memory ran out, so all else left it",)
    Full(monkeypatch, 2)
    tiled = ladder.paint(job(), False, told.append)
    assert np.abs(pixels(tiled) - usual).max() <= 1
    assert tiled.warnings[-1] == "memory ran out, so it was decoded in tiles"
    recipe = read_recipe(Image.open(io.BytesIO(tiled.pictures[0].data)).info["darkroom"])
    assert recipe["fingerprint"]["tiling"] is True
    assert "decoded in tiles" in recipe["fingerprint"]["plan"]
    assert recipe["warnings"] == list(tiled.warnings)
    assert "decoded in tiles" in [word.what for word in told if isinstance(word, Loading)][-2]
    assert ladder.falls == 3


def test_pictures_that_shared_a_pass_are_painted_one_by_one_first(
    fresh: Residents, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    ladder = Ladder(fresh)
    usual = pixels(ladder.paint(job(), False, lambda word: None))
    Full(monkeypatch, 1)
    painted = ladder.paint(replace(job(count=2), at_once=2), False, lambda word: None)
    assert painted.warnings == ("memory ran out, so its pictures were painted one by one",)
    assert painted.timings["too_many"] == 2
    assert "together" not in painted.timings
    assert np.array_equal(pixels(painted), usual)
    Full(monkeypatch, 1)  # one picture cannot be fewer
    alone = ladder.paint(replace(job(), at_once=2), False, lambda word: None)
    assert alone.warnings == ("memory ran out, so all else left it",)


def test_jobs_side_by_side_that_do_not_fit_are_painted_alone_and_say_so(
    fresh: Residents, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    Full(monkeypatch, 1)
    said = io.BytesIO()
    desk = Desk(fresh, False, said)
    desk.paint_together((replace(job("one"), at_once=4), job("other")))
    said.seek(0)
    ends = [word for word in iter(lambda: read_frame(said), None) if isinstance(word, Painted)]
    assert [(end.job, end.timings["too_many"]) for end in ends] == [("one", 2), ("other", 2)]
    assert not ends[0].warnings  # nothing was done to the picture


def test_at_the_bottom_it_is_refused_and_the_worker_asks_for_a_successor(
    fresh: Residents, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    Full(monkeypatch, 100)
    said = io.BytesIO()
    Desk(fresh, False, said).paint(job())
    said.seek(0)
    words = list(iter(lambda: read_frame(said), None))
    assert words[-2] == Worn("ran out of memory 3 times")
    assert isinstance(words[-1], Failed)
    assert words[-1].code == "oom"
    assert "64x64" in words[-1].sentence


def test_each_rung_is_cheaper_and_the_ladder_ends() -> None:
    plan: Plan | None = Plan("cuda:0", "bf16", "bf16", "none", False, "bf16 on a card")
    rungs = []
    while plan and (lowered := lower(plan)):
        plan, words = lowered
        rungs.append((plan.tiling, plan.offload, words))
    assert rungs == [
        (True, "none", "it was decoded in tiles"),
        (True, "model", "its parts take turns on the card"),
        (True, "sequential", "it moves to the card layer by layer, which is slow"),
    ]
    assert plan
    assert plan.reason.count("memory ran out") == 3
    assert lower(replace(plan, device="cpu", offload="none")) is None
