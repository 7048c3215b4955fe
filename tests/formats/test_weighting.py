"""Weights as other tools write them, in our marks: each word weighs what it weighed there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.formats.foreign.weighting import Grammar, comfy, compel, novelai, plain, translated
from studio.formats.prompt import blends
from studio.request import MAX_PROMPT
from tests.pace import within

GRAMMARS = (comfy, compel, novelai, plain)
PIECES = st.sampled_from(
    ["(", ")", "[", "]", "{", "}", "::", ":1.3", "1.2::", "+", "++", "-", "--", "1.1", ",", " "]
    + ["a", "boat", "C", "\\", "\\(", "\\)", "BREAK", " BREAK ", " AND ", ":", ":0.5", "\n", '"']
    + ["(a:1.3)", "((b))", ".and()", ".blend(", "word", "é", "."]
)


@pytest.mark.parametrize(
    ("grammar", "theirs", "ours"),
    [
        (comfy, "a (red:1.3) boat", "a (red:1.3) boat"),
        (comfy, "((a:1.3) b:1.2)", "(a:1.3)( b:1.2)"),
        (comfy, "[a] (b)", r"\[a\] (b:1.1)"),
        (comfy, r"\(a\) (b", r"\(a\) \(b"),
        (comfy, "a BREAK b AND c", "a break b and c"),
        (comfy, "word++ C++", r"word\+\+ C++"),
        (compel, "red+ car-- (big dog)1.3", "(red:1.1) (car:0.81) (big dog:1.3)"),
        (compel, "(a (b)++)1.5", "(a (b)++)1.5"),
        (compel, "blue-green (sky)", "blue-green sky"),
        (compel, "C+", "(C:1.1)"),
        (novelai, "{{a}}, [b], (c)", r"(a:1.1025), (b:0.9524), \(c\)"),
        (novelai, "1.3::a:: b", "(a:1.3) b"),
        (plain, "(a:1.3) [b]", r"\(a:1.3\) \[b\]"),
        (plain, "nothing at all", "nothing at all"),
    ],
)
def test_marks_are_written_in_ours(grammar: Grammar, theirs: str, ours: str) -> None:
    assert translated(theirs, grammar) == ours


@given(st.lists(PIECES, max_size=14).map("".join), st.sampled_from(GRAMMARS))
def test_each_word_weighs_what_it_weighed(text: str, grammar: Grammar) -> None:
    meant = [
        (letter, weight if -10 <= weight <= 10 else 1.0)
        for piece, weight in grammar(text)
        for letter in piece.lower()
        if letter.strip()
    ]
    (blend,) = blends(translated(text, grammar))
    (chunk,) = blend.chunks
    found = [(letter, one.weight) for one in chunk for letter in one.text.lower() if letter.strip()]
    assert [letter for letter, _ in found] == [letter for letter, _ in meant]
    assert [weight for _, weight in found] == pytest.approx([w for _, w in meant], abs=1e-4)


@pytest.mark.parametrize("grammar", GRAMMARS)
@pytest.mark.parametrize(
    "text", ["(", "()", "a+", "(a:1.1", "{", "1::", "\\", "(a)1.1", "[", "a-b"]
)
def test_it_is_soon_done_whatever_the_marks(grammar: Grammar, text: str) -> None:
    whole = (text * MAX_PROMPT)[:MAX_PROMPT]
    for _ in within(0.5):
        translated(whole, grammar)


def test_what_is_too_long_for_a_prompt_stays_as_it_is() -> None:
    text = "(a:1.3) " * MAX_PROMPT
    assert translated(text, plain) == text
