"""Fifty kills at random instants: nothing lost, doubled or half, and nobody left behind."""

import random
from pathlib import Path

import pytest

from bench.kill import BAD, rounds


@pytest.mark.parametrize("cycles", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_nothing_acknowledged_is_lost_whoever_is_killed(tmp_path: Path, cycles: int) -> None:
    seed = random.randrange(2**32)
    figures = rounds(tmp_path, cycles, seed)
    assert {name: figures[name] for name in BAD} == dict.fromkeys(BAD, 0), f"seed {seed}"
    assert figures["acknowledged"] >= cycles / 2
