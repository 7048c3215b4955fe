"""Filters that are clicked: they and the text of the search always say the same."""

import pytest

from studio.formats.filters import apart, clause, is_on, switched
from studio.formats.query import BadQuery, parse, pieces

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("q", "filter_", "becomes"),
    [
        ("", "star:yes", "star:yes"),
        ('cat "red car" -snow', "star:yes", 'cat "red car" -snow star:yes'),
        ("cat OR dog", "star:yes", "(cat OR dog) star:yes"),
        ("cat star:true boat", "star:yes", "cat boat"),
        ("cat AND model:=starter", "model:=sdxl", "cat model:=sdxl"),
        ("model:flux -model:=sdxl", "model:=starter", "-model:=sdxl model:=starter"),
        ("tag:=one", "tag:=two", "tag:=one tag:=two"),
        ("date:2026-11 cat", "date:2026-11-05", "cat date:2026-11-05"),
        ("size:64x64", "size:64x64", ""),
        ("is:trash", "is:trash", ""),
    ],
)
def test_a_click_writes_a_filter_into_the_search_or_takes_it_out(
    q: str, filter_: str, becomes: str
) -> None:
    assert switched(pieces(q, NOW), filter_, NOW) == becomes
    assert is_on(pieces(becomes, NOW), filter_, NOW) != is_on(pieces(q, NOW), filter_, NOW)
    parse(becomes, NOW)


@pytest.mark.parametrize("name", ["FLUX.1 dev", "plain", "a,b", "(x)", ">=2", "naïve 猫"])
def test_any_name_without_a_quote_can_be_clicked(name: str) -> None:
    filter_ = clause("model", name)
    assert switched(pieces(filter_, NOW), filter_, NOW) == ""


def test_a_name_that_the_language_cannot_say_is_no_filter() -> None:
    assert clause("tag", '5" floppy') == ""


def test_the_others_of_its_kind_are_counted_without_it() -> None:
    assert apart(pieces("cat model:=starter", NOW), "model:=starter", NOW) == "cat"
    assert apart(pieces("cat tag:=one", NOW), "tag:=one", NOW) == "cat tag:=one"


@pytest.mark.parametrize(
    ("q", "instead"),
    [
        ("cat modle:flux (boat)", "cat model:flux (boat)"),
        ("kind:upscald dog", "kind:upscaled dog"),
        ("kind:painted,upscald", "kind:painted,upscaled"),
        ("zzz:1", ""),
        ("cat (", ""),
    ],
)
def test_what_was_meant_is_offered_as_a_whole_search(q: str, instead: str) -> None:
    with pytest.raises(BadQuery) as refused:
        parse(q, NOW)
    assert refused.value.instead == instead
    if instead:
        parse(instead, NOW)
