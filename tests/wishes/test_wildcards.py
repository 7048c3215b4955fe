"""The lists of the studio: those that came along and the user's own, read safely and anew."""

import os
from pathlib import Path

import pytest

from studio.errors import Refused
from studio.formats.expand import Template
from studio.models.vocabulary import unknown_words
from studio.settings import Settings
from studio.wishes.presets import load_catalog
from studio.wishes.wildcards import MOST_BYTES, find_wildcards, wildcards


@pytest.fixture
def own(settings: Settings) -> Path:
    settings.wildcard_folder.mkdir(parents=True)
    return settings.wildcard_folder


def test_the_starter_knows_every_word_of_the_lists_that_came_along(settings: Settings) -> None:
    known = load_catalog(settings.presets, "starter").default.words
    lists = wildcards(settings)
    assert {"things", "colours", "places", "styles", "scenes", "hours", "weather"} <= set(lists)
    for name, one in lists.items():
        texts = list(Template(f"__{name}__", lists).drawn(seed) for seed in range(200))
        assert not unknown_words(texts, known), name
        assert not one.refused


def test_own_lists_are_called_by_their_path_and_stand_before_those_that_came_along(
    own: Path, settings: Settings
) -> None:
    (own / "deep" / "er").mkdir(parents=True)
    (own / "colours.txt").write_text("\ufeffmauve\r\n# no\r\n", encoding="utf-8")
    (own / "deep" / "er" / "list.txt").write_text("x\n")
    (own / "deep" / "two.yaml").write_text("a:\n- b\nc:\n  d: [e]\n")
    (own / "mine.json").write_text('["one"]')
    (own / "notes.md").write_text("no list")
    (own / ".hidden.txt").write_text("no list")
    found = find_wildcards(settings)
    assert found["colours"].wildcard.values == ("mauve",)
    assert found["deep/er/list"].wildcard.values == ("x",)
    assert found["deep/a"].wildcard.values == ("b",)
    assert found["deep/c/d"].wildcard.values == ("e",)
    assert found["mine"].wildcard.values == ("one",)
    assert not {"notes", ".hidden", "deep/two"} & set(found)


def test_a_file_that_changes_is_read_again(own: Path, settings: Settings) -> None:
    (own / "x.txt").write_text("one")
    assert wildcards(settings)["x"].values == ("one",)
    (own / "x.txt").write_text("one\ntwo")
    assert wildcards(settings)["x"].values == ("one", "two")


def test_what_cannot_be_read_is_listed_and_refused_when_it_is_called(
    own: Path, settings: Settings
) -> None:
    (own / "latin.txt").write_bytes(b"\xe9t\xe9")
    (own / "torn.json").write_text("[")
    (own / "no good.txt").write_text("x")
    with (own / "large.txt").open("wb") as large:
        large.truncate(MOST_BYTES + 1)
    (own / "twice.txt").write_text("x")
    (own / "twice.json").write_text('["y"]')
    os.mkfifo(own / "pipe.txt")
    lists = wildcards(settings)
    whys = {name: one.refused for name, one in lists.items() if one.refused}
    assert whys["latin"] == "latin.txt: it is not UTF-8"
    assert whys["torn"].startswith("torn.json: it is no JSON")
    assert whys["large"] == "large.txt: it has 4194305 bytes; the most is 4194304"
    assert whys["no good"].startswith("its name cannot be called")
    assert whys["twice"] == "twice.json and twice.txt both hold it; rename one"
    assert "pipe" not in lists
    with pytest.raises(Refused, match="the wildcard 'latin' cannot be used: latin.txt: it is not"):
        Template("a __latin__", lists)
