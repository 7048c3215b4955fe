"""File names from a template: safe on every system, whatever the prompt holds."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.errors import CannotStart
from studio.formats.filename import MAX_BYTES, TOKENS, check_template, render, safe_name

VALUES: dict[str, str | int] = dict.fromkeys(TOKENS, "x") | {"seed": 7, "job": "9f3a2b1c-0"}


def test_the_default_template_gives_a_folder_a_day() -> None:
    values = VALUES | {"date": "2026-01-02", "time": "140307", "model": "sdxl"}
    template = "{date}/{time}-{model}-{seed}-{job}"
    check_template(template)
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
    with pytest.raises(CannotStart, match=r"^Setting file_name: ") as refused:
        check_template(template)
    assert complaint in str(refused.value)
