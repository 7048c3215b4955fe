"""What a run measures, and how many pictures it paints in the minutes that it has."""

from argparse import Namespace

import pytest

from bench.throughput import _rate, fitting


def test_the_rate_leaves_out_how_long_the_first_ones_took_to_come() -> None:
    assert _rate([9.0, 10.0, 10.5, 11.0, 11.5, 12.0], slots=2) == pytest.approx(2.0)
    assert _rate([3.0, 1.0, 2.0], slots=1) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("a_second", "minutes", "pictures", "takes"),
    [(3.0, 10, 60, 331), (0.3, 10, 10, 552), (0.001, 10, 4, 66286), (0.3, 20, 21, 1160)],
)
def test_a_slow_model_paints_fewer_pictures_and_how_long_it_takes_is_known_before(
    a_second: float, minutes: float, pictures: int, takes: float
) -> None:
    asked = Namespace(slots=2, pictures=60, rounds=3, minutes=minutes)
    found, seconds = fitting(asked, a_second)
    assert (found, round(seconds)) == (pictures, takes)
