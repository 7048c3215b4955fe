"""Collections, saved searches and reference sets: named, ordered, and their owner's."""

import pytest

from studio.errors import Conflict, NotFound, Refused
from studio.request import InputPicture
from studio.store.marks import Marks
from studio.store.store import Store
from tests.store.kit import kept


def inside(store: Store, key: str, limit: int = 50) -> list[str]:
    found: list[str] = []
    after: int | None = -1
    while after is not None:
        page = store.albums.pictures(key, after=after, limit=limit)
        found += [one.picture.id for one in page.pictures]
        after = None if page.next is None else int(page.next)
    return found


def test_a_collection_keeps_its_order_and_a_picture_is_in_many(store: Store) -> None:
    a, b, c, d = kept(store, count=4)
    best = store.albums.collect("best of", [c, a])
    other = store.albums.collect("other", [a])
    assert inside(store, best.id, limit=1) == [c, a] and best.cover == c
    assert store.albums.change(best.id, add=[d, a, b]).count == 4, "who is in it stays"
    assert inside(store, best.id, limit=2) == [c, a, d, b]
    store.albums.change(best.id, order=[b, d], name="the best")
    assert inside(store, best.id) == [b, d, c, a]
    store.albums.change(best.id, remove=[d])
    assert inside(store, best.id) == [b, c, a] and inside(store, other.id) == [a]
    assert {one.picture.id for one in store.history.search('in:"the best"').pictures} == {a, b, c}
    assert store.history.search("in:best -in:other").total == 2
    store.albums.drop(best.id)
    assert [one.name for one in store.albums.collections()] == ["other"]
    assert store.history.search().total == 4


def test_what_lies_in_the_trash_is_passed_over_until_it_comes_back(store: Store) -> None:
    a, b = kept(store, count=2)
    its = store.albums.collect("best", [a, b])
    store.history.mark([a], Marks(trash=True))
    assert inside(store, its.id) == [b] and store.albums.collection(its.id).cover == b
    store.history.mark([a], Marks(trash=False))
    assert inside(store, its.id) == [a, b]
    store.history.mark([a], Marks(trash=True))
    store.history.empty_trash()
    assert inside(store, its.id) == [b] and store.albums.collection(its.id).count == 1


def test_names_are_an_owners_and_each_is_there_once(store: Store) -> None:
    (a,) = kept(store)
    its = store.albums.collect("best")
    with pytest.raises(Conflict, match="collection 'best' already"):
        store.albums.collect("best")
    assert store.albums.collect("best", owner="ada").name == "best"
    with pytest.raises(NotFound, match="no collection"):
        store.albums.collection(its.id, owner="ada")
    with pytest.raises(NotFound, match="no picture"):
        store.albums.change(its.id, add=[a, "zebra"])
    with pytest.raises(Refused, match="not in this collection"):
        store.albums.change(its.id, order=[a])
    for name in ("", " ", "x" * 101):
        with pytest.raises(Refused, match="no name of a collection"):
            store.albums.collect(name)
    assert store.albums.collection(its.id).count == 0, "all of it or nothing"


def test_a_search_is_saved_if_it_is_understood(store: Store) -> None:
    its = store.albums.save_search("cats", "cat rating:>=4", "rating")
    with pytest.raises(Refused, match="no field 'modle'"):
        store.albums.save_search("other", "modle:x")
    with pytest.raises(Refused, match="no field 'modle'"):
        store.albums.change_search(its.id, {"q": "modle:x"})
    with pytest.raises(Refused, match="sort: 'best'"):
        store.albums.change_search(its.id, {"sort": "best"})
    store.albums.change_search(its.id, {"name": "good cats", "q": "cat"})
    assert [(one.name, one.q, one.sort) for one in store.albums.searches()] == [
        ("good cats", "cat", "rating")
    ]
    store.albums.drop_search(its.id)
    assert store.albums.searches() == []


def test_a_set_holds_references_in_their_order_with_weights(store: Store) -> None:
    members = [InputPicture(id="b" * 64, weight=0.5), InputPicture(id="a" * 64)]
    its = store.albums.keep_set("style", members)
    assert store.albums.reference_set(its.id).references == tuple(members)
    store.albums.change_set(its.id, references=members[::-1], name="styles")
    assert store.albums.reference_sets()[0].references == tuple(members[::-1])
    with pytest.raises(Refused, match="references: 0 is not from 1 to 16"):
        store.albums.change_set(its.id, references=[])
    store.albums.drop_set(its.id)
    with pytest.raises(NotFound, match="no reference set"):
        store.albums.reference_set(its.id)
