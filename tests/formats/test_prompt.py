"""Prompt syntax: what each form means, that no text takes long, and that what is inert is named."""

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.formats.prompt import (
    Fragment,
    blends,
    inert_syntax,
    parse,
    take_loras,
    unescaped,
    weighing,
)
from tests.pace import within

LONGEST = 32_768


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a cat", [("a cat", 1)]),
        ("(x)", [("x", 1.1)]),
        ("((x))", [("x", 1.21)]),
        ("[x]", [("x", 1 / 1.1)]),
        ("(x:1.3)", [("x", 1.3)]),
        ("(x: .5 )", [("x", 0.5)]),
        ("(x:-1)", [("x", -1)]),
        ("((a:1.3) b:1.2)", [("a", 1.56), (" b", 1.2)]),
        ("a (b) c", [("a ", 1), ("b", 1.1), (" c", 1)]),
        (r"\(a\) \[b\] \\ C:\temp", [(r"(a) [b] \ C:\temp", 1)]),
        ("(a", [("a", 1.1)]),
        ("a [b (c", [("a ", 1), ("b ", 1 / 1.1), ("c", 1)]),
        ("a) b]", [("a) b]", 1)]),
        ("a:1.3)", [("a:1.3)", 1)]),
        ("(a:1.3 b)", [("a:1.3 b", 1.1)]),
        ("(a:1.2.3)", [("a:1.2.3", 1.1)]),
        ("[a:1.3]", [("a:1.3", 1 / 1.1)]),
        ("(a [b) c]", [("a ", 1.1), ("b", 1), (" c", 1 / 1.1)]),
        ("(a) (b)", [("a", 1.1), ("b", 1.1)]),
        ("(x:1000)", [("x", 1)]),
        ("(x:" + "9" * 400 + ")", [("x", 1)]),
        # compel's
        ("(a cat)1.3 sat", [("a cat", 1.3), (" sat", 1)]),
        ("(x).5", [("x", 0.5)]),
        ("(x)++", [("x", 1.21)]),
        ("(x)--", [("x", 0.81)]),
        ("(x)- c", [("x", 1.1), ("- c", 1)]),
        ("(a cat)2 dogs", [("a cat", 1.1), ("2 dogs", 1)]),
        ("((x)1.5)++", [("x", 1.815)]),
        ("a red++ car, blue--", [("a ", 1), ("red", 1.21), (" car, ", 1), ("blue", 0.81)]),
        ('("a", "b").and()', [("a ", 1), (" b", 1)]),
        ("(cat)2nd", [("cat", 1.1), ("2nd", 1)]),
        ("well-known -- a dash, 1--2", [("well-known -- a dash, 1--2", 1)]),
        ("A+ student", [("A+ student", 1)]),
        ("a C++ book, c--, N++", [("a C++ book, c--, N++", 1)]),
        ("(C)++ or go++", [("C", 1.21), (" or ", 1), ("go", 1.21)]),
        (r"notepad\+\+ and vim\-\-", [("notepad++ and vim--", 1)]),
    ],
)
def test_each_form_has_its_weight(text: str, meant: list[tuple[str, float]]) -> None:
    chunk = [part for chunk in parse(text) for part in chunk]
    assert [part.text for part in chunk] == [word for word, _ in meant]
    for part, (_, weight) in zip(chunk, meant, strict=True):
        assert math.isclose(part.weight, weight)


def test_break_starts_a_new_chunk_where_it_is_a_word_of_its_own() -> None:
    assert parse("a BREAK b") == ((Fragment("a ", 1),), (Fragment(" b", 1),))
    assert parse("(a BREAK b:1.2)") == ((Fragment("a ", 1.2),), (Fragment(" b", 1.2),))
    assert len(parse("BREAKFAST, break, a_BREAK")) == 1
    assert parse("BREAK BREAK") == ((),)
    assert parse("") == ((),)


def test_thousands_of_marks_are_a_slip_of_the_keyboard() -> None:
    assert parse("cat" + "+" * 32_000) == ((Fragment("cat", 1.0),),)
    ((least,),) = parse("cat" + "-" * 32_000)
    assert 0 <= least.weight < 1e-6


