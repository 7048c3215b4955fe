"""What is forecast is what the schedule will do; what cannot be known is left out."""

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import inf

import pytest

from studio.jobs import fake
from studio.jobs.forecast import Forecaster, Look, Now, Times, play
from studio.jobs.slot import Gone, Inbox
from studio.jobs.state import Gpu, Need, Resident, State, Waiting
from studio.jobs.together import Kind, Paid
from studio.messages import FromWorker, Paint, Painted
from tests.conftest import OpenStudio, behind
from tests.jobs.test_pool import until, wish
from tests.pace import within

NEEDS = {"small": Need(1, 8, 5.0), "wide": Need(2, 16, 20.0), "new": Need(1, 8, 5.0)}


def waiting(
    job: str, model: str = "small", seconds: float | None = 10.0, **more: object
) -> Waiting:
    given = {"owner": "ann", "rank": 1, "turn": int(job[1:]), "since": 0.0, **more}
    return Waiting(job, model, seconds=seconds, shared=seconds or 0.0, **given)  # type: ignore[arg-type]


def seen(*jobs: Waiting, gpus: int = 2, painting: dict[str, tuple[str, Times]] | None = None,
         **more: object) -> Now:  # fmt: skip
    lines: dict[tuple[int, str, str], list[Waiting]] = {}
    for job in jobs:
        lines.setdefault(job.line, []).append(job)
    busy = [times.ends for _, times in (painting or {}).values()]
    there = [Gpu(f"gpu{n}", "here", 24.0, busy[n] if n < len(busy) else None) for n in range(gpus)]
    state = State(100.0, lines, there, NEEDS, **more)  # type: ignore[arg-type]
    return Now(state, painting or {})


def test_jobs_follow_each_other_on_each_gpu_and_load_once() -> None:
    found = play(seen(*(waiting(f"j{n}") for n in range(5))))
    assert found == {
        "j0": Times(100, 115), "j1": Times(100, 115),
        "j2": Times(115, 125), "j3": Times(115, 125), "j4": Times(125, 135),
    }  # fmt: skip


def test_a_running_job_is_waited_for_and_its_model_is_there() -> None:
    painting = {"now": ("ann", Times(90.0, 130.0))}
    here = (Resident("small", ("gpu0",)),)
    found = play(seen(waiting("j0"), gpus=1, painting=painting, residents=here))
    assert found == {"now": Times(90, 130), "j0": Times(130, 140)}


def test_what_stands_behind_an_unknown_length_has_no_forecast() -> None:
    jobs = [waiting("j0", "new", None), waiting("j1"), waiting("j2")]
    found = play(seen(*jobs, gpus=1))
    assert found["j0"] == Times(100, inf)
    assert not found.keys() & {"j1", "j2"}
    other = play(seen(*jobs, gpus=2))
    assert (other["j1"], other["j2"]) == (Times(100, 115), Times(115, 125))


def test_a_shared_pass_begins_and_ends_together_at_what_it_costs() -> None:
    kind = Kind("small", 64 * 64, True, "")
    paid = Paid({kind.on("gpu0"): {1: 1.0, 2: 0.6, 4: 0.6}})
    alike = [waiting(f"j{n}", kind=kind) for n in range(3)]
    others = [waiting("j3"), waiting("j4", kind=kind._replace(rest="other"))]
    found = play(replace(seen(*alike, *others, gpus=1), paid=paid))
    assert found["j0"] == found["j1"] == Times(100, 100 + 5 + 20 * 0.6)
    assert [found[f"j{n}"].ends for n in (2, 3, 4)] == [127, 137, 147]
    both = Paid({kind.on(f"gpu{n}"): {1: 1.0, 2: 0.6, 4: 0.6} for n in (0, 1)})
    found = play(replace(seen(*(waiting(f"j{n}", kind=kind) for n in range(4)), gpus=2), paid=both))
    assert {times.ends for times in found.values()} == {100 + 5 + 20 * 0.6}
    limited = play(replace(seen(*alike, gpus=1, most_running=1), paid=paid))
    assert [limited[f"j{n}"].ends for n in (0, 1, 2)] == [115, 125, 135]


