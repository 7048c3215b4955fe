"""What the schedule remembers: fair shares that newcomers cannot starve, and old places kept."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from studio.jobs.schedule import AGE_SECONDS
from studio.jobs.state import Gpu, Need, Waiting
from studio.jobs.turns import HALF_SECONDS, Turns

GPU = [Gpu("g0", "m0", 24)]
NEEDS = {"sdxl": Need(1, 9, 10)}


OWNERS: dict[str, tuple[str, float]] = {}


def job(seq: int, owner: str = "ann", seconds: float = 10.0) -> Waiting:
    OWNERS[f"job{seq}"] = (owner, seconds)
    return Waiting(f"job{seq}", "sdxl", owner, 1, seq, 0.0, seconds)


def next_up(turns: Turns, now: float = 0.0) -> str:
    (start,) = turns.decide(now, GPU, [], {}).starts
    turns.charge(*OWNERS[start.job])
    return start.job


def test_a_job_that_is_put_back_stands_where_it_stood() -> None:
    turns = Turns(NEEDS)
    for seq in (1, 3, 2):
        turns.enter(job(seq), 0)
    assert next_up(turns) == "job1"
    turns.enter(job(1), 0)
    turns.enter(job(1), 0)  # said twice, stands once
    assert (len(turns), "job1" in turns) == (3, True)
    assert [next_up(turns) for _ in range(3)] == ["job1", "job2", "job3"]


def test_who_left_is_not_painted() -> None:
    turns = Turns(NEEDS)
    turns.enter(job(1), 0)
    turns.enter(job(2), 0)
    turns.leave("job1")
    turns.leave("job1")  # said twice, left once
    assert len(turns) == 1
    assert next_up(turns) == "job2"
    assert turns.decide(0, GPU, [], {}).starts == []


def test_owners_share_by_the_seconds_they_had() -> None:
    """Bob's pictures take three times as long: Ann is given three for each of his."""
    turns = Turns(NEEDS)
    for seq in range(40):
        turns.enter(job(seq, "ann", 10.0), 0)
        turns.enter(job(100 + seq, "bob", 30.0), 0)
    order = [next_up(turns) for _ in range(40)]
    assert sum(int(name[3:]) < 100 for name in order) == 30


def test_newcomers_do_not_starve_one_who_waits() -> None:
    """Somebody new with every picture always had less; but who is old enough rises above them."""
    turns = Turns(NEEDS)
    for seq in range(5):
        turns.enter(job(seq), 0)
    order = [next_up(turns)]
    while len(order) < 80:
        now = 10.0 * len(order)
        turns.enter(replace(job(100 + len(order), f"new{len(order)}"), since=now), now)
        order.append(next_up(turns, now))
    last = order.index("job4")
    assert order[last - 3 : last + 1] == ["job1", "job2", "job3", "job4"]
    assert 10 * last < AGE_SECONDS + 50


def test_what_an_owner_had_is_forgotten_in_time() -> None:
    turns = Turns(NEEDS)
    for seq in range(3):
        turns.enter(job(seq, "ann", 100.0), 0)
        turns.enter(job(10 + seq, "bob", 1.0), 0)
    assert [next_up(turns) for _ in range(3)] == ["job0", "job10", "job11"]
    turns.enter(job(20, "bob", 1.0), 0)
    later = 20 * HALF_SECONDS
    assert [next_up(turns, later) for _ in range(2)] == ["job1", "job12"]


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=80))
def test_the_line_holds_exactly_who_entered_and_did_not_leave(
    moves: list[tuple[int, bool]],
) -> None:
    turns, known = Turns(NEEDS), set[str]()
    for seq, enters in moves:
        if enters:
            turns.enter(job(seq, f"owner{seq % 3}"), 0)
            known.add(f"job{seq}")
        else:
            turns.leave(f"job{seq}")
            known.discard(f"job{seq}")
        assert len(turns) == len(known)
    painted = set()
    while turns:
        painted.add(next_up(turns))
    assert painted == known
