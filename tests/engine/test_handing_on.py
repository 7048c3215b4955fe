"""The last file of a job made while the next one is painted: the same ones, each with one end."""

import io
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.engine import paint as painting
from studio.engine.ladder import Ladder
from studio.engine.loop import Desk
from studio.engine.paint import paint
from studio.engine.residents import Residents
from studio.engine.saving import File, make_file
from studio.messages import (
    Cancelled,
    Failed,
    FromWorker,
    Paint,
    Painted,
    Progress,
    Writing,
    read_frame,
)
from tests.engine.conftest import NUMPY_COPY, Job
from tests.engine.test_saving import on_a_card as on_a_card

pytestmark = NUMPY_COPY
Told = list[tuple[str, str]]


class Slowly:
    """Makes a file when `door` opens; counts how many are made at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.door, self.made, self.at_once = threading.Event(), 0, 0
        self._now, self._count = 0, threading.Lock()
        monkeypatch.setattr(painting, "make_file", self._make)

    def _make(self, image: Image.Image, *more: str) -> File:
        with self._count:
            self._now += 1
            self.at_once = max(self.at_once, self._now)
        assert self.door.wait(20)
        try:
            return make_file(image, *more)  # type: ignore[arg-type]
        finally:
            with self._count:
                self._now -= 1
                self.made += 1


class Table:
    """A desk, and what was said over it."""

    def __init__(self, residents: Residents) -> None:
        self._said = io.BytesIO()
        self.desk = Desk(residents, False, self._said)

    def words(self) -> list[FromWorker]:
        heard = io.BytesIO(self._said.getvalue())
        return list(iter(lambda: read_frame(heard), None))  # type: ignore[arg-type]

    def told(self) -> Told:
        """Without the steps."""
        words = [word for word in self.words() if not isinstance(word, Progress)]
        return [(word.kind, word.job) for word in words]

    def ends(self) -> dict[str, FromWorker]:
        ends = (word for word in self.words() if isinstance(word, Painted | Failed | Cancelled))
        return {end.job: end for end in ends}

    def until(self, *told: tuple[str, str]) -> None:
        until(lambda: self.told()[-len(told) :] == list(told))


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def table(on_a_card: Residents) -> Table:
    return Table(on_a_card)


@pytest.fixture
def ahead(job: Job) -> Callable[..., Paint]:
    return lambda name, **fields: replace(job(name, **fields), ahead=True)


def pixels(end: FromWorker, place: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    assert isinstance(end, Painted)
    return np.asarray(Image.open(io.BytesIO(end.pictures[place].data)))


def test_the_next_is_painted_before_the_file_of_the_first_is_there(
    table: Table,
    ahead: Callable[..., Paint],
    residents: Residents,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slowly = Slowly(monkeypatch)
    one, other = ahead("one", seed=1), ahead("other", seed=2)
    table.desk.paint(one)
    assert table.told() == [("writing", "one")]
    painted = threading.Thread(target=table.desk.paint, args=(other,))
    painted.start()
    until(lambda: sum(isinstance(word, Progress) and word.step == 2 for word in table.words()) == 2)
    assert table.told() == [("writing", "one")]
    slowly.door.set()
    painted.join()
    table.until(("writing", "one"), ("painted", "one"), ("writing", "other"), ("painted", "other"))
    assert slowly.at_once == 1
    ends = table.ends()
    for asked in (one, other):
        usual = paint(asked, residents, False, lambda word: None)
        assert np.array_equal(pixels(ends[asked.job]), pixels(usual))


def test_of_a_job_of_several_only_the_last_file_is_made_later(
    table: Table, ahead: Callable[..., Paint]
) -> None:
    table.desk.paint(ahead("one", count=3))
    table.until(("writing", "one"), ("painted", "one"))
    end = table.ends()["one"]
    assert isinstance(end, Painted)
    assert [picture.index for picture in end.pictures] == [0, 1, 2]
    assert end.timings["save"] > 0


def test_of_a_pass_the_last_one_is_handed_on_and_none_is_painted_twice(
    table: Table, ahead: Callable[..., Paint]
) -> None:
    jobs = tuple(replace(ahead(f"job{n}", seed=n), at_once=3) for n in range(3))
    table.desk.paint_together(jobs)
    table.until(("painted", "job1"), ("writing", "job2"), ("painted", "job2"))
    assert len(table.told()) == 4
    assert not table.desk.cancelled


def test_who_was_not_asked_to_hand_on_does_not(table: Table, job: Job) -> None:
    table.desk.paint(job("one"))
    assert table.told() == [("painted", "one")]


def test_on_a_cpu_nothing_is_handed_on(residents: Residents, ahead: Callable[..., Paint]) -> None:
    table = Table(residents)
    table.desk.paint(ahead("one"))
    assert table.told()[-1] == ("painted", "one")
    assert ("writing", "one") not in table.told()


def test_a_file_that_cannot_be_made_is_the_end_of_its_job_alone(
    table: Table, ahead: Callable[..., Paint], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> File:
        monkeypatch.undo()
        raise OSError("no room")

    monkeypatch.setattr(painting, "make_file", fails)
    table.desk.paint(ahead("one"))
    table.desk.paint(ahead("other"))
    table.until(("writing", "other"), ("painted", "other"))
    failed = table.ends()["one"]
    assert isinstance(failed, Failed)
    assert (failed.code, "no room" in failed.detail) == ("internal", True)


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_who_ends_sooner_is_told_of_after_the_one_before(
    table: Table, ahead: Callable[..., Paint], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    slowly = Slowly(monkeypatch)
    table.desk.paint(ahead("one"))
    other = ahead("other")
    if how == "cancelled":
        table.desk.cancelled.add(("other", other.token))
    else:
        other = replace(other, request=other.request | {"colour": "red"})
    threading.Timer(0.3, slowly.door.set).start()
    table.desk.paint(other)
    assert table.told() == [("writing", "one"), ("painted", "one"), (how, "other")]


def test_where_memory_ran_out_a_job_is_finished_before_the_next_begins(
    table: Table, ahead: Callable[..., Paint], monkeypatch: pytest.MonkeyPatch
) -> None:
    falls = iter([MemoryError("once")])
    lend = Residents.get

    def get(residents: Residents, *wanted: object) -> object:
        if error := next(falls, None):
            raise error
        return lend(residents, *wanted)  # type: ignore[arg-type]

    monkeypatch.setattr(Residents, "get", get)
    monkeypatch.setattr(Residents, "clear", lambda residents: None)
    table.desk.paint(ahead("one"))
    table.desk.paint(ahead("other"))
    assert [kind for kind, _ in table.told()] == ["loading", "painted", "painted"]


def test_the_ladder_paints_whole_for_who_takes_no_file_later(
    on_a_card: Residents, ahead: Callable[..., Paint]
) -> None:
    painted = Ladder(on_a_card).paint(ahead("one"), False, lambda word: None)
    assert len(painted.pictures) == 1


def test_an_order_to_hand_on_crosses_the_border(models: Path, ahead: Callable[..., Paint]) -> None:
    said = io.BytesIO()
    Desk(Residents("cpu", models, "fp32"), False, said)._hand_on(ahead("one"))
    said.seek(0)
    assert read_frame(said) == Writing("one", 1)
