"""Files made beside the painting of the next picture: the same ones, told in their order."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.engine.job import Stopped
from studio.engine.paint import paint, paint_together
from studio.engine.residents import Residents
from studio.engine.saving import File, Saver
from studio.messages import Cancelled, Failed, Loading, Painted, Progress
from studio.models.card import ModelCard
from tests.engine.conftest import NUMPY_COPY, Job

pytestmark = NUMPY_COPY


@pytest.fixture
def on_a_card(models: Path, card: ModelCard) -> Residents:
    """A card is played: it paints here, but believes that the CPU is free."""
    residents = Residents("cpu", models, "fp32")
    painter = residents.get(card, residents.key(card, "", "auto"))
    painter.plan = replace(painter.plan, device="mps")
    return residents


def file(data: bytes) -> File:
    return File(data, b"", (), None, 0.0)


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_the_pictures_are_the_same(
    on_a_card: Residents, residents: Residents, job: Job, form: str
) -> None:
    told: list[tuple[int, int]] = []
    wish = job(count=3, output_format=form)
    beside = paint(wish, on_a_card, False, lambda word: told.append(_place(word)))
    usual = paint(wish, residents, False, lambda word: None)
    assert [_alike(one) for one in beside.pictures] == [_alike(one) for one in usual.pictures]
    assert [place for place, _ in told] == sorted(place for place, _ in told)
    assert beside.timings["save"] > 0


def _place(word: Loading | Progress) -> tuple[int, int]:
    assert isinstance(word, Progress)
    return word.index, word.step


def _alike(picture: Any) -> tuple[Any, ...]:
    return picture.index, picture.seed, picture.width, picture.thumb, len(picture.data) > 100


def test_side_by_side_each_ends_as_if_it_were_alone(on_a_card: Residents, job: Job) -> None:
    ends: list[Painted | Failed | Cancelled] = []
    jobs = [replace(job(f"job{n}", seed=n), at_once=3) for n in range(3)]

    def tell(word: Loading | Progress) -> None:
        if word.job == "job1" and isinstance(word, Progress) and word.step == 2:
            raise Stopped

    paint_together(jobs, on_a_card, False, tell, ends.append)
    assert [(type(end), end.job) for end in ends] == [
        (Cancelled, "job1"),
        (Painted, "job0"),
        (Painted, "job2"),
    ]


def test_a_job_that_is_stopped_while_its_file_is_made_has_one_end(
    on_a_card: Residents, job: Job
) -> None:
    ends: list[Painted | Failed | Cancelled] = []

    def tell(word: Loading | Progress) -> None:
        if isinstance(word, Progress) and word.index == 1:
            raise Stopped

    paint_together([job(count=2)], on_a_card, False, tell, ends.append)
    assert [type(end) for end in ends] == [Cancelled]


def test_one_is_on_its_way_and_no_more() -> None:
    """The next begins while the first is made; the one after it waits."""
    go, made = threading.Event(), []

    def slowly() -> File:
        assert go.wait(10)
        return file(b"first")

    def second() -> File:
        made.append("second is made")
        return file(b"second")

    with Saver(beside=True) as saver:
        saver.save(slowly, lambda one: made.append(f"{one.data.decode()} is told"))
        assert made == []  # and yet this thread is here, and paints
        go.set()
        saver.save(second, lambda one: made.append(f"{one.data.decode()} is told"))
        assert made[0] == "first is told"
    assert made == ["first is told", "second is made", "second is told"]


def test_what_is_told_is_told_by_the_thread_that_paints() -> None:
    told: list[str] = []
    with Saver(beside=True) as saver:
        saver.save(
            lambda: file(threading.current_thread().name.encode()),
            lambda one: told.extend([one.data.decode(), threading.current_thread().name]),
        )
    assert told == ["saving_0", threading.current_thread().name]


def test_an_error_of_a_file_is_an_error_of_its_job() -> None:
    def fails() -> File:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"), Saver(beside=True) as saver:
        saver.save(fails, lambda one: None)
    assert not list(_savers())


def test_after_an_error_nothing_more_is_told() -> None:
    told: list[File] = []
    with pytest.raises(ValueError, match="elsewhere"), Saver(beside=True) as saver:
        saver.save(lambda: file(b""), told.append)
        raise ValueError("elsewhere")
    assert told == []
    assert not list(_savers())


def test_on_a_cpu_no_second_thread_takes_part() -> None:
    made: list[str] = []
    with Saver(beside=False) as saver:
        saver.save(
            lambda: file(threading.current_thread().name.encode()),
            lambda one: made.append(one.data.decode()),
        )
    assert made == [threading.current_thread().name]


def _savers() -> Iterator[str]:
    return (one.name for one in threading.enumerate() if one.name.startswith("saving"))
