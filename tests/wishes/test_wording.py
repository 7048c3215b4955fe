"""One wish becomes those that are painted for it: its looks put on, its choices made."""

from collections.abc import Mapping

import pytest

from studio.errors import Refused
from studio.formats.wildcards import Wildcard
from studio.request import MAX_SEED, ImageRequest, read_request
from studio.settings import Settings
from studio.web.controls import spoken
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog
from studio.wishes.wording import MOST_TEXTS, Worded, Wording

LISTS = {"colours": Wildcard("colours", ("red", "blue", "green"))}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(Settings().presets, "test-pattern")


def wish(prompt: str = "a {red|blue} car", **fields: object) -> ImageRequest:
    return read_request({"prompt": prompt} | fields)


@pytest.fixture
def words(catalog: Catalog) -> "Words":
    return Words(catalog)


class Words:
    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def of(self, wish: ImageRequest, lists: Mapping[str, Wildcard] = LISTS) -> Wording:
        return Wording(wish, self.catalog, lambda: lists)

    def each(self, prompt: str, **fields: object) -> list[Worded]:
        return list(self.of(wish(prompt, **fields)).each())


def test_each_picture_has_words_of_its_own_seed(words: Words) -> None:
    four = words.each("a {red|blue} __colours__ car", seed=7, count=4)
    assert [one.bare.seed for one in four] == [7, 8, 9, 10]
    assert {one.bare.count for one in four} == {1}
    alone = [words.each("a {red|blue} __colours__ car", seed=seed)[0] for seed in (7, 8, 9, 10)]
    assert [one.bare.prompt for one in four] == [one.bare.prompt for one in alone]
    assert len({one.bare.prompt for one in four}) > 1
    assert all(one.bare.expand == "no" for one in four)


def test_what_was_wished_stays_with_it(words: Words) -> None:
    asked = wish(count=3)
    three = list(words.of(asked).each())
    assert [one.wish for one in three] == [asked] * 3
    assert len({one.bare.seed for one in three}) == 3  # drawn, as none was given


def test_seeds_begin_again_behind_the_last(words: Words) -> None:
    two = words.each("a {red|blue} car", seed=MAX_SEED, count=2)
    assert [one.bare.seed for one in two] == [MAX_SEED, 0]


def test_all_texts_have_the_same_seed_and_know_which_they_are(words: Words) -> None:
    all_ = words.each("a {red|blue} car", negative_prompt="{fog|rain|fog}", expand="all", seed=7)
    assert [(one.bare.prompt, one.bare.negative_prompt) for one in all_] == [
        ("a red car", "fog"),
        ("a red car", "rain"),
        ("a blue car", "fog"),
        ("a blue car", "rain"),
    ]
    assert [one.wish.nth for one in all_] == [0, 1, 3, 4]
    assert {one.bare.seed for one in all_} == {7}
    (again,) = words.of(all_[3].wish).each()
    assert again.bare == all_[3].bare


def test_each_text_is_painted_as_often_as_that_is_said(words: Words) -> None:
    all_ = words.each("a {red|blue} car", expand="all", count=3, seed=7)
    assert [(one.bare.prompt, one.bare.count) for one in all_] == [
        ("a red car", 3),
        ("a blue car", 3),
    ]


def test_all_of_very_many_is_refused_with_the_number_and_one_of_them_is_not(words: Words) -> None:
    many = "{a|b|c|d|e|f|g|h|i|j}" * 4
    with pytest.raises(Refused, match="expand: 10,000 texts are too many to paint at") as refusal:
        words.each(many, expand="all")
    assert "choose 'draw one' with a count." in spoken(str(refusal.value))  # as the page says it
    assert words.each(many, expand="all", nth=9999)[0].bare.prompt == "jjjj"
    with pytest.raises(Refused, match="nth: 10000 is not there; the last of 10,000 is 9999"):
        words.each(many, expand="all", nth=10_000)
    thousand = "{a|b|c|d|e|f|g|h|i|j}" * 3
    assert len(words.each(thousand, expand="all")) == MOST_TEXTS
    assert len(words.each(f"{many * 20}", count=3)) == 3


def test_turns_go_on_from_where_one_says(words: Words) -> None:
    three = words.each("a __colours__ {car|boat}", expand="cycle", count=4, seed=1)
    assert [one.bare.prompt for one in three] == [
        "a red car",
        "a blue boat",
        "a green car",
        "a red boat",
    ]
    assert [one.bare.seed for one in three] == [1, 2, 3, 4]
    (last,) = words.each("a __colours__ {car|boat}", expand="cycle", nth=2)
    assert last.bare.prompt == "a green car"


def test_words_without_choices_are_one_job_of_many_pictures(words: Words) -> None:
    asked = wish("a car {with braces} and a__b", count=4)
    (one,) = words.of(asked).each()
    assert (one.wish, one.bare.prompt, one.bare.count) == (asked, asked.prompt, 4)
    (one,) = words.each(r"a \{red\|blue\} car", count=4)
    assert (one.bare.prompt, one.bare.count) == ("a {red|blue} car", 4)


def test_choices_may_be_painted_as_they_are_written(words: Words) -> None:
    (one,) = words.each("a {red|blue} __car__", expand="no", count=2)
    assert (one.bare.prompt, one.bare.count) == ("a {red|blue} __car__", 2)


def test_what_is_painted_is_settled_for_good(words: Words) -> None:
    (one,) = words.each(r"a {\{x\|y\}|\{x\|y\}} car")
    request = words.catalog.settle(one.bare).request
    assert request.prompt == "a {x|y} car"
    (again,) = words.of(request).each()
    assert words.catalog.settle(again.bare).request == request


def test_lists_are_looked_for_only_where_one_is_called(catalog: Catalog) -> None:
    def lists() -> Mapping[str, Wildcard]:
        raise AssertionError("nobody called for a list")

    assert list(Wording(wish("a {red|blue} car"), catalog, lists).each())


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"prompt": "a __colour__ car"}, "prompt: column 3: there is no wildcard 'colour'. Did"),
        ({"prompt": "x", "negative_prompt": "{a|b"}, "negative_prompt: column 1: this brace is"),
        ({"prompt": "{a|b}", "nth": 1}, "nth: it goes with expand all or cycle."),
        ({"prompt": "{|} "}, "the prompt is empty"),
    ],
)
def test_what_cannot_be_worded_is_refused_in_its_field(
    words: Words, fields: dict[str, object], sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence):
        list(words.of(read_request(fields)).each())


def test_a_look_may_hold_choices_and_they_are_made_with_the_wishes_own(
    catalog: Catalog,
) -> None:
    look = catalog.looks["film"].model_copy(update={"prompt": "{prompt}, {dusk|dawn}"})
    dressing = Catalog([catalog.default], [look])
    texts = [
        one.bare.prompt
        for one in Wording(
            wish("a {red|blue} car", look="film", expand="all"), dressing, dict
        ).each()
    ]
    assert texts == ["a red car, dusk", "a red car, dawn", "a blue car, dusk", "a blue car, dawn"]


def test_examples_are_shown_where_no_seed_is_given_and_else_what_will_be(words: Words) -> None:
    wording = words.of(wish("a {red|blue|green} car"))
    examples = [one.bare.prompt for one in wording.shown(20)]
    assert len(examples) == 3 and examples == [one.bare.prompt for one in wording.shown(20)]
    seeded = words.of(wish("a {red|blue|green} car", seed=5, count=2))
    assert seeded.shown(20) == list(seeded.each())
    assert len(words.of(wish("{a|b|c}", expand="all")).shown(2)) == 2
