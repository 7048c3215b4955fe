"""The schedule is pure: priority, then order of arrival, and never a job lost or doubled."""

from hypothesis import given
from hypothesis import strategies as st

from studio.jobs.schedule import Free, Waiting, schedule


def job(seq: int, model: str = "sdxl", priority: int = 1) -> Waiting:
    return Waiting(f"job{seq}", model, priority, seq)


def test_the_first_to_come_is_painted_first() -> None:
    choices = schedule([job(2), job(1), job(3)], [Free("a", None)])
    assert [choice.job for choice in choices] == ["job1"]


def test_a_higher_class_goes_before_an_earlier_arrival() -> None:
    choices = schedule([job(1), job(2, priority=3)], [Free("a", None)])
    assert [choice.job for choice in choices] == ["job2"]


def test_a_slot_that_holds_the_model_is_preferred_and_the_reason_says_so() -> None:
    (choice,) = schedule([job(1, "flux")], [Free("a", None), Free("b", "flux")])
    assert (choice.slot, choice.reason) == ("b", "it holds flux already")


def test_an_empty_slot_is_taken_before_one_whose_model_would_have_to_leave() -> None:
    (choice,) = schedule([job(1, "flux")], [Free("a", "sdxl"), Free("b", None)])
    assert choice.slot == "b"


waiting = st.lists(
    st.builds(
        job, st.integers(0, 10_000), st.sampled_from(["sdxl", "flux", "sana"]), st.integers(0, 3)
    ),
    unique_by=lambda job: job.seq,
)
free = st.lists(
    st.builds(Free, st.text("abcdef", min_size=1), st.sampled_from([None, "sdxl", "flux"])),
    unique_by=lambda slot: slot.slot,
)


@given(waiting, free)
def test_no_slot_idles_while_a_job_waits_and_nobody_is_overtaken(
    waiting: list[Waiting], free: list[Free]
) -> None:
    choices = schedule(waiting, free)
    assert len(choices) == min(len(waiting), len(free))
    assert len({choice.slot for choice in choices}) == len(choices)
    order = [job.job for job in sorted(waiting, key=lambda job: (-job.priority, job.seq))]
    assert [choice.job for choice in choices] == order[: len(choices)]
