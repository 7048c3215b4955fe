"""Searching: what is found is what a plain filter over the same rows finds, on both databases."""

import base64
import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from bench.databases import new_database
from studio.errors import Refused
from studio.formats.query import All, Node, Not, Words, parse
from studio.formats.query import Some as Or
from studio.formats.query_fields import Flag, Name, Span
from studio.formats.words import tokens
from studio.settings import Settings
from studio.store.history import History
from studio.store.marks import Marks
from studio.store.pages import Sort
from studio.store.store import Store
from tests.store.kit import kept

DAY = 86_400
BEGIN = 1.79e9
WORDS = ("red", "car", "cat", "boat", "blue", "café", "猫", "blurry")
PLAIN = {"café": "cafe"}
SORTS: tuple[Sort, ...] = ("newest", "oldest", "rating", "relevance")


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    words: tuple[str, ...]
    at: float
    seed: int
    steps: int
    width: int
    height: int
    format: str
    tags: frozenset[str]
    star: bool = False
    rating: int = 0
    trashed: bool = False


def fill(store: Store, count: int, draw: random.Random) -> list[Row]:
    """Pictures of all sorts, in no order of time."""
    rows = []
    for number in range(count):
        words = tuple(draw.choices(WORDS, k=draw.randint(1, 5)))
        at = BEGIN + draw.randint(0, 40) * DAY / 2
        side, steps = draw.choice((64, 128, 256)), draw.choice((1, 4, 20))
        tags = frozenset(draw.sample(("best", "sea side", "x"), draw.randint(0, 2)))
        kind = draw.choice(("png", "jpeg", "webp"))
        told = {"width": side, "height": 64, "steps": steps, "tags": sorted(tags)}
        told |= {"output_format": kind, "seed": number % 9}
        (made,) = kept(store, " ".join(words), at=at, **told)
        rows.append(Row(made, words, at, number % 9, steps, side, 64, kind, tags))
    for at in range(0, count, 3):
        change = {"star": at % 2 == 0, "rating": at % 6, "trash": at % 7 == 0}
        store.history.mark([rows[at].id], Marks.model_validate(change))
        rows[at] = replace(rows[at], star=at % 2 == 0, rating=at % 6, trashed=at % 7 == 0)
    return rows


@dataclass(frozen=True, slots=True)
class Full:
    store: Store
    rows: list[Row]

    @property
    def history(self) -> History:
        return self.store.history


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Full]:
    url = "" if request.param == "sqlite" else new_database(request.getfixturevalue("postgres"))
    store = Store.open(Settings(data=tmp_path_factory.mktemp("full"), database=url))
    yield Full(store, fill(store, 120, random.Random(5)))
    store.close()


def holds(row: Row, node: Node) -> bool:
    """The naive filter."""
    match node:
        case Words(wanted, prefix):
            said = [PLAIN.get(word, word) for word in row.words]
            for at in range(len(said) - len(wanted) + 1):
                here = said[at : at + len(wanted)]
                last = here[-1].startswith(wanted[-1]) if prefix else here[-1] == wanted[-1]
                if last and tuple(here[:-1]) == wanted[:-1]:
                    return True
            return False
        case Not(part):
            return not holds(row, part)
        case All(parts):
            return all(holds(row, part) for part in parts)
        case Or(parts):
            return any(holds(row, part) for part in parts)
        case Name("tag", value):
            return any(f" {value}" in f" {tag}" for tag in row.tags)
        case Name("format", value):
            return row.format == value
        case Span(field, low, high):
            numbers = {"date": row.at, "size": max(row.width, row.height), "star": int(row.star)}
            number = numbers[field] if field in numbers else getattr(row, field)
            return bool(low <= number <= high)
        case Flag("trash"):
            return row.trashed
        case Flag("has tag"):
            return bool(row.tags)
    raise AssertionError(node)


def expected(rows: list[Row], text: str) -> list[Row]:
    asked = parse(text, BEGIN)
    trash = "is:trash" in text
    return [row for row in rows if (trash or not row.trashed) and holds(row, asked)]


LEAVES = some.sampled_from(
    [
        *WORDS,
        *('"red car"', '"car red"', "b*", "ca*", '"red c"*', "猫*"),
        *("tag:best", "tag:sea", "tag:side", 'tag:"sea side"', "has:tag", "format:png,webp"),
        *("steps:>=4", "steps:1", "steps:2..20", "size:>64", "size:128x64", "width:<=128"),
        *("seed:3", "seed:<2", "star:yes", "star:no", "rating:>=3", "rating:0", "is:trash"),
        *("date:2026-09", "date:>2026-09-25", "date:<=2026-09-25", "date:2026"),
    ]
)
QUERIES = some.recursive(
    LEAVES,
    lambda inner: some.one_of(
        inner.map(lambda part: f"-{part}" if not part.startswith("-") else part),
        some.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({' '.join(parts)})"),
        some.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({' OR '.join(parts)})"),
    ),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=QUERIES)
