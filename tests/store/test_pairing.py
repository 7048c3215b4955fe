"""Two to choose between: of the same words, of other settings, never twice; what wins rests on."""

import pytest

from studio.errors import NotFound
from studio.store.marks import Marks
from studio.store.store import Store
from tests.store.kit import kept


def test_two_of_the_same_words_and_other_settings_are_chosen_between_once(store: Store) -> None:
    kept(store, "a blue boat", steps=8, count=3)
    (quick,) = kept(store, "a red car", steps=2)
    (slow,) = kept(store, "a red car", steps=20)
    for _ in range(5):
        pair = store.history.pair()
        assert pair
        left, right, told = pair
        assert {left.picture.id, right.picture.id} == {quick, slow} and told.same_words
        steps = ("2", "20") if left.picture.id == quick else ("20", "2")
        assert told.differs == {"steps": steps}
    key = store.history.choose(slow, quick)
    pair = store.history.pair()
    assert pair and not pair[2].same_words, "what was chosen between is not asked again"
    store.history.take_back(key)
    pair = store.history.pair()
    assert pair and pair[2].same_words
    with pytest.raises(NotFound):
        store.history.take_back(key)
    assert store.history.pair("boat") is None, "they differ in nothing"
    assert store.history.pair("zebra") is None and store.history.pair("steps:2") is None


def test_what_one_wears_and_the_other_does_not_is_told(store: Store) -> None:
    (plain,) = kept(store, "a red car")
    kept(store, "a red car", look="film")
    pair = store.history.pair()
    assert pair
    first = pair[0].picture.id == plain
    assert pair[2].differs["look"] == (("", "film") if first else ("film", ""))


def test_choices_count_for_what_was_found_and_can_be_taken_back(store: Store) -> None:
    (quick,), (slow,), (other,) = (kept(store, steps=steps) for steps in (2, 20, 30))
    store.history.mark([quick], Marks(star=True, rating=5))
    store.history.mark([slow], Marks(rating=1))
    key = store.history.choose(slow, quick)
    store.history.choose(other, slow)
    basis = store.history.basis()
    assert (basis.pictures, basis.marked, basis.choices) == (3, 2, 2)
    assert store.history.basis("steps:2").choices == 1
    (standing,) = store.history.wins("steps:2")["steps"]
    assert (standing.chosen.wins, standing.chosen.of) == (0, 1)
    store.history.take_back(key)
    assert store.history.basis().choices == 1 and store.history.basis("steps:2").choices == 0
