"""Two to choose between: of the same words, of other settings, never twice; what wins rests on."""

import pytest
from sqlalchemy import event

from studio.errors import NotFound
from studio.store.importing import Given, take_in
from studio.store.marks import Marks, read_marks
from studio.store.store import Store
from tests.formats.pictures import png
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


def test_one_that_leaves_while_it_is_looked_for_is_not_shown(store: Store) -> None:
    kept(store, "a red car", steps=2)
    (gone,) = kept(store, "a red car", steps=20)
    kept(store, "a blue boat", steps=8)

    leaving = [gone]

    def leave(_: object, __: object, statement: str, *___: object) -> None:
        if "entry.star" in statement and leaving:  # two were found, and are read now
            store.history.mark([leaving.pop()], read_marks({"trash": True}))
            store.history.empty_trash()

    event.listen(store.database._reader, "before_cursor_execute", leave)
    pair = store.history.pair()
    assert not leaving
    assert pair and gone not in {one.picture.id for one in pair[:2]}


def test_pairs_of_the_same_words_come_first_however_few_there_are(store: Store) -> None:
    (quick,) = kept(store, "a red car", steps=2)
    for steps in range(2, 42):
        kept(store, f"boat {steps}", steps=steps, count=8)
    (slow,) = kept(store, "a red car", steps=20)
    for _ in range(5):
        pair = store.history.pair()
        assert pair and pair[2].same_words
        assert {one.picture.id for one in pair[:2]} == {quick, slow}


def test_what_says_little_of_itself_is_chosen_between_last(store: Store) -> None:
    only_enlarged = {"model": "enlarge", "steps": 1, "sampler": "none", "upscale": 4}
    kept(store, "a red car", became=only_enlarged)
    (quick,), (slow,) = (kept(store, f"{steps} cars", steps=steps) for steps in (2, 20))
    kept(store, "a red car", became={**only_enlarged, "width": 128})
    unknown = {"model": "unknown", "prompt": "", "steps": None, "guidance": None, "sampler": None}
    for width in (64, 128):
        kept(store, became={**unknown, "width": width})
    for _ in range(5):
        pair = store.history.pair()
        assert pair and {one.picture.id for one in pair[:2]} == {quick, slow}
        assert not pair[2].same_words
    store.history.choose(quick, slow)
    pair = store.history.pair()
    assert pair and list(pair[2].differs) == ["size"] and not pair[2].same_words


def test_what_a_picture_does_not_say_neither_wins_nor_is_counted(store: Store) -> None:
    for steps in (2, 20):
        kept(store, steps=steps)
    kept(store, became={"model": "enlarge", "steps": 1, "sampler": "none", "upscale": 4})
    unknown = {"model": "unknown", "prompt": "", "steps": None, "guidance": None, "sampler": None}
    (nobody,) = kept(store, became=unknown)
    history = store.history
    told = {name: [one.value for one in its] for name, its in history.wins().items()}
    assert told["model"] == ["test-pattern"] and sorted(told["steps"]) == ["2", "20"]
    assert told["sampler"] == ["euler"] and told["guidance"] == ["5"]
    assert sum(one.liked.of for one in history.wins()["size"]) == 4
    basis = history.basis()
    assert basis.pictures == 4 and basis.saying.pop("size") == 4
    assert set(basis.saying.values()) == {2}
    facets = history.facets().facets
    assert dict(facets["model"].values) == {"test-pattern": 2}
    assert dict(facets["sampler"].values) == {"euler": 2}
    assert history.search("model:unknown").pictures[0].picture.id == nobody
    (first, _) = history.search("steps:>1").pictures
    history.choose(first.picture.id, nobody)
    assert not any(one.chosen.of for one in history.wins()["steps"])


def test_a_picture_from_elsewhere_that_tells_no_guidance_is_not_of_guidance_0(store: Store) -> None:
    for more in ("", ", CFG scale: 6.5"):
        text = f"a boat\nSteps: 22, Sampler: Euler a, Seed: 1, Size: 64x48{more}, Model: dreamer"
        list(take_in(store, [Given("boat.png", png({"parameters": text}), 1.6e9)]))
    wins, saying = store.history.wins(), store.history.basis().saying
    assert [one.value for one in wins["guidance"]] == ["6.5"] and saying["guidance"] == 1
    assert saying["steps"] == saying["model"] == 2


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
