"""The collector of garbage rests where it is told to, and only there."""

import gc

import pytest

from studio.garbage import uncollected


def test_it_rests_inside_and_works_again_behind() -> None:
    with uncollected():
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="broken"), uncollected():
        raise ValueError("broken")
    assert gc.isenabled()


def test_what_is_to_stay_is_not_looked_at_again() -> None:
    before = gc.get_freeze_count()
    with uncollected(to_stay=True):
        made = [[] for _ in range(1000)]
    assert gc.get_freeze_count() >= before + len(made)
