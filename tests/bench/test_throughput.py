"""The rate of a run is counted from when every slot has finished one."""

import pytest

from bench.throughput import _rate


def test_the_rate_leaves_out_how_long_the_first_ones_took_to_come() -> None:
    assert _rate([9.0, 10.0, 10.5, 11.0, 11.5, 12.0], slots=2) == pytest.approx(2.0)
    assert _rate([3.0, 1.0, 2.0], slots=1) == pytest.approx(1.0)
