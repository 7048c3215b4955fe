"""Those that are alike shown as one: by their looks, by their words, page by page, in any order."""

import pytest
from sqlalchemy import update

from studio.errors import Refused
from studio.store import entries
from studio.store.marks import Marks
from studio.store.pages import Sort
from studio.store.store import Store
from studio.store.tables import entry
from studio.store.together import Together, together_of
from tests.store.kit import kept

A, B = 0x0F0F0F0F0F0F0F0F, 0x00FF00FF00FF00FF  # of which many bits differ


@pytest.fixture
def pictures(store: Store) -> list[str]:
    """Five of two looks and one that is flat, the oldest first."""
    ids = [kept(store, f"red {n}", at=1.8e9 + n)[0] for n in range(6)]
    with store.database.write() as tx:
        for one, looks in zip(ids, (A, B, A ^ 0b111, B ^ 1, A ^ 0b111111, None), strict=True):
            what = {"near": looks, "changed": entries.next_version(tx)}
            tx.execute(update(entry).where(entry.c.picture == one).values(what))
    return ids


def shown(
    store: Store, as_one: Together, sort: Sort = "newest", limit: int = 50, q: str = "red"
) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    after: str | None = None
    while True:
        page = store.history.search(q, sort=sort, after=after, limit=limit, as_one=as_one)
        assert len(page.pictures) == len(page.stands_for) <= limit
        found += zip([one.picture.id for one in page.pictures], page.stands_for, strict=True)
        after = page.next
        if after is None:
            assert sum(count for _, count in found) == page.total
            return found


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_the_first_in_an_order_stands_for_those_like_it(
    store: Store, pictures: list[str], limit: int
) -> None:
    a, b, a_3, b_1, a_6, flat = pictures
    newest = [(flat, 1), (a_6, 2), (b_1, 2), (a, 1)]  # a differs from a_6 in six bits
    assert shown(store, "looks", limit=limit) == newest
    assert shown(store, "looks", "oldest", limit) == [(a, 2), (b, 2), (a_6, 1), (flat, 1)]
    store.history.mark([a_3], Marks(rating=5))
    best = [(a_3, 3), (flat, 1), (b_1, 2)]
    assert shown(store, "looks", "rating", limit) == best
    assert sorted(shown(store, "looks", "relevance", limit)) == sorted(newest)
    its = store.albums.collect("mine", [a, b_1, a_6, b]).id
    assert shown(store, "looks", "collection", limit, "in:mine") == [(a, 1), (b_1, 2), (a_6, 1)]
    store.albums.drop(its)


def test_what_a_picture_stands_for_is_told(store: Store, pictures: list[str]) -> None:
    a, b, a_3, b_1, a_6, flat = pictures

    def of(one: str, sort: Sort = "newest") -> list[str]:
        page = store.history.those_of_one(one, "red", as_one="looks", sort=sort)
        return [kept.picture.id for kept in page.pictures]

    assert of(b_1) == [b_1, b] and of(a_6) == [a_6, a_3] and of(flat) == [flat]
    assert of(b) == [], "another stands for it"
    assert of(a, "oldest") == [a, a_3]
    store.history.mark([a_3], Marks(trash=True))
    assert of(a_6) == [a_6], "what was thrown away is forgotten"


def test_those_of_the_same_words_are_one(store: Store) -> None:
    kept(store, "a red car", seed=1, count=3)
    new = kept(store, "a red car", seed=9, at=1.8e9 + 9)
    other = kept(store, "a red boat", at=1.8e9 + 5)
    assert shown(store, "words", limit=1) == [(new[0], 4), (other[0], 1)]
    assert [count for _, count in shown(store, "words", q="car -seed:9")] == [3]


def test_new_pictures_between_two_pages_show_nothing_twice(
    store: Store, pictures: list[str]
) -> None:
    first = store.history.search("red", limit=2, as_one="looks")
    (fresh,) = kept(store, "red 9", at=1.8e9 + 99)
    rest = store.history.search("red", limit=50, as_one="looks", after=first.next)
    ids = [one.picture.id for one in (*first.pictures, *rest.pictures)]
    assert len(set(ids)) == len(ids) == 4 and fresh not in ids


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(Refused, match="^together: 'x' is none of looks, words"):
        together_of("x")