def test_what_is_found_and_counted_is_what_a_plain_filter_finds(full: Full, text: str) -> None:
    rows = expected(full.rows, text)
    page = full.history.search(text, limit=200)
    assert page.total == len(rows)
    newest = sorted(rows, key=lambda row: -row.at)
    assert {one.picture.id for one in page.pictures} == {row.id for row in rows}
    assert [one.picture.created_at for one in page.pictures] == [row.at for row in newest]
    counted = full.history.facets(text)
    assert counted.total == len(rows)
    facets = {name: dict(facet.values) for name, facet in counted.facets.items()}
    assert facets["tag"] == Counter(tag for row in rows for tag in row.tags)
    assert facets["format"] == Counter(row.format for row in rows)
    assert facets["size"] == Counter(f"{row.width}x{row.height}" for row in rows)
    assert facets["rating"] == Counter(str(row.rating) for row in rows)
    assert facets["star"] == Counter("yes" if row.star else "no" for row in rows)
    assert sum(facets["day"].values()) == sum(facets["month"].values()) == len(rows)


@settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(prompt=some.text(some.characters(exclude_categories=("Cs",), exclude_characters="\0")))
def test_any_prompt_is_found_by_its_own_words(store: Store, prompt: str) -> None:
    words = tokens(prompt)
    (made,) = kept(store, f"{prompt} zebra")
    for asked in (Words(tuple(words[:3])), Words(tuple(words[-2:])), Words(("zebra",))):
        if asked.tokens:
            found = store.history.search(f'"{" ".join(asked.tokens)}"', limit=200).pictures
            assert made in [one.picture.id for one in found]


def pages(history: History, q: str, sort: Sort, limit: int) -> Iterator[list[str]]:
    after: str | None = None
    while True:
        page = history.search(q, sort=sort, after=after, limit=limit)
        yield [one.picture.id for one in page.pictures]
        after = page.next
        if after is None:
            return


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("limit", [1, 7, 50])
def test_pages_give_every_picture_once_in_one_order(full: Full, sort: Sort, limit: int) -> None:
    whole = full.history.search("red OR car", sort=sort, limit=200)
    one_by_one = [name for some in pages(full.history, "red OR car", sort, limit) for name in some]
    assert one_by_one == [one.picture.id for one in whole.pictures]
    assert len(set(one_by_one)) == whole.total > 50
    if sort == "rating":
        ratings = [one.rating for one in whole.pictures]
        assert ratings == sorted(ratings, reverse=True)


@pytest.mark.parametrize("sort", SORTS)
def test_pages_hold_still_while_pictures_come_and_go(store: Store, sort: Sort) -> None:
    there = {kept(store, "red car", at=BEGIN + n, seed=n)[0] for n in range(40)}
    leaving = sorted(there)[::5]
    stop = threading.Event()

    def come() -> None:
        n = 0
        while not stop.is_set():
            kept(store, "red car", at=BEGIN + n - 20, seed=n)
            n += 1

    coming = threading.Thread(target=come)
    coming.start()
    seen: list[str] = []
    try:
        for number, some in enumerate(pages(store.history, "red", sort, 3)):
            seen += some
            if number < len(leaving):
                store.history.mark([leaving[number]], Marks(trash=True))
            if number == len(leaving):
                stop.set()  # else the oldest first would never end
    finally:
        stop.set()
        coming.join()
    assert len(seen) == len(set(seen))
    assert there - set(leaving) <= set(seen)


def test_relevance_puts_first_what_says_little_else(store: Store) -> None:
    told = ["a long tale of towns and trees where at the end a cat is seen", "cat", "red cat"]
    for n, prompt in enumerate(told):
        kept(store, prompt, at=BEGIN - n)
    found = store.history.search("cat", sort="relevance").pictures
    assert [one.picture.prompt for one in found] == ["cat", "red cat", told[0]]
    with pytest.raises(Refused, match="relevance needs words"):
        store.history.search("star:yes", sort="relevance")


@pytest.mark.parametrize("after", ["x", "WzEsMl0", "é", "W1tbW1s", "bnVsbA"])
def test_a_cursor_that_is_none_of_ours_is_refused(full: Full, after: str) -> None:
    with pytest.raises(Refused, match="no `next` of an earlier page"):
        full.history.search(after=after)
    far = base64.urlsafe_b64encode(b'["rat",4611686018427387903,0,0]').decode()
    assert full.history.search(sort="rating", after=far).total  # no page is so far that it hangs
    ours = full.history.search(limit=1).next
    with pytest.raises(Refused, match="in this order"):
        full.history.search(after=ours, sort="oldest")


def test_only_ones_own_are_found_and_counted(store: Store) -> None:
    kept(store, "red car", owner="ada", tags=["secret"])
    kept(store, "red boat", owner="Ada")
    page = store.history.search("red", owner="Ada")
    assert [one.picture.prompt for one in page.pictures] == ["red boat"]
    counted = store.history.facets(owner="Ada")
    assert dict(counted.facets["owner"].values) == {"Ada": 1} and counted.total == 1
    assert "secret" not in str(store.history.search("tag:zebra", owner="Ada").notes)


def test_a_name_that_no_picture_has_is_said(store: Store) -> None:
    kept(store, tags=["sea", "snow"])
    assert store.history.search("tag:seas").notes == (
        "No picture has tag 'seas'; there are sea, snow.",
    )


def test_each_of_several_looks_is_found_and_counted(store: Store) -> None:
    both = kept(store, look="film, clean")
    film = kept(store, look="film")
    kept(store)
    history = store.history
    assert dict(history.facets("").facets["look"].values) == {"film": 2, "clean": 1}
    assert {one.picture.id for one in history.search("look:film").pictures} == {*both, *film}
    assert [one.picture.id for one in history.search("look:=clean -look:ink").pictures] == both
    assert history.search("has:look").total == 2
    assert {one.value: one.liked.of for one in history.wins()["look"]} == {"film": 2, "clean": 1}
