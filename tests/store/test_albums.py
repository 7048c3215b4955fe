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


def test_pictures_are_moved_within_their_collection(store: Store) -> None:
    a, b, c, d = kept(store, count=4)
    its = store.albums.collect("best", [a, b, c, d])
    store.history.mark([b], Marks(trash=True))
    store.albums.change(its.id, move=[d, a], before=c)
    assert inside(store, its.id) == [d, a, c]
    store.history.mark([b], Marks(trash=False))
    assert inside(store, its.id) == [b, d, a, c], "what lay in the trash kept its place"
    store.albums.change(its.id, move=[b])
    assert inside(store, its.id) == [d, a, c, b]
    store.albums.change(its.id, move=[d, c], after=b)
    assert inside(store, its.id) == [a, b, d, c]
    store.albums.change(its.id, move=[a, b], after=c)
    assert inside(store, its.id) == [d, c, a, b]
    store.albums.change(its.id, move=[b], before=a)
    with pytest.raises(Refused, match="not both"):
        store.albums.change(its.id, move=[d], before=a, after=c)
    for what in ({"move": ["zebra"]}, {"move": [a], "before": "zebra"}, {"move": [a], "before": a}):
        with pytest.raises(Refused, match="^(move|before): "):
            store.albums.change(its.id, **what)  # type: ignore[arg-type]
    for edge in ("before", "after"):
        with pytest.raises(Refused, match="^move: say which pictures go there.$"):
            store.albums.change(its.id, name="moved", **{edge: a})  # type: ignore[arg-type]
    assert inside(store, its.id) == [d, c, b, a]
    assert store.albums.collection(its.id).name == "best"


def test_a_search_for_one_collection_has_its_order(store: Store) -> None:
    a, b, c, d = kept(store, count=4)
    its = store.albums.collect("best of", [c, a, d])
    store.albums.collect("bad", [a])

    def found(q: str, after: str | None = None, limit: int = 50) -> tuple[list[str], str | None]:
        page = store.history.search(q, sort="collection", after=after, limit=limit)
        return [one.picture.id for one in page.pictures], page.next

    assert found('in:="best of"')[0] == [c, a, d] == store.history.ids("in:best")
    assert found("in:best -seed:99 red")[0] == [c, a, d]
    first, after = found("in:best", limit=1)
    assert first == [c] and after
    store.albums.change(its.id, move=[c], before=d)
    assert found("in:best", after, 1)[0] == [d], "behind c, wherever it lies by now"
    store.albums.change(its.id, remove=[c])
    assert found("in:best", after)[0] == [d], "or behind where it lay"
    for q in ("", "in:best in:bad", "in:b", "-in:best", "in:best OR red"):
        assert store.history.usual(q) == ("newest", "")
        with pytest.raises(Refused, match="^sort: "):
            found(q)
    assert store.history.usual("red in:best") == ("collection", its.id)
    assert store.history.ids("red")[0] == d and b not in store.history.ids("in:best")


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
