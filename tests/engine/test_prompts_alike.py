"""Weights as others read them: A1111's rule, written here anew, and compel's own parser.

What is compared is the weight of each letter. Left out is what we mean otherwise: a backslash
before nothing special, which A1111 drops, and a weight beyond ±10.
"""

import math
import random
import re

import pytest
from compel.prompt_parser import PromptParser

from studio.formats.prompt import blends, parse

A1111 = 2000
COMPEL = 60  # its parser is slow, more so with every bracket
PIECES = [
    "a",
    "red",
    "boat",
    " ",
    ", ",
    "snow BREAK fog",
    "(",
    "(",
    "[",
    ")",
    "]",
    ":1.3)",
    ": .5 )",
]
PIECES += [":-1)", ":", r"\(", r"\)", r"\[", r"\]", "BREAKFAST", ":1.3 ", "ünï", "\n"]
# In order: an escape, a number that closes, a bracket, text, a colon.
READ = re.compile(
    r"\\([()\[\]\\])|:\s*([+-]?[.\d]+)\s*\)|([()\[\]])|([^\\()\[\]:]+)|(.)", re.DOTALL
)

Letters = list[tuple[str, float]]


def as_a1111(text: str) -> Letters:
    """Each bracket that closes multiplies all that came since its opening one."""
    spans: list[list[object]] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def multiply(begin: int, factor: float) -> None:
        for span in spans[begin:]:
            span[1] = float(str(span[1])) * factor

    for escaped, number, bracket, words, other in READ.findall(text):
        if number and opened["("]:
            multiply(opened["("].pop(), float(number))
        elif bracket in opened and bracket:
            opened[bracket].append(len(spans))
        elif bracket == ")" and opened["("]:
            multiply(opened["("].pop(), 1.1)
        elif bracket == "]" and opened["["]:
            multiply(opened["["].pop(), 1 / 1.1)
        elif number:
            spans.append([":" + number + ")", 1.0])
        else:
            plain = re.sub(r"\bBREAK\b", " ", words) if words else bracket or escaped or other
            spans.append([plain, 1.0])
    for begin in opened["("]:
        multiply(begin, 1.1)
    for begin in opened["["]:
        multiply(begin, 1 / 1.1)
    return [(letter, float(str(weight))) for words, weight in spans for letter in str(words)]


def ours(text: str) -> Letters:
    return [
        (letter, part.weight) for chunk in parse(text) for part in chunk for letter in part.text
    ]


def alike(left: Letters, right: Letters, spare: str = "") -> bool:
    left, right = (
        [(letter, weight) for letter, weight in side if letter.strip(spare or None)]
        for side in (left, right)
    )
    return [letter for letter, _ in left] == [letter for letter, _ in right] and all(
        math.isclose(one, other) for (_, one), (_, other) in zip(left, right, strict=True)
    )


def test_two_thousand_prompts_weigh_what_a1111_says() -> None:
    dice = random.Random(5)
    weighted = 0
    for _ in range(A1111):
        text = "".join(dice.choices(PIECES, k=dice.randint(1, 18)))
        text = re.sub(r":\s+(?=-?\.?\d)", ":", text)  # one way to write it is enough
        assert alike(ours(text), as_a1111(text)), text
        weighted += any(weight != 1 for _, weight in ours(text))
    assert weighted > A1111 / 2


def _compel(dice: random.Random, depth: int = 0) -> str:
    words = " ".join(
        dice.choices(["red", "boat", "a cat", "snow", "blue sky"], k=dice.randint(1, 2))
    )
    kind = 3 if depth < 1 and dice.random() < 0.1 else dice.randint(0, 2)
    if kind == 0:
        return words
    if kind == 1:
        return words + dice.choice(["++", "--", "+++"])
    if kind == 2:
        return f"({words}){dice.choice(['1.3', '0.5', '++', '--', '.8'])}"
    inner = f"{_compel(dice, depth + 1)} {_compel(dice, depth + 1)}"
    return f"({inner}){dice.choice(['1.2', '++', '0.9'])}"


def test_prompts_weigh_what_compel_says() -> None:
    dice, compel = random.Random(6), PromptParser()
    for _ in range(COMPEL):
        text = " ".join(_compel(dice) for _ in range(dice.randint(1, 3)))
        (flat,) = compel.parse_conjunction(text).prompts
        theirs = [(letter, part.weight) for part in flat.children for letter in part.text]
        assert alike(ours(text), theirs), text


@pytest.mark.parametrize(
    "text", ['("a red boat", "(snow)1.3").blend(0.7, 0.3)', '("a boat", "snow").blend(1, 1)']
)
def test_blends_have_the_shares_that_compel_gives_them(text: str) -> None:
    (blend,) = PromptParser().parse_conjunction(text).prompts
    assert [one.share for one in blends(text)] == blend.weights
