"""The examiner's marks: counted right, with Wilson's intervals, on prompts that were held out."""

import pytest

from starter import evaluate
from starter.world import Item, Spec, held_out

CAR = Spec((Item("car", "red", position="left"),), place="street", style="neon")


def test_the_exam_asks_for_held_out_scenes_and_names_what_it_reads() -> None:
    paper = list(evaluate.exam(60))
    assert len(paper) == 60
    assert all(held_out(spec) and not spec.relation for spec, _ in paper)
    assert paper == list(evaluate.exam(60))


def test_marks_count_each_trait_and_all_together() -> None:
    right = evaluate.truth(CAR)
    marks = evaluate.marks([CAR, CAR], [right, {**right, "colour": "blue"}])
    assert marks["thing"] == [True, True]
    assert marks["colour"] == [True, False]
    assert marks["all_five"] == [True, False]


def test_the_interval_is_wilsons() -> None:
    low, high = evaluate.interval([True] * 90 + [False] * 10)
    assert (low, high) == (pytest.approx(0.8256, abs=1e-3), pytest.approx(0.9448, abs=1e-3))


def test_luck_is_the_best_constant_answer() -> None:
    luck = evaluate.by_luck([CAR, CAR, Spec((Item("cat", "red"),))])
    assert luck["thing"] == pytest.approx(2 / 3)
    assert luck["colour"] == 1
    assert luck["all_five"] == pytest.approx((2 / 3) ** 4)
