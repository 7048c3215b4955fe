"""The schedule is pure: whose turn it is, where it fits, and what is kept for whom."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.jobs.schedule import AGE_SECONDS, PASS_SECONDS, PASSES, schedule
from studio.jobs.state import Decision, Gpu, Need, Passed, Resident, State, Waiting

NEEDS = {"sdxl": Need(1, 9, 10), "sana": Need(1, 9, 10), "flux": Need(2, 17, 30)}
NOW = 10_000.0


def job(seq: int, model: str = "sdxl", **fields: object) -> Waiting:
    known = {"owner": "local", "rank": 1, "since": NOW - 1, "seconds": 3.0}
    return Waiting(f"job{seq}", model, turn=seq, **known | fields)  # type: ignore[arg-type]


def gpus(count: int, gb: float = 24, busy: Sequence[int] = (), until: float = NOW + 5) -> list[Gpu]:
    return [Gpu(f"g{i}", f"m{i // 8}", gb, until if i in busy else None) for i in range(count)]


def decide(waiting: Sequence[Waiting], there: Sequence[Gpu], **fields: object) -> Decision:
    lines: dict[tuple[int, str, str], list[Waiting]] = {}
    for one in sorted(waiting, key=lambda one: one.turn):
        lines.setdefault(one.line, []).append(one)
    known: dict[str, object] = {"now": NOW, "lines": lines, "gpus": there, "needs": NEEDS}
    return schedule(State(**known | fields))  # type: ignore[arg-type]


def started(decision: Decision) -> list[str]:
    return [start.job for start in decision.starts]


# The table of the system before us, and mixtures


@pytest.mark.parametrize(
    ("cards", "narrow", "wide", "at_once"),
    [(4, 2, 0, 2), (8, 0, 3, 3), (4, 5, 0, 4), (8, 0, 6, 4), (8, 2, 3, 5), (8, 5, 2, 6),
     (4, 1, 1, 2), (3, 3, 1, 3), (64, 30, 20, 47)],
)  # fmt: skip
def test_wide_and_narrow_share_the_cards(cards: int, narrow: int, wide: int, at_once: int) -> None:
    waiting = [job(i) for i in range(narrow)] + [job(narrow + i, "flux") for i in range(wide)]
    decision = decide(waiting, gpus(cards))
    assert len(decision.starts) == at_once
    assert all(
        len(start.gpus) == NEEDS[model_of(start.job, waiting)].gpus for start in decision.starts
    )


def model_of(name: str, waiting: Sequence[Waiting]) -> str:
    return next(one.model for one in waiting if one.job == name)


# Whose turn it is


def test_the_first_to_come_is_painted_first() -> None:
    assert started(decide([job(2), job(1), job(3)], gpus(1))) == ["job1"]


def test_a_higher_class_goes_before_an_earlier_arrival() -> None:
    assert started(decide([job(1), job(2, rank=3)], gpus(1))) == ["job2"]


def test_an_old_job_rises_by_a_class_and_no_higher_than_the_highest() -> None:
    old = job(1, rank=0, since=NOW - 2 * AGE_SECONDS)
    assert started(decide([old, job(2, rank=1)], gpus(1))) == ["job1"]
    ancient = job(2, rank=0, since=NOW - 100 * AGE_SECONDS)
    assert started(decide([job(1, rank=3), ancient], gpus(1))) == ["job1"]


def test_inside_a_class_the_owner_who_had_least_comes_first() -> None:
    waiting = [job(1, owner="ann"), job(2, owner="ann"), job(3, owner="bob")]
    assert started(decide(waiting, gpus(1), had={"ann": 10.0})) == ["job3"]
    assert started(decide(waiting, gpus(2))) == ["job1", "job3"]


def test_nobody_paints_more_at_once_than_the_limit_and_is_told_so() -> None:
    waiting = [job(1, owner="ann"), job(2, owner="ann"), job(3, owner="bob")]
    decision = decide(waiting, gpus(4), running={"ann": 1}, most_running=2)
    assert started(decision) == ["job1", "job3"]
    assert "ann" in decision.held["job2"]


# Models in memory


def test_a_gpu_that_holds_the_model_is_preferred_and_the_reason_says_so() -> None:
    (start,) = decide([job(1)], gpus(2), residents=[Resident("sdxl", ("g1",))]).starts
    assert (start.gpus, start.loads) == (("g1",), False)
    assert start.reason == "g1 holds sdxl already"


def test_an_empty_gpu_is_taken_before_one_whose_model_would_have_to_leave() -> None:
    (start,) = decide([job(1)], gpus(2, gb=10), residents=[Resident("sana", ("g0",))]).starts
    assert (start.gpus, start.leave) == (("g1",), ())


def test_of_two_that_could_leave_the_one_that_is_wanted_less_does() -> None:
    here = [Resident("sana", ("g0",)), Resident("sdxl", ("g1",))]
    needs = NEEDS | {"new": Need(1, 9, 10)}
    decision = decide(
        [job(1, "new")], gpus(2, gb=10), residents=here, needs=needs, wanted={"sana": 60.0}
    )
    assert decision.starts[0].leave == (Resident("sdxl", ("g1",)),)


def test_a_wide_model_asks_narrow_ones_on_both_its_gpus_to_leave() -> None:
    here = [Resident("sdxl", ("g0",)), Resident("sdxl", ("g1",))]
    (start,) = decide([job(1, "flux")], gpus(2), residents=here).starts
    assert set(start.leave) == set(here)
    (start,) = decide([job(1, "flux")], gpus(2, gb=80), residents=here).starts
    assert start.leave == ()


def test_what_needs_no_loading_goes_first_but_only_so_often() -> None:
    here = [Resident("sdxl", ("g0",))]
    waiting = [job(1, "sana"), job(2)]
    once = decide(waiting, gpus(1, gb=10), residents=here)
    assert started(once) == ["job2"]
    line = waiting[0].line
    assert once.passed == {line: Passed(1, NOW)}
    for passed in (Passed(PASSES, NOW), Passed(1, NOW - PASS_SECONDS)):
        enough = decide(waiting, gpus(1, gb=10), residents=here, passed={line: passed})
        assert started(enough) == ["job1"]
        assert enough.passed == {}


def test_a_higher_class_is_never_passed_over_for_a_model() -> None:
    waiting = [job(1, "sana", rank=2), job(2)]
    decision = decide(waiting, gpus(1, gb=10), residents=[Resident("sdxl", ("g0",))])
    assert started(decision) == ["job1"]


def test_who_is_served_sooner_by_waiting_waits_and_is_told_for_whom() -> None:
    here = [Resident("sdxl", ("g0",))]
    decision = decide([job(1)], gpus(2, busy=[0]), residents=here)
    assert started(decision) == []
    assert decision.held["job1"] == (
        "g0 holds sdxl and is free in 5 s; to load it once more would cost 10 s"
    )
    later = decide([job(1)], gpus(2, busy=[0], until=NOW + 11), residents=here)
    assert started(later) == ["job1"]


def test_of_many_that_wait_for_one_gpu_the_rest_loads_another() -> None:
    waiting = [job(i) for i in range(6)]
    decision = decide(
        waiting, gpus(2, busy=[0], until=NOW + 2), residents=[Resident("sdxl", ("g0",))]
    )
    assert started(decision) == ["job3"]  # three are done there before it could begin


# Wide jobs


def test_a_wide_job_keeps_the_gpus_that_are_free_first() -> None:
    waiting = [job(1, "flux"), job(2)]
    decision = decide(waiting, gpus(2, busy=[1], until=NOW + 60))
    assert started(decision) == ["job2"]  # ten to load and three to paint: over before that
    decision = decide(waiting, gpus(2, busy=[1], until=NOW + 5))
    assert started(decision) == []
    assert decision.held["job1"] == "g0 and g1 are kept for it and free in 5 s"


def test_a_job_of_unknown_length_does_not_paint_where_a_wide_one_waits() -> None:
    waiting = [job(1, "flux"), job(2, seconds=None)]
    assert started(decide(waiting, gpus(2, busy=[1], until=NOW + 60))) == []


def test_a_wide_job_never_spans_two_machines() -> None:
    there = [Gpu("a", "m0", 24), Gpu("b", "m1", 24)]
    decision = decide([job(1, "flux")], there)
    assert decision.held == {"job1": "flux needs 2 GPUs of one machine"}


def test_a_narrow_job_leaves_neighbours_together() -> None:
    (start,) = decide([job(1)], gpus(4, busy=[2])).starts
    assert start.gpus == ("g3",)


def test_gpus_kept_for_a_model_paint_it_alone_and_nothing_else_does() -> None:
    needs = NEEDS | {"flux": replace(NEEDS["flux"], only=frozenset({"g0", "g1"}))}
    waiting = [job(1), job(2), job(3), job(4, "flux"), job(5, "flux")]
    decision = decide(waiting, gpus(4), needs=needs)
    assert {start.job: set(start.gpus) for start in decision.starts} == {
        "job1": {"g2"}, "job2": {"g3"}, "job4": {"g0", "g1"},
    }  # fmt: skip
    held = decide([job(1)], gpus(2), needs=needs).held
    assert held == {"job1": "every GPU is kept for other models"}


# GPUs of unlike memory

LARGE = NEEDS | {"large": Need(1, 40, 20)}


def cards(*gb: float, busy: Sequence[int] = ()) -> list[Gpu]:
    return [Gpu(f"g{i}", "m0", one, NOW + 5 if i in busy else None) for i, one in enumerate(gb)]


def test_a_model_waits_for_a_card_that_is_large_enough_and_is_told_so() -> None:
    decision = decide([job(1, "large"), job(2)], cards(24, 80, busy=[1]), needs=LARGE)
    assert started(decision) == ["job2"]
    assert decision.held == {"job1": "all with 40 GB are taken"}
    (start,) = decide([job(1, "large")], cards(24, 80), needs=LARGE).starts
    assert (start.gpus, start.reason) == (("g1",), "g1 has room for large")


def test_a_large_card_is_left_to_those_who_need_it() -> None:
    decision = decide([job(1), job(2, "large"), job(3)], cards(80, 10, 24), needs=LARGE)
    assert {start.job: start.gpus for start in decision.starts} == {
        "job1": ("g1",), "job2": ("g0",), "job3": ("g2",),
    }  # fmt: skip


def test_where_no_card_is_large_enough_the_largest_will_have_to_do_and_it_says_so() -> None:
    (start,) = decide([job(1, "large")], cards(10, 24), needs=LARGE).starts
    assert (start.gpus, start.reason) == (
        ("g1",), "g1 has less than the 40 GB that large takes, but there is no place with more"
    )  # fmt: skip
    here = [Resident("sdxl", ("g0",))]
    (start,) = decide([job(1, "flux")], cards(10, 10), residents=here).starts
    assert start.gpus == ("g0", "g1")
    assert start.reason.endswith("no place with more, and sdxl leaves for it")


def test_two_large_cards_of_different_machines_are_no_place_for_a_wide_model() -> None:
    there = [Gpu("a", "m0", 80), Gpu("b", "m0", 10), Gpu("c", "m1", 80), Gpu("d", "m1", 10)]
    (start,) = decide([job(1, "flux")], there).starts
    assert len({gpu.machine for gpu in there if gpu.name in start.gpus}) == 1
    assert "less than the 17 GB" in start.reason


def test_who_holds_it_on_a_card_that_is_too_small_is_not_waited_for() -> None:
    """It was loaded there before the larger card came."""
    here = [Resident("large", ("g0",))]
    (start,) = decide([job(1, "large")], cards(24, 80), needs=LARGE, residents=here).starts
    assert (start.gpus, start.loads) == (("g1",), True)


# For all lines

models = st.sampled_from(sorted(NEEDS))
jobs = st.lists(
    st.builds(
        job, st.integers(0, 10_000), models, owner=st.sampled_from(["ann", "bob", "eve"]),
        rank=st.integers(0, 3), since=st.floats(NOW - 5000, NOW),
        seconds=st.none() | st.floats(0.1, 100),
    ),
    unique_by=lambda one: one.turn, max_size=30,
)  # fmt: skip
frees = st.lists(st.none() | st.floats(NOW, NOW + 100), min_size=1, max_size=16)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Waiting], list[Gpu], list[Resident]]:
    """GPUs of the same memory, or of any."""
    sizes = draw(st.lists(st.sampled_from([10.0, 24.0, 80.0]), min_size=1, max_size=16))
    there = [
        Gpu(f"g{i}", f"m{i // 8}", sizes[i % len(sizes)], free)
        for i, free in enumerate(draw(frees))
    ]
    here = [
        Resident(model, (gpu.name,))
        for gpu in there
        for model in draw(st.sampled_from([(), ("sdxl",), ("sana",)]))
    ]
    return draw(jobs), there, here


@settings(max_examples=300)
@given(worlds())
def test_no_gpu_is_given_twice_and_no_class_is_overtaken(
    world: tuple[list[Waiting], list[Gpu], list[Resident]],
) -> None:
    waiting, there, here = world
    decision = decide(waiting, there, residents=here)
    given_out = [name for start in decision.starts for name in start.gpus]
    assert len(given_out) == len(set(given_out))
    assert set(given_out) <= {gpu.name for gpu in there if gpu.free_at is None}
    assert len(set(started(decision))) == len(decision.starts)
    for start in decision.starts:
        assert len(start.gpus) == NEEDS[model_of(start.job, waiting)].gpus
        assert len({gpu.machine for gpu in there if gpu.name in start.gpus}) == 1
        assert all(set(one.gpus) <= set(start.gpus) for one in start.leave)
        need = NEEDS[model_of(start.job, waiting)]
        large = [gpu for gpu in there if gpu.gb >= need.gb]
        per_machine = Counter(gpu.machine for gpu in large)
        if max(per_machine.values(), default=0) >= need.gpus:
            assert set(start.gpus) <= {gpu.name for gpu in large}


@settings(max_examples=300)
@given(worlds(), st.data())
def test_no_gpu_idles_while_a_job_that_fits_it_waits(
    world: tuple[list[Waiting], list[Gpu], list[Resident]], data: st.DataObject
) -> None:
    """Where nobody waits for several, or for one that holds its model already."""
    needs = {"sdxl": Need(1, 9), "sana": Need(1, 20), "large": Need(1, 40), "huge": Need(1, 99)}
    some, there, _ = world
    waiting = [
        job(one.turn, data.draw(st.sampled_from(sorted(needs))), owner=one.owner, rank=one.rank)
        for one in some
    ]
    decision = decide(waiting, there, needs=needs)
    busy = {name for start in decision.starts for name in start.gpus}
    idle = [gpu for gpu in there if gpu.free_at is None and gpu.name not in busy]
    left = {one.model for one in waiting if one.job not in started(decision)}
    most = max(gpu.gb for gpu in there)
    for model in left:
        gb = needs[model].gb
        assert not any(gpu.gb >= gb or most < gb for gpu in idle), (model, decision)


@settings(max_examples=300)
@given(worlds())
def test_a_gpu_idles_only_for_a_reason_that_is_told(
    world: tuple[list[Waiting], list[Gpu], list[Resident]],
) -> None:
    """Every head that stays while a GPU is free was told what it waits for."""
    waiting, there, here = world
    decision = decide(waiting, there, residents=here)
    busy = {name for start in decision.starts for name in start.gpus}
    if not [gpu for gpu in there if gpu.free_at is None and gpu.name not in busy]:
        return
    gone = set(started(decision))
    lines: dict[tuple[int, str, str], list[Waiting]] = {}
    for one in sorted(waiting, key=lambda one: one.turn):
        if one.job not in gone:
            lines.setdefault(one.line, []).append(one)
    for line in lines.values():
        assert line[0].job in decision.held


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_every_job_is_painted_in_the_end(
    world: tuple[list[Waiting], list[Gpu], list[Resident]],
) -> None:
    waiting, there, here = world
    if len(there) < 2:
        waiting = [one for one in waiting if one.model != "flux"]
    now, left, free_at = NOW, list(waiting), {gpu.name: gpu.free_at for gpu in there}
    passed: dict[tuple[int, str, str], Passed] = {}
    for _ in range(10 * len(waiting) + 10):
        current = [replace(gpu, free_at=free_at[gpu.name]) for gpu in there]
        decision = decide(left, current, now=now, residents=here, passed=passed)
        passed = decision.passed
        for start in decision.starts:
            one = next(one for one in left if one.job == start.job)
            left.remove(one)
            here = [other for other in here if other not in start.leave]
            if start.loads:
                here.append(Resident(one.model, start.gpus))
            for name in start.gpus:
                free_at[name] = now + 10 * start.loads + (one.seconds or 5)
        ends = [at for at in free_at.values() if at is not None]
        if not left or not ends:
            break
        now = max(now, min(ends))
        free_at = {name: None if at is None or at <= now else at for name, at in free_at.items()}
    alone = [gpu for gpu in there if len([o for o in there if o.machine == gpu.machine]) < 2]
    if len(alone) < len(there):
        assert not left
