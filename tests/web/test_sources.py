"""What the page holds of the pictures that a wish begins from, and what of it a model is sent."""

import pytest

from studio.models.card import ModelCard
from studio.settings import Settings
from studio.web import sources
from studio.web.sources import NOTHING, change, fields, of_request, sound
from studio.wishes.presets import load_catalog

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture(scope="module")
def cards() -> dict[str, ModelCard]:
    return load_catalog(Settings().presets, "").cards


def test_what_is_put_and_taken_away_is_held_in_its_order() -> None:
    held = change(None, "start", A)
    held = change(held, "mask", B)
    assert (held["start"], held["mask"]) == (A, B)
    assert change(held, "start", C)["mask"] == ""  # it lay over the other picture
    for key in (A, B, C):
        held = change(held, "reference", key)
    assert change(held, "earlier", "2")["references"] == [A, C, B]
    assert change(held, "earlier", "0")["references"] == [A, B, C]
    assert change(held, "away", "1")["references"] == [A, C]
    assert change(held, "away", "7") == change(held, "nonsense", A) == held
    assert change(held, "strength", "0.35")["strength"] == 0.35
    assert change(held, "fit", "contain")["fit"] == "contain"
    assert change(held, "fit", "squeeze")["fit"] == "cover"


@pytest.mark.parametrize("junk", [None, 7, "x", [], {"start": None, "references": 3, "fit": []}])
def test_whatever_the_browser_remembers_it_is_sound(junk: object) -> None:
    assert sound(junk) == NOTHING


def test_a_model_is_sent_what_it_has_a_place_for(cards: dict[str, ModelCard]) -> None:
    held = NOTHING | {"start": A, "mask": B, "references": [C]}
    sdxl, klein = fields(cards["sdxl"], held), fields(cards["flux2-klein-4b"], held)
    assert (sdxl["start_image"], sdxl["mask"]) == (A, B)
    assert "references" not in sdxl
    assert klein["references"] == [{"id": C}]
    assert fields(cards["sdxl"], NOTHING) == {}
    assert of_request({**sdxl, "references": [], "strength": 0.5}) == held | {
        "strength": 0.5,
        "references": [],
    }


def test_what_the_store_no_longer_has_is_not_shown(cards: dict[str, ModelCard]) -> None:
    class Empty:
        def look(self, key: str) -> None:
            raise sources.NotFound("gone")

    drawn = sources.draw(cards["sdxl"], NOTHING | {"start": A}, Empty())  # type: ignore[arg-type]
    assert "Begin from a picture" in drawn
