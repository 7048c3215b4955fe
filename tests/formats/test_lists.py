"""Lists of words out of text, JSON and the part of YAML that is read."""

from contextlib import suppress

import pytest

from studio.formats.lists import MOST_VALUES, from_json, from_yaml, lines
from tests.pace import within


def test_a_line_is_a_value_and_comments_are_none() -> None:
    text = "# colours\n red \n\nblue # not a comment\r\n2::green\nred\n"
    assert lines(text) == {"": ("red", "blue # not a comment", "2::green")}


def test_json_holds_lists_below_names_to_any_depth_people_use() -> None:
    text = '{"a": {"b": ["x", 2], "c": "one"}, "d": ["{q|r}"]}'
    assert from_json(text) == {"a/b": ("x", "2"), "a/c": ("one",), "d": ("{q|r}",)}
    assert from_json('["x", "y"]') == {"": ("x", "y")}


def test_yaml_holds_the_same_with_comments_quotes_and_short_lists() -> None:
    text = """--- # a collection
a:
    b: [x, "y, z", '{q|r}']   # beside
    'c c':
    - one # two
    - "2::th#ree"
    - {a|b} cat
    - 'it''s'
"d": single
e:
  - yes
  - 07
"""
    assert from_yaml(text.replace("--- # a collection", "---")) == {
        "a/b": ("x", "y, z", "{q|r}"),
        "a/c c": ("one", "2::th#ree", "{a|b} cat", "it's"),
        "d": ("single",),
        "e": ("yes", "07"),
    }
    assert from_yaml("- a\n- b\n") == {"": ("a", "b")}


@pytest.mark.parametrize(
    ("read", "text", "sentence"),
    [
        (from_json, "{", "it is no JSON: "),
        (from_json, "[" * 100_000, "nested too deeply"),
        (from_json, '{"a": [["x"]]}', "in 'a' there must be lists of text"),
        (from_json, '{"a": null}', "in 'a' there must be lists of text"),
        (from_yaml, "a:\n\t- x", "line 2: a tab; indent with spaces"),
        (from_yaml, "a:\n- &x one", "line 2: & is not read here; put the value in quotes"),
        (from_yaml, "a: |\n  text", "line 1: | is not read here"),
        (from_yaml, "a:\n- b: c", "line 2: an item with a name"),
        (from_yaml, "a:\n- - b", "line 2: a list in a list has no name"),
        (from_yaml, "a:\n-", "line 2: there is nothing behind the dash"),
        (from_yaml, "a:\n  - b\n   - c", "line 3: it is indented unlike the items before it"),
        (from_yaml, "just words", "line 1: neither an item (- value) nor a name (name:)"),
        (from_yaml, 'a: "open', "line 1: the quotes are not closed"),
        (from_yaml, "a: [x, y", "line 1: [ is not closed here"),
        (from_yaml, "a: [x] y", "line 1: something stands behind ]"),
        (from_yaml, "".join(f"{' ' * n}a:\n" for n in range(20)), "names are at most 8 deep"),
        (lines, "\n".join(map(str, range(MOST_VALUES + 1))), "it holds 100001 values"),
    ],
)
def test_what_is_not_read_is_refused_with_its_line(read: object, text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(text)  # type: ignore[operator]
    assert sentence in str(caught.value)


MANY = 200_000
HOSTILE = ["- " * MANY, "[" * MANY, "a: [" + "x," * MANY, "'" * MANY, " " * MANY + ":", "a:" * MANY]
HOSTILE += ["# " * MANY, 'a: "' + "\\" * MANY]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_yaml_takes_no_time(text: str) -> None:
    for _ in within(0.5):
        with suppress(ValueError):
            from_yaml(text)