@pytest.mark.parametrize(
    "unit",
    ["(", "[", ")", "()", "([ ", ":", ": ", ":1", ":1)", "(a:1.1)", "\\", "\\(", "B", "BREAK ", " "]
    + ["(a)1", "a++", "+", "-", "a-", " AND b:1", '"', '("', '"a", ', "<lora:a:1>", "<lora:"]
    + ["[:", "[a:1", "[1", "__", "__a", "_", "a_", "{", "{|", "<lora:", " AND", "a ", "((a:9"],
)
def test_no_text_takes_long(unit: str) -> None:
    for text in (unit * (LONGEST // len(unit)), "(:" + unit * (LONGEST // len(unit) - 1) + "x]"):
        for _ in within(0.05):  # a half is usual; quadratic would be seconds
            parse(text)
        for _ in within(0.15):
            inert_syntax(text, weighting=True)
            inert_syntax(text, weighting=False)
            take_loras(text)


def test_a_number_of_thirty_thousand_digits_takes_no_longer() -> None:
    for _ in within(0.15):
        for text in ("(:" + "1" * LONGEST, "[" + "1" * LONGEST + ":" + "1" * LONGEST + "x]"):
            parse(text)
            inert_syntax(text, weighting=True)


words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
weights = st.integers(-999, 999).map(lambda hundredths: hundredths / 100)


@given(st.lists(st.tuples(words, weights), max_size=8))
def test_what_is_written_with_escapes_is_read_back(pieces: list[tuple[str, float]]) -> None:
    text = "".join(f"({_escaped(word)}:{weight})" for word, weight in pieces)
    read = [(part.text, part.weight) for chunk in parse(text) for part in chunk]
    assert _packed(word for word, _ in read) == _packed(word for word, _ in pieces)
    assert {weight for _, weight in read} <= {weight for _, weight in pieces}


def _packed(texts: Iterable[str]) -> str:
    """Without white space: a piece of nothing else is left out."""
    return "".join("".join(texts).split())


@given(st.text("()[]:\\B AND1.{}|_<>lora", max_size=200))
def test_nothing_but_syntax_is_lost_and_every_weight_is_sound(text: str) -> None:
    chunks = parse(text)
    assert len(chunks) >= 1
    for chunk in chunks:
        assert all(abs(part.weight) <= 10 and part.text.strip() for part in chunk)
    kept = sorted("".join(part.text for chunk in chunks for part in chunk).replace(" ", ""))
    letters = set("Blora")  # those of AND are syntax
    assert [c for c in kept if c in letters] == sorted(c for c in text if c in letters)
    for sentence in inert_syntax(text, weighting=True):
        assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a cat <lora:ink:0.8> <lora:x>", "<lora:name:0.8>"),
        ("[red:blue:0.5] hat", "[from:to:when]"),
        ("[hat:4] on [cat::10]", "[from:to:when]"),
        ("[red|blue] hat", "[a|b]"),
        ("a cat AND a dog:-1", "left out"),
        ('("a","b").blend(0.5, no_normalize)', ".blend("),
        ("(hat:11)", "'hat' is outside -10 to 10"),
    ],
)
def test_syntax_without_effect_is_named_once(text: str, named: str) -> None:
    (sentence,) = inert_syntax(text, weighting=True)
    assert named in sentence


