"""File names from a template: safe on every system, whatever the prompt holds."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.errors import Refused
from studio.formats.filename import (
    MAX_BYTES,
    TOKENS,
    check_template,
    render,
    safe_name,
    unlike,
    values_of,
)
from studio.settings import ROOT

VALUES: dict[str, str | int] = dict.fromkeys(TOKENS, "x") | {"seed": 7, "job": "9f3a2b1c-0"}


def test_the_default_template_gives_a_folder_a_day() -> None:
    values = VALUES | {"date": "2026-01-02", "time": "140307", "model": "sdxl"}
    template = "{date}/{time}-{model}-{seed}-{job}"
    check_template(template, "name")
    assert render(template, values) == "2026-01-02/140307-sdxl-7-9f3a2b1c-0"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..", "_"),
        ("", "_"),
        (".hidden", "hidden"),
        ("a red car.  ", "a_red_car"),
        ("CON", "_CON"),
        ("con.png", "_con.png"),
        ("aux .txt", "aux_.txt"),
        ("LPT¹", "_LPT¹"),
        ("console", "console"),
        ("C:\\x", "C_x"),
        ("a\x00b\u202ec", "abc"),
        ("e\u0301", "\u00e9"),
        ("e\u200d\u0301", "\u00e9"),
        ("🦊" * 40, "🦊" * 30),
    ],
)
def test_a_name_is_made_safe(text: str, name: str) -> None:
    assert safe_name(text) == name


@given(st.text())
def test_a_safe_name_is_safe_and_stays_as_it_is(text: str) -> None:
    name = safe_name(text)
    assert 0 < len(name.encode()) <= MAX_BYTES
    assert not set(name) & set('<>:"/\\|?*\x00\n')
    assert name[0] != "." and name[-1] not in ". "
    assert name == unicodedata.normalize("NFC", name) == safe_name(name)


@given(st.fixed_dictionaries(dict.fromkeys(TOKENS, st.text())))
def test_no_value_leaves_its_folder_or_adds_one(values: dict[str, str]) -> None:
    assert render("{date}/../{prompt}-{job}", values).count("/") == 2
    assert ".." not in render("{date}/../{prompt}", values).split("/")


def test_a_long_prompt_leaves_room_for_what_comes_after_it() -> None:
    assert render("{prompt}-{job}", VALUES | {"prompt": "x" * 5000}).endswith("x-9f3a2b1c-0")


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{prompt}-{artist}", "{artist}"),
        ("{model.__class__}", "{model.__class__}"),
        ("{seed!r}", "{seed!r}"),
        ("{seed:9}", "{seed:9}"),
        ("{}", "{}"),
        ("{date", "{date"),
        (" / ", "empty"),
    ],
)
def test_a_template_that_cannot_be_followed_is_refused(template: str, complaint: str) -> None:
    with pytest.raises(Refused, match=r"^name: ") as refused:
        check_template(template, "name")
    assert complaint in str(refused.value)


def test_every_token_has_a_value_and_is_told_in_the_docs() -> None:
    request = {"prompt": "a red car", "steps": 20, "owner": "ann"}
    painted = {"model": "sdxl", "seed": 7, "width": 64, "height": 48}
    values = values_of(request, {"look": "ink"}, at=0, job="0" * 32, index=1, counter=12, **painted)
    assert set(values) == set(TOKENS)
    template = "{hash}/{size}-{steps}-{look}-{owner}-{index}-{counter}"
    assert render(template, values) == "4ff7ca0b/64x48-20-ink-ann-1-00012"
    docs = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    for token, meaning in TOKENS.items():
        assert f"| `{{{token}}}` | {meaning} |" in docs


def test_names_that_are_taken_are_numbered_also_where_capitals_do_not_count() -> None:
    taken: set[str] = set()
    names = [unlike(stem, ".png", taken) for stem in ("hero", "Hero", "hero", "hero-2", "x")]
    assert names == ["hero.png", "Hero-2.png", "hero-3.png", "hero-2-2.png", "x.png"]
