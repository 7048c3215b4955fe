"""Choices in prompts: against the reference in `naive_choices`, and against those who mean harm."""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from functools import cache

import pytest

from studio.errors import Refused
from studio.formats.choices import MOST_COUNTED
from studio.formats.expand import Template
from studio.formats.wildcards import Wildcard, matching
from tests.formats.naive_choices import outcomes
from tests.pace import within

LISTS = {
    "colours": ["red", "blue", "2::green"],
    "thing": ["cat", "{small|large} dog"],
    "dir/nested": ["__thing__ in __colours__", "fog"],
    "shade": ["${tone:pale} grey"],
    "shades": ["pale ${tone:grey}", "${tone:red} ${mood:still}"],
}
PINNED = ["a red, green", "c green, red", "h green, blue", "f red, green"]


def shelf(**lists: Sequence[str]) -> dict[str, Wildcard]:
    return {name: Wildcard(name, tuple(values)) for name, values in {**LISTS, **lists}.items()}


def read(text: str, **lists: Sequence[str]) -> Template:
    return Template(text, shelf(**lists))


def refusal(text: str, **lists: Sequence[str]) -> str:
    with pytest.raises(Refused) as caught:
        read(text, **lists)
    assert caught.value.field == "prompt"
    return str(caught.value)


class Writer:
    """Templates as people write them and worse, in the part of the syntax on which all agree."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.held: list[str] = []

    def template(self) -> str:
        self.held = []
        pieces = [self.piece(2) for _ in range(self.draw.randint(1, 4))]
        return self.draw.choice(["", "a photo of ", "(soft:1.2) "]) + " ".join(pieces)

    def piece(self, depth: int) -> str:
        kinds = ["word", "word", "wild"]
        kinds += ["choice", "choice", "weights", "pick"] if depth else []
        kinds += ["assign", "use"] if depth == 2 else ["use"]
        return str(getattr(self, self.draw.choice(kinds))(depth))

    def word(self, depth: int) -> str:
        return self.draw.choice(["fog", "snow", "(sea:1.1)", "\\{x\\}", "a\\|b", "[x]", "é", ""])

    def wild(self, depth: int) -> str:
        if self.draw.random() < 0.3:
            tone = self.draw.choice(["red", "{a|b} red", "__thing__", "${mood:dim}", ""])
            more = self.draw.choice(["", ", mood=calm", ",mood={x|y}"])
            return f"__shades(tone={tone}{more})__"
        return f"__{self.draw.choice(list(LISTS))}__"

    def choice(self, depth: int) -> str:
        many = self.draw.randint(2, 3)
        return "{" + "|".join(self.piece(depth - 1) for _ in range(many)) + "}"

    def weights(self, depth: int) -> str:
        many = self.draw.randint(2, 3)
        weights = [self.draw.choice(["1", "2", "0.5", "7"]) for _ in range(many)]
        return "{" + "|".join(f"{w}::{self.piece(depth - 1)}" for w in weights) + "}"

    def pick(self, depth: int) -> str:
        bound = self.draw.choice(["1", "2", "1-2", "0-1", "-2", "1-"])
        separator = self.draw.choice(["", " and $$", " $$"])
        if self.draw.random() < 0.3:
            return f"{{{bound}$${separator}__colours__}}"
        many = self.draw.randint(2, 3)
        options = "|".join(self.draw.choice(["ink", "oil", "{a|b}", "2::wax"]) for _ in range(many))
        return f"{{{bound}$${separator}{options}}}"

    def assign(self, depth: int) -> str:
        name = self.draw.choice(["tone", "mood"])
        once = self.draw.choice(["", "!"])
        return f"${{{name}={once}{self.piece(1)}}}"

    def use(self, depth: int) -> str:
        return f"${{{self.draw.choice(['tone', 'mood'])}:calm}}"


@cache
def templates(many: int) -> list[str]:
    writer, found = Writer(6), dict[str, None]()
    while len(found) < many:
        text = writer.template()
        template = read(text)
        if template.dynamic and template.count <= 300:
            found[text] = None
    return list(found)


def test_all_texts_of_500_templates_are_those_of_the_reference_in_its_order() -> None:
    for text in templates(500):
        expected = [said for said, _ in outcomes(text, LISTS)]
        template = read(text)
        assert [template.nth(number) for number in range(template.count)] == expected, text
        assert list(template.all()) == list(dict.fromkeys(expected)), text


def test_what_is_drawn_for_500_templates_is_one_of_the_texts_of_the_reference() -> None:
    for text in templates(500):
        template, expected = read(text), {said for said, _ in outcomes(text, LISTS)}
        assert {template.drawn(seed) for seed in range(20)} <= expected, text
        assert {template.turn(number) for number in range(20)} <= expected, text


@pytest.mark.parametrize(
    "text",
    [
        "{a|b|c}",
        "{2::a|0.5::b|c}",
        "__colours__ __thing__",
        "{1-2$$x|3::y|z}",
        "{2$$__colours__}",
        "{2$$5::a|3::b|2::c|d}",
        "${v=!{a|b}} ${v}${v}",
        "${v={a|b}} ${v}${v}",
    ],
)
def test_texts_are_drawn_as_often_as_the_reference_expects(text: str) -> None:
    many, expected = 20_000, defaultdict[str, Fraction](Fraction)
    for said, chance in outcomes(text, LISTS):
        expected[said] += chance
    template = read(text)
    drawn = Counter(template.drawn(seed) for seed in range(many))
    assert set(drawn) == set(expected)
    off = sum(
        (drawn[said] - many * float(chance)) ** 2 / (many * float(chance))
        for said, chance in expected.items()
    )
    freedom = len(expected) - 1
    assert off < freedom + 5 * (2 * freedom) ** 0.5  # chi squared, five deviations


def test_the_draw_of_a_seed_never_changes() -> None:
    template = read("{a|b|c|d|e|f|g|h} {2$$__colours__}")
    assert [template.drawn(seed) for seed in (0, 1, 7, 2**32 - 1)] == PINNED


def test_both_prompts_of_a_wish_are_drawn_apart() -> None:
    text = "{a|b|c|d|e|f|g|h}{a|b|c|d|e|f|g|h}"
    against = Template(text, {}, "negative_prompt")
    assert [read(text).drawn(seed) for seed in range(5)] != [against.drawn(s) for s in range(5)]


@pytest.mark.parametrize(
    "text",
    [
        "a__b and __ and ___ and snake_case__name",
        "__shades (tone=red and a__b(c=d and __shades(red and __shades",
        "__ __a __ b__ a__b__c ____ _ __-x a__b__ _x_ ______ __a_b__c __x",
        "{ and } and {word} and {{double}}",
        'a {"scene": {"light": "soft"}, "of": ["a", "b"]} prompt',
        "¯\\_(ツ)_/¯ :{ 🙂{🙂}",
        "(a:1.2) [b] [c|d] \\(e\\) \\\\ x AND y:0.5 BREAK a|b",
        "<lora:my__best__v2:0.8>",
        "$5 and $$ and $x {y}",
        "line\none {\n}",
        "",
        "  spaces stay  ",
    ],
)
def test_ordinary_prompts_stay_as_they_are(text: str) -> None:
    template = read(text)
    assert (template.dynamic, template.count, template.drawn(7)) == (False, 1, text)


def test_a_backslash_keeps_marks_as_text_and_those_of_weights_for_the_weights() -> None:
    assert read(r"\{a\|b\} \__colours__ \${v} \(x\)").drawn(0) == r"{a|b} __colours__ ${v} \(x\)"
    assert read(r"{a\|b|a\|b}").drawn(0) == "a|b"
    assert read(r"\\{a|a}").drawn(0) == r"\\a"


def test_weights_and_loras_stand_beside_choices() -> None:
    texts = list(read("({red|blue} cat:1.2) <lora:ink:{0.5|1}> [x|y]").all())
    assert texts == [
        f"({colour} cat:1.2) <lora:ink:{weight}> [x|y]"
        for colour in ("red", "blue")
        for weight in ("0.5", "1")
    ]


def test_a_weight_behind_is_read_as_sd_next_writes_it_and_ratios_and_shares_are_not() -> None:
    drawn = Counter(read("{a:0.75|b:0.25}").drawn(seed) for seed in range(4000))
    assert set(drawn) == {"a", "b"}
    assert 0.72 < drawn["a"] / 4000 < 0.78
    assert set(read("{16:9|4:3}").all()) == {"16:9", "4:3"}
    assert set(read("{a AND b:0.5|c}").all()) == {"a AND b:0.5", "c"}


def test_an_option_that_weighs_nothing_never_comes() -> None:
    assert list(read("{0::a|b}").all()) == ["b"]


def test_turns_go_through_every_choice_at_once_and_then_through_what_is_inside() -> None:
    template = read("{red|green|blue} {square|{thin|thick} circle}")
    assert [template.turn(number) for number in range(5)] == [
        "red square",
        "green thin circle",
        "blue square",
        "red thick circle",
        "green square",
    ]


def test_a_wildcard_is_given_what_its_variables_stand_for_and_nothing_else_sees_it() -> None:
    both = ["in ${v}, warm ${v}"]
    assert tuple(read("${v=ice}__it(v=fog)__ ${v}", it=both).all()) == ("in fog, warm fog ice",)
    assert set(read("{2$$__it(v=a)__}", it=["1${v}", "2${v}"]).all()) == {"1a, 2a", "2a, 1a"}
    outer = read("__outer(v={a|b})__", outer=["<__it__>"], it=["${v}"])
    assert set(outer.all()) == {"<a>", "<b>"}
    assert set(read("__it(v={a, \\}|b}, w=c)__", it=["${v} ${w}"]).all()) == {"a, } c", "b c"}
    assert "the variable 'v' has no value" in refusal("__it(v=a)__ __it__", it=["${v}"])
    assert next(read("{1::@a|1::!b} {@x} a__b(c=d)__").all()) == "@a {@x} a__b(c=d)__"


def test_names_with_stars_call_all_lists_that_fit() -> None:
    names = ["a", "ab", "x/a", "x/y/a", "x/y/b"]
    assert (matching("a*", names)) == ["a", "ab"]
    assert (matching("*/a", names)) == ["x/a"]
    assert (matching("**/a", names)) == ["a", "x/a", "x/y/a"]
    assert (matching("x/**", names)) == ["x/a", "x/y/a", "x/y/b"]
    assert (matching("*b*", names)) == ["ab"]
    assert (matching("**", names)) == sorted(names)
    template = read("__x/*__", **{"x/a": ["one", "two"], "x/b": ["two", "three"]})
    assert set(template.all()) == {"one", "two", "three"}
    assert template.count == 3
    assert template.wildcards == ("x/a", "x/b")


def test_a_wildcard_sees_the_variables_of_the_prompt_that_calls_it() -> None:
    assert read("__shade__").drawn(0) == "pale grey"
    assert read("${tone=dark}__shade__ __shade__").drawn(0) == "dark grey dark grey"
    outer = read("__shade__ __outer__ ${tone=dark}__shade__ __outer__", outer=["__shade__ sky"])
    assert outer.drawn(0) == "pale grey pale grey sky dark grey dark grey sky"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "a __colour__",
            "prompt: column 3: there is no wildcard 'colour'. Did you mean __colours__?",
        ),
        ("__colours/*__", "there is no wildcard 'colours/*'"),
        ("a\nred {b|c", "prompt: line 2, column 5: this brace is never closed"),
        ("{2$$a", "column 1: this brace is never closed"),
        ("${v=a", "column 1: this brace is never closed"),
        ("x ${v}", "column 3: the variable 'v' has no value; write ${v=...} before it"),
        ("${v=a|b}${v}", "column 6: | stands in no choice; write ${v={a|b}}"),
        ("{3$$a|b}", "column 1: 3 are to be picked, and there are 2."),
        ("{21$$__colours__}", "column 1: 21 are too many; the most is 20."),
        ("{0::a|0::b}", "every option of this choice weighs 0"),
        ("{2000000::a|b}", "the weight 2000000 is above 1,000,000"),
        ("{0.0000001::a|b}", "too small; the least is 0.000001"),
        ("a {@red|blue}", "column 3: @ in front is a sampler of dynamicprompts"),
        ("{ !red|blue}", "Take it out and say expand all, or write {1::! for the letter."),
        ("{~2$$red|blue|green}", "column 1: ~ in front is a sampler"),
        ("{@1-2$$__colours__}", "column 1: @ in front is a sampler"),
        ("a __~colours__", "column 3: ~ in front is a sampler of dynamicprompts; here all choices"),
        ("a __@shades(tone=red)__", "Take it out and say expand cycle."),
        ("__shades(red)__", "column 10: 'red' is no variable; write __name(v=x)__."),
        ("__shades()__", "column 10: '' is no variable"),
        ("__shades(tone={a|b)__", "column 15: this brace is never closed"),
        ("a car __shades(v=1, w=2, 3)__", "column 25: '3' is no variable"),
        ("__shades(tone=a, tone=b)__", "column 18: 'tone' is given twice."),
        ("__colours(x=1)__", "column 11: the wildcard 'colours' uses no variable 'x'."),
        ("__thing__ __thing(x=a)__", "column 19: the wildcard 'thing' uses no variable 'x'."),
        ("{2$$__shades(tone=a, mod=b)__}", "column 22: the wildcard 'shades' uses no variable"),
        ("a __shades(tone=red", "column 3: what is given to a wildcard ends with )__ and holds no"),
        ("__shades(tone=red) car", "column 1: what is given to a wildcard ends with )__"),
        ("a\n__shades(tone=(red:1.2))__", "line 2, column 1: what is given to a wildcard ends"),
        ("a very long red __shades(v= {3$$a|b})__", "column 29: 3 are to be picked"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(text: str, sentence: str) -> None:
    assert sentence in refusal(text)


def test_wildcards_that_cannot_be_used_are_named_before_anything_is_drawn() -> None:
    assert "the wildcard 'none' is empty" in refusal("{fog|__none__}", none=[])
    lost = refusal("__outer__", outer=["x", "__lost__"])
    assert "there is no wildcard 'lost', which 'outer' calls" in lost
    useless = refusal("__outer__", outer=["__thing(tone=a)__"])
    assert "the wildcard 'thing' uses no variable 'tone', which 'outer' calls." in useless
    circle = refusal("__a__", a=["x", "{y|__b__}"], b=["__a__"])
    assert "in a circle: a calls b calls a" in circle
    assert "in a circle: a calls a." in refusal("__a__", a=["__*__"])
    torn = refusal("__a__", a=["fine", "{x|y"])
    assert "the wildcard 'a' holds '{x|y': column 1: this brace is never closed" in torn


def test_too_long_a_text_is_refused_when_it_is_written() -> None:
    template = read("${v=" + "x" * 2000 + "}" + "${v}" * 17)
    with pytest.raises(Refused, match="too long; the most is 32768 characters"):
        template.drawn(0)


def test_how_many_there_are_is_reckoned_without_building_them() -> None:
    assert read("{a|b|c} {2$$x|y|{z|w}} __thing__").count == 3 * 10 * 3
    assert read("{a|b}" * 900).count == MOST_COUNTED
    assert read("{20$$" + "|".join("abcdefghijklmnopqrstuvwxyz") + "}").count == MOST_COUNTED
    assert read("{a|b}" * 900).nth(1) == "a" * 899 + "b"


MARKS = ["{", "}", "|", "{", "}", "|", "$$", "${", "__", "_", "\\", "::", ":", "=", "=!", "1", "2"]
MARKS += ["0.5", "-", "*", "{2$$", "colours", "__colours__", "v", "a", " ", "(", ")", "[", "]"]


def test_whatever_is_typed_is_one_of_its_texts_or_refused_in_a_sentence() -> None:
    draw, chosen = random.Random(7), 0
    for _ in range(2500):
        text = "".join(draw.choice(MARKS) for _ in range(draw.randint(1, 16)))
        try:
            template = read(text)
        except Refused as refusal:
            assert str(refusal).startswith("prompt: "), text
            continue
        if not template.dynamic:
            assert "\\" in text or template.drawn(0) == text
        elif template.count <= 60:
            chosen += 1
            all_ = {template.nth(number) for number in range(template.count)}
            ways = (template.drawn, template.turn)
            found = {way(seed) for way in ways for seed in range(4)}
            assert found <= all_ == set(template.all()), text
    assert chosen > 100


def doubling(many: int) -> str:
    names = [f"v{number}" for number in range(many)]
    pairs = zip(names, names[1:], strict=False)
    return "${v0=}" + "".join(f"${{{b}=${{{a}}}${{{a}}}}}" for a, b in pairs) + f"${{{names[-1]}}}"


SIZE = 32_768
HOSTILE = {
    "opening braces": "{" * SIZE,
    "closing braces": "}" * SIZE,
    "bars": "{" + "|" * (SIZE - 2) + "}",
    "nested text": "{" * (SIZE // 2) + "}" * (SIZE // 2),
    "nested choices": "{a|" * (SIZE // 4) + "}" * (SIZE // 4),
    "empty choices": "{|}" * (SIZE // 3),
    "underscores": "_" * SIZE,
    "names without an end": "__a" * (SIZE // 3),
    "one long name": "__" + "a" * (SIZE - 4) + "__",
    "unknown names": "__zz__ " * (SIZE // 7),
    "stars": "__" + "*" * (SIZE - 4) + "__",
    "stars and letters": "__" + "*a" * 49 + "__",
    "many globs": "".join(f"__{number}*__" for number in range(SIZE // 9)),
    "backslashes": "\\" * SIZE,
    "dollars": "$" * SIZE,
    "picks without an end": "{2$$" * (SIZE // 4),
    "separators": "{2$$ " + "a" * (SIZE - 10) + "$$}",
    "open variables": "${a=" * (SIZE // 4),
    "doubling variables": doubling(1000),
    "a chain of variables": "${v=a}" + "${v=${v}}" * 990 + "${v}",
    "many options": "{" + "a|" * (SIZE // 2 - 2) + "a}",
    "picks of many": "{20$$" + "a|" * (SIZE // 2 - 5) + "a}",
    "picks of unlike": "{20$$" + "|".join("{" + "a|" * n + "a}" for n in range(170)) + "}",
    "weights": "{" + "|".join(f"{n}::a" for n in range(SIZE // 9)) + "}",
    "colons and spaces": "{" + (":0.5" + " " * 40) * (SIZE // 45) + "x|b}",
    "long wildcards": "__colours__" * 900,
    "spaces": "{" + " " * (SIZE - 3) + "|",
    "names of calls": "__a(v" * (SIZE // 5),
    "many given": f"__shades({','.join(f'a{n}=' for n in range(SIZE // 7 - 400))})__",
    "choices given": f"__shades({','.join(f'a{n}={{a|b}}' for n in range(SIZE // 12))})__",
    "nested picks": "{1-2$$" * 31 + "a|b" + "|c}" * 31,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_32_kilobytes_take_more_than_50_milliseconds(kind: str) -> None:
    text = HOSTILE[kind]
    assert len(text) <= SIZE
    read("{a|b}")  # the pages of the code are in memory
    for _ in within(0.05):
        with suppress(Refused):
            read(text).drawn(7)