def test_a_forecast_that_stumbles_hides_no_job(
    open_studio: OpenStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumbles(seen: Now) -> dict[str, Times]:
        raise KeyError("j1")

    monkeypatch.setattr("studio.jobs.forecast.play", stumbles)
    studio = open_studio(fake.FakeSlot(script=lambda message, stop: iter(())))
    jobs = studio.line.submit([wish(), wish()])
    assert studio.line.view(jobs[1].id).times is None


def test_a_wide_job_begins_when_its_gpus_are_free_and_classes_come_first() -> None:
    painting = {"now": ("ann", Times(90.0, 130.0))}
    jobs = [waiting("j0", "wide", 30.0, rank=2), waiting("j1", seconds=60.0)]
    found = play(seen(*jobs, painting=painting))
    assert found["j0"] == Times(130, 180)
    assert found["j1"].begins == 180


def test_one_that_waits_for_the_card_with_its_model_lets_the_next_in_its_line_go_first() -> None:
    painting = {"now": ("ann", Times(90.0, 103.0))}
    here = (Resident("small", ("gpu0",)),)
    jobs = [waiting(f"j{n}") for n in range(3)]
    found = play(seen(*jobs, painting=painting, residents=here))
    assert found.keys() == {"now", "j0", "j1", "j2"}
    assert found["j0"].begins == 103
    assert found["j1"].begins == 100


def test_a_limit_on_one_owner_is_kept_in_the_forecast() -> None:
    jobs = [waiting(f"j{n}") for n in range(2)]
    found = play(seen(*jobs, most_running=1))
    assert (found["j0"].begins, found["j1"].begins) == (100, 115)


def test_only_so_many_are_played_and_a_long_line_takes_no_longer() -> None:
    jobs = [waiting(f"j{n}", owner=f"o{n % 50}") for n in range(10_000)]
    for _ in within(5):
        assert len(play(seen(*jobs, gpus=4), most=40)) <= 43


def test_a_pool_that_is_busy_is_not_waited_for_and_is_not_asked_at_once_again() -> None:
    inbox: Inbox = Inbox()
    forecaster = Forecaster(inbox)
    assert forecaster.times("j0") is None
    assert forecaster.times("j0") is None
    assert isinstance(inbox.get_nowait(), Look)
    assert inbox.empty()


def test_who_waits_is_told_when_from_what_was_measured(open_studio: OpenStudio) -> None:
    door, told = threading.Event(), list[Now]()
    door.set()

    def quarter(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
        for said in behind(door)(message, cancelled):
            if isinstance(said, Painted):
                said.timings.update(steps=0.25, total=0.25)
            yield said

    studio = open_studio(fake.FakeSlot("a", quarter))
    assert studio.line.wait(studio.line.submit([wish()])[0].id, 60).job.state == "done"
    door.clear()
    jobs = studio.line.submit([wish(guidance=2.0 + n) for n in range(5)])  # no two in one pass
    until(lambda: studio.line.view(jobs[-1].id).times is not None)
    view = studio.line.view(jobs[-1].id)
    assert view.times
    assert view.times.begins > view.job.created_at
    assert re.search(r"before it, begins in about \d s", view.words)
    until(lambda: (found := studio.line.forecaster.now()) and told.append(found) is None)
    found = play(told[0])
    for one, other in pairwise(job.id for job in jobs[1:]):
        assert found[other].begins == pytest.approx(found[one].ends)
        assert found[other].ends - found[other].begins == pytest.approx(0.25)
    door.set()
    assert studio.line.wait(jobs[0].id, 60).job.timings["expected"] == pytest.approx(0.25)