@pytest.mark.parametrize(
    ("text", "shares", "first"),
    [
        ("a cat AND a dog", [1, 1], "a cat "),
        ("a cat :0.7 AND a dog:.3", [0.7, 0.3], "a cat "),
        ("(a cat:1.2) AND a dog:-0.5 AND snow", [1, 1], "a cat"),
        ("a cat:0 AND a dog:-1", [0], "a cat"),
        ("a cat AND a dog:" + "9" * 400, [1, 1], "a cat "),
        ('("a","b").blend(1,0.00001)', [1, 0.00001], "a"),
        ('("cats AND dogs","b").blend(1,1)', [1, 1], "cats AND dogs"),
        ('("a cat", "a dog").blend(0.7, 0.3)', [0.7, 0.3], "a cat"),
        (' ( "a cat","a dog" ).blend()', [1, 1], "a cat"),
        ("a cat AND", [1], "a cat "),
        ("ratio:2", [1], "ratio:2"),
        ("BRAND new ANDES, and", [1], "BRAND new ANDES, and"),
        ("", [1], None),
    ],
)
def test_and_mixes_prompts(text: str, shares: list[float], first: str | None) -> None:
    mixed = blends(text)
    assert [one.share for one in mixed] == shares
    assert [part.text for chunk in mixed[0].chunks for part in chunk][:1] == [first] * bool(first)


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("a ((b:1.2) c) d [e]", ["((b:1.2) c)", "[e]"]),
        ("(a [b) c] do++", ["(a [b) c]", "do++"]),
        ("a) (b", ["(b"]),
        ("(a)++ (b)1.3 (c:2", ["(a)++", "(b)1.3", "(c:2"]),
        ("(go++)", ["(go++)"]),
        (r"\(a\) C++ go\+\+", []),
        (' ("a", "b").blend(1, 2)', ['("a", "b").blend(1, 2)']),
    ],
)
def test_what_weighs_is_found_as_it_is_written(text: str, marks: list[str]) -> None:
    assert weighing(text) == marks


def test_lora_tags_are_taken_out_and_read() -> None:
    assert take_loras("a <lora:ink:0.8>cat <LORA: my lora >") == (
        "a cat ",
        [("ink", (0.8,)), ("my lora", (1.0,))],
    )
    assert take_loras("<lora:ink:much> <lyco:x:1>") == ("<lora:ink:much> <lyco:x:1>", [])
    assert take_loras("<lora:ink:-.5>") == ("", [("ink", (-0.5,))])
    assert take_loras("a<lora:ink:0.8: 0.5>") == ("a", [("ink", (0.8, 0.5))])
    assert take_loras("<lora:ink:1:1:8>") == ("<lora:ink:1:1:8>", [])


def test_plain_words_and_escaped_brackets_need_no_warning() -> None:
    text = r"a cat, 8k \[red:blue:0.5\] <3 snake_case __init a|b {x} [soft:er] ANDES (x:1.2)"
    assert inert_syntax(text, weighting=True) == []


def test_a_model_without_weighting_says_so() -> None:
    (sentence,) = inert_syntax("a (hat:1.2)", weighting=False)
    assert sentence == "This model reads no weights: (hat:1.2) is sent as it stands."
    (sentence,) = inert_syntax("(a), [b], red++, (c)1.5 (d", weighting=False)
    assert sentence == (
        "This model reads no weights: (a), [b], red++ and 2 more are sent as they stand."
    )
    assert inert_syntax(r"a hat \(red\), C++", weighting=False) == []
    (blend,) = inert_syntax("a cat AND a dog", weighting=False)
    assert "AND" in blend
    assert "BREAK" in inert_syntax("a cat BREAK a dog", weighting=False)[0]
    (call,) = inert_syntax('("a","b").and()', weighting=False)
    assert call == 'This model reads no weights: ("a","b").and() is sent as it stands.'
    assert unescaped(r"saber \(fate\), C:\x") == r"saber (fate), C:\x"


def test_a_call_with_much_space_in_it_takes_no_longer() -> None:
    for _ in within(0.15):
        for text in ('("a","b").blend(' + " " * 32_000 + ")", '("a"' + " " * 32_000 + ").and()"):
            blends(text)
            inert_syntax(text, weighting=True)


def _escaped(text: str) -> str:
    for mark in "\\()[]":
        text = text.replace(mark, "\\" + mark)
    return text.replace("BREAK", "break")


@given(st.text("ab :.,B'\"-+_RE\n|$", max_size=12))
def test_text_without_syntax_is_one_fragment_as_it_would_be_with_some(text: str) -> None:
    assert parse(text) == parse(f"{text}()")  # empty brackets change nothing
