"""The language of searches: what each part means, and that what is misunderstood is said."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from studio.formats.query import MAX_TERMS, All, BadQuery, Node, Not, Some, Words, leaves, parse
from studio.formats.query_fields import FIELDS, Flag, Name, Span
from studio.formats.words import tokens

NOW = datetime(2026, 11, 26, 15, 30, tzinfo=UTC).timestamp()


def stamp(*day: int) -> float:
    return datetime(*day, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    "text, meant",
    [
        ("", All(())),
        ("Cat", Words(("cat",))),
        ("red car", All((Words(("red",)), Words(("car",))))),
        ('"red car"', Words(("red", "car"))),
        ("bad_hands", Words(("bad", "hands"))),
        ("blu*", Words(("blu",), True)),
        ("Café", Words(("cafe",))),
        ("红猫", Words(("红", "猫"))),
        ("-blurry", Not(Words(("blurry",)))),
        ("NOT blurry", Not(Words(("blurry",)))),
        ("cat AND car", All((Words(("cat",)), Words(("car",))))),
        ("cat OR car", Some((Words(("cat",)), Words(("car",))))),
        ('"OR"', Words(("or",))),
        ("-(cat OR car)", Not(Some((Words(("cat",)), Words(("car",)))))),
        ("model:flux", Name("model", "flux")),
        ("MODEL:=flux", Name("model", "flux", True)),
        ('look:"ink wash"', Name("look", "ink wash")),
        ("-tag:cat", Not(Name("tag", "cat"))),
        ("lora:ink,pen", Some((Name("lora", "ink"), Name("lora", "pen")))),
        ("format:jpg", Name("format", "jpeg", True)),
        ("kind:upscaled", Name("kind", "upscaled", True)),
        ("seed:7", Span("seed", 7, 7)),
        ("steps:10..20", Span("steps", 10, 20)),
        ("rating:>=4", Span("rating", 4, math.inf)),
        ("star:yes", Span("star", 1, 1)),
        ("is:trash", Flag("trash")),
        ("has:lora", Flag("has lora")),
        ("size:1024x768", All((Span("width", 1024, 1024), Span("height", 768, 768)))),
    ],
)
def test_each_part_of_a_search_means_one_thing(text: str, meant: Node) -> None:
    assert parse(text, NOW) == meant


def test_more_and_less_leave_out_the_number_itself() -> None:
    above, below = parse("guidance:>3.5", NOW), parse("size:<1024", NOW)
    assert isinstance(above, Span) and 3.5 < above.low < 3.5001 and above.high == math.inf
    assert isinstance(below, Span) and 1023 < below.high < 1024


@pytest.mark.parametrize(
    "text, begins, ends",
    [
        ("date:2026-11", stamp(2026, 11, 1), stamp(2026, 12, 1)),
        ("date:2026-12", stamp(2026, 12, 1), stamp(2027, 1, 1)),
        ("date:2026", stamp(2026, 1, 1), stamp(2027, 1, 1)),
        ("date:today", stamp(2026, 11, 26), stamp(2026, 11, 27)),
        ("date:yesterday", stamp(2026, 11, 25), stamp(2026, 11, 26)),
        ("date:2026-02-28..2026-03", stamp(2026, 2, 28), stamp(2026, 4, 1)),
        ("date:>2026-11", stamp(2026, 12, 1), math.inf),
        ("date:<2026-11", -math.inf, stamp(2026, 11, 1)),
    ],
)
def test_a_date_is_a_year_a_month_or_a_day(text: str, begins: float, ends: float) -> None:
    span = parse(text, NOW)
    assert isinstance(span, Span) and span.field == "date"
    assert span.low == begins
    assert span.high < ends if ends < math.inf else span.high == ends
    assert span.high >= ends - 1e-3 if ends < math.inf else True


@pytest.mark.parametrize(
    "text, place, said",
    [
        ("cat modle:flux", 5, "no field 'modle'. Did you mean model:?"),
        ("zebra:1", 1, "There are model, look"),
        ("kind:upscald", 6, "Did you mean upscaled?"),
        ("rating:6", 8, "the most is 5"),
        ("steps:many", 7, "no whole number. Write it like steps:>=20"),
        ("steps:20..10", 7, "runs backwards"),
        ("date:2026-13", 6, "is no date"),
        ("date:9999-12-31", 6, "is no date"),
        ("star:perhaps", 6, "neither yes nor no"),
        ("model:>flux", 7, "compares numbers"),
        ("model: flux", 7, "right behind the colon, such as model:flux"),
        ("a (b", 3, "never closed"),
        ("a)", 2, "closes nothing"),
        ('a "b', 3, "never closed"),
        ("()", 1, "nothing in these parentheses"),
        ("-", 1, "what shall not be there"),
        ("a OR", 3, "something behind it"),
        ("OR a", 1, "something before it"),
        ("!!", 1, "no letter and no digit"),
        ("(" * 20 + "a", 17, "too deeply"),
        ("NOT " * 20 + "a", 65, "too deeply"),
        ("a " * (MAX_TERMS + 1), 2 * MAX_TERMS + 1, f"the most is {MAX_TERMS}"),
        ("a" * 4001, 4000, "4001 characters"),
    ],
)
def test_what_is_misunderstood_is_said_with_its_place(text: str, place: int, said: str) -> None:
    with pytest.raises(BadQuery) as refused:
        parse(text, NOW)
    assert refused.value.place == place and f"character {place}" in str(refused.value)
    assert said in str(refused.value)


@given(
    some.text(max_size=80)
    | some.lists(
        some.sampled_from(
            ["-", "(", ")", '"', "OR", "NOT ", "cat", ":", "..", ">", " ", "*", *FIELDS]
        ),
        max_size=30,
    ).map("".join)
)
def test_any_text_is_a_search_or_a_sentence(text: str) -> None:
    try:
        for leaf in leaves(parse(text, NOW)):
            assert not isinstance(leaf, Words) or leaf.tokens
    except BadQuery as refused:
        assert 1 <= refused.place <= max(1, len(text) + 1)


def test_words_are_what_one_would_type_to_find_them() -> None:
    assert tokens("Señor's (red:1.3), Ünïcode_x") == ["senor", "s", "red", "1", "3", "unicode", "x"]
    assert tokens("がか고양이ไทย") == ["が", "か", "고", "양", "이", "ไ", "ท", "ย"]
    assert tokens("ＦＵＬＬ width ﬁne straße") == ["full", "width", "fine", "strasse"]
    assert tokens("हिन्दी") == tokens("हिन्दी!") != []
    assert len(tokens("x" * 5000)[0]) == 200


@given(some.text())
@example("ᴬ")
def test_words_of_words_are_the_same(text: str) -> None:
    words = tokens(text)
    assert tokens(" ".join(words)) == words
