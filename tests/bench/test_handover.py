"""What a slot loses between two jobs is measured with real files, a real line and a real disk."""

from bench.handover import measure


def test_both_ways_are_measured_and_every_job_is_done() -> None:
    figures = measure(jobs=3, rounds=1, painting=0.05)
    assert figures["jobs"] == 3
    assert figures["gain"] > 0
    assert figures["waiting_lost_ms"] > 0
