"""Jobs side by side in one pass: each is the picture that it would have been alone."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.engine.job import Stopped
from studio.engine.loop import Desk
from studio.engine.paint import paint_together
from studio.engine.painter import Painter
from studio.engine.residents import Residents
from studio.messages import (
    Cancelled,
    Failed,
    FromWorker,
    Loading,
    Paint,
    Painted,
    Picture,
    Progress,
    Together,
    pack,
    read_frame,
    unpack,
)
from tests.engine.conftest import NUMPY_COPY, Job, Told

pytestmark = NUMPY_COPY
Do = Callable[..., Painted]


def pixels(picture: Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.data))).astype(int)


def three(job: Job, **fields: object) -> list[Paint]:
    words = ("a red boat", "a cat", "three houses in the snow at night")
    return [
        replace(job(f"job{place}", prompt=prompt, seed=place, **fields), at_once=4)
        for place, prompt in enumerate(words)
    ]


@pytest.fixture
def side_by_side(residents: Residents) -> Callable[..., dict[str, Painted | Cancelled]]:
    def paint(
        jobs: list[Paint], tell: Callable[..., None] = lambda word: None
    ) -> dict[str, Painted | Cancelled]:
        ends: list[Painted | Cancelled] = []
        paint_together(jobs, residents, False, tell, ends.append)
        assert len({end.job for end in ends}) == len(ends)
        return {end.job: end for end in ends}

    return paint


Paints = Callable[..., dict[str, Painted | Cancelled]]


@pytest.mark.parametrize("sampler", ["euler", "euler a", "dpm++ 2m", "ddim"])
def test_side_by_side_each_is_the_picture_it_is_alone(
    job: Job, do: Do, side_by_side: Paints, sampler: str
) -> None:
    jobs = three(job, sampler=sampler)
    for message, end in zip(jobs, side_by_side(jobs).values(), strict=True):
        alone = do(message)
        assert isinstance(end, Painted)
        assert np.abs(pixels(end.pictures[0]) - pixels(alone.pictures[0])).max() <= 1
        assert end.timings["together"] == 3
        assert "together" not in alone.timings
        assert end.recipe == alone.recipe
        assert b'"together":3' in end.pictures[0].data
        assert b'"together"' not in alone.pictures[0].data


def test_the_pictures_of_one_job_may_stand_side_by_side_too(
    job: Job, do: Do, side_by_side: Paints
) -> None:
    alone = do(job(count=5))
    (end,) = side_by_side([replace(job(count=5), at_once=2)]).values()
    assert isinstance(end, Painted)
    assert [picture.index for picture in end.pictures] == list(range(5))
    for one, other in zip(end.pictures, alone.pictures, strict=True):
        assert np.abs(pixels(one) - pixels(other)).max() <= 1


def test_words_of_another_length_have_a_pass_of_their_own(
    job: Job, do: Do, painter: Painter, side_by_side: Paints
) -> None:
    jobs = [*three(job), replace(job("long", prompt="a boat " * 60, seed=9), at_once=4)]
    sizes: list[int] = []
    hook = painter.family.pipeline.unet.register_forward_pre_hook(
        lambda _, given, more: sizes.append(len((given or tuple(more.values()))[0])),
        with_kwargs=True,
    )
    ends = side_by_side(jobs)
    hook.remove()
    assert sizes == [6, 6, 6, 2, 2, 2]  # with guidance each picture counts twice
    long = ends["long"]
    assert isinstance(long, Painted)
    assert np.array_equal(pixels(long.pictures[0]), pixels(do(jobs[-1]).pictures[0]))


def test_each_has_progress_of_its_own(job: Job, side_by_side: Paints, told: Told) -> None:
    side_by_side(three(job), told.append)
    for name in ("job0", "job1", "job2"):
        steps = [word.step for word in told if isinstance(word, Progress) and word.job == name]
        assert steps == [0, 1, 2, 3]


def test_one_that_is_stopped_leaves_and_the_others_go_on(
    job: Job, do: Do, side_by_side: Paints
) -> None:
    def tell(word: Loading | Progress) -> None:
        if isinstance(word, Progress) and word.job == "job1" and word.step == 2:
            raise Stopped

    jobs = three(job)
    ends = side_by_side(jobs, tell)
    assert next(iter(ends)) == "job1"  # at once, not when the others are done
    assert ends["job1"] == Cancelled("job1", 1)
    for place in (0, 2):
        end = ends[f"job{place}"]
        assert isinstance(end, Painted)
        alone = do(jobs[place]).pictures[0]
        assert np.abs(pixels(end.pictures[0]) - pixels(alone)).max() <= 1


def test_when_all_are_stopped_the_pass_ends(
    job: Job, painter: Painter, side_by_side: Paints
) -> None:
    steps: list[object] = []
    hook = painter.family.pipeline.unet.register_forward_hook(lambda *_: steps.append(None))

    def tell(word: Loading | Progress) -> None:
        if isinstance(word, Progress) and word.step == 1:
            raise Stopped

    ends = side_by_side(three(job), tell)
    hook.remove()
    assert all(isinstance(end, Cancelled) for end in ends.values())
    assert len(ends) == 3
    assert len(steps) == 1


def test_one_bad_job_does_not_fail_its_companions(models: Path, job: Job) -> None:
    good = three(job)
    bad = replace(job("bad"), at_once=4, request=good[0].request | {"colour": "red"})
    said = io.BytesIO()
    Desk(Residents("cpu", models, "auto"), False, said).paint_together((good[0], bad, good[1]))
    ends = {word.job: word for word in heard(said) if isinstance(word, Painted | Failed)}
    assert isinstance(ends["bad"], Failed)
    assert "colour" in ends["bad"].sentence
    assert isinstance(ends["job0"], Painted)
    assert isinstance(ends["job1"], Painted)


def test_one_that_was_stopped_before_it_began_is_answered_and_left_out(
    models: Path, job: Job
) -> None:
    said = io.BytesIO()
    desk = Desk(Residents("cpu", models, "auto"), False, said)
    jobs = three(job)
    desk.cancelled.add(("job0", 1))
    desk.paint_together(tuple(jobs))
    ends = [word.job for word in heard(said) if isinstance(word, Painted | Cancelled)]
    assert ends == ["job0", "job1", "job2"]
    assert not desk.cancelled


def test_they_cross_the_border(job: Job) -> None:
    together = Together(tuple(three(job)))
    assert unpack(pack(together)) == together


def heard(said: io.BytesIO) -> list[FromWorker]:
    said.seek(0)
    words: list[FromWorker] = []
    while (word := read_frame(said)) is not None:
        words.append(word)  # type: ignore[arg-type]
    return words
