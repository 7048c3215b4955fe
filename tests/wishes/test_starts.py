"""Wishes that are painted from pictures: what a card refuses, what is filled in, what is said."""

import pytest

from studio.canvas import Input, Place, nearest, place
from studio.errors import Refused
from studio.request import read_request, steps_taken
from studio.settings import Settings
from studio.wishes.catalog import Catalog, Settled
from studio.wishes.presets import load_catalog

WIDE, SQUARE, OTHER = "a" * 64, "b" * 64, "c" * 64
FOUND = {
    WIDE: Input(WIDE, 300, 200),
    SQUARE: Input(SQUARE, 512, 512),
    OTHER: Input(OTHER, 256, 256),
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(Settings().presets, "test-pattern")


def settle(catalog: Catalog, **fields: object) -> Settled:
    return catalog.settle(read_request({"prompt": "a boat", **fields}), (), FOUND)


def test_the_nearest_shape_is_taken_and_what_is_cut_is_said(catalog: Catalog) -> None:
    settled = settle(catalog, start_image=WIDE)
    assert (settled.request.width, settled.request.height) == (320, 192)
    (said,) = settled.warnings
    assert said == (
        "The start image is 300x200; of the shapes of Test pattern (untrained), landscape is the "
        "nearest: 320x192. Its edges are cut off."
    )
    assert settle(catalog, start_image=SQUARE).warnings == ()


def test_a_size_that_was_asked_for_is_kept(catalog: Catalog) -> None:
    asked = settle(catalog, start_image=WIDE, width=256, height=256)
    assert (asked.request.width, asked.request.height) == (256, 256)
    assert asked.warnings == (
        "The start image is 300x200, the picture 256x256. Its edges are cut off.",
    )
    assert settle(catalog, start_image=WIDE, aspect="portrait").request.width == 192


def test_what_is_settled_is_whole_and_stays_so(catalog: Catalog) -> None:
    for fields in ({}, {"mask": OTHER}, {"fit": "contain", "width": 320, "height": 192}):
        once = settle(catalog, start_image=SQUARE, **fields).request
        assert once.strength is not None and once.fit
        assert catalog.settle(once, (), FOUND).request == once
    assert settle(catalog).request.strength is None


def test_the_strength_is_the_cards_and_what_is_masked_is_painted_anew(catalog: Catalog) -> None:
    assert settle(catalog, start_image=SQUARE).request.strength == 0.6
    assert settle(catalog, start_image=SQUARE, mask=OTHER).request.strength == 1
    around = settle(catalog, start_image=WIDE, width=256, height=256, fit="contain")
    assert around.request.strength == 1 and around.warnings == ()
    assert settle(catalog, start_image=SQUARE, mask=OTHER, strength=0.3).request.strength == 0.3


def test_a_strength_below_one_step_is_raised_and_said(catalog: Catalog) -> None:
    weak = settle(catalog, start_image=SQUARE, strength=0.1, steps=4)
    assert weak.request.strength == 0.25
    assert weak.warnings == ("Strength 0.1 is less than one of 4 steps; 0.25 was taken.",)
    nothing = settle(catalog, start_image=SQUARE, strength=0)
    assert nothing.request.strength == 0 and "nothing is painted" in nothing.warnings[0]


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 28, 49, 100])
def test_the_steps_that_are_taken_are_those_of_the_strength(steps: int) -> None:
    for taken in range(steps + 1):
        wish = {"steps": steps, "strength": taken / steps, "start_image": SQUARE}
        assert steps_taken(wish) == taken
    assert steps_taken({"steps": steps, "strength": None, "start_image": None}) == steps


REFUSED = [
    ({"mask": OTHER}, "mask", "needs a start image"),
    ({"strength": 0.5}, "strength", "needs a start image"),
    ({"fit": "contain"}, "fit", "needs a start image"),
    ({"start_image": SQUARE, "mask": WIDE}, "mask", "300x200 and the start image 512x512"),
    ({"references": [{"id": SQUARE}]}, "references", "takes no reference pictures"),
    ({"start_image": SQUARE, "model": "sana-1.5"}, "start_image", "cannot begin from a picture"),
    ({"start_image": SQUARE, "model": "flux2"}, "start_image", "mask of what may change, or"),
    ({"model": "flux2", "references": [{"id": "d" * 64}]}, "references.0.id", "40x40; a reference"),
    ({"model": "flux2", "references": [{"id": "e" * 64}]}, "references.0.id", "8 times as many"),
    (
        {"model": "flux2", "start_image": SQUARE, "mask": OTHER, "references": [{"id": WIDE}] * 2},
        "references",
        "beside a mask",
    ),
]


@pytest.mark.parametrize(("fields", "field", "words"), REFUSED)
def test_what_a_card_cannot_do_is_refused_in_words(
    catalog: Catalog, fields: dict[str, object], field: str, words: str
) -> None:
    odd = {"d" * 64: Input("d" * 64, 40, 40), "e" * 64: Input("e" * 64, 900, 100)}
    with pytest.raises(Refused, match=words) as refusal:
        catalog.settle(read_request({"prompt": "x", **fields}), (), FOUND | odd)
    assert refusal.value.field == field and str(refusal.value).startswith(f"{field}: ")


def test_a_card_without_masks_paints_no_border(catalog: Catalog) -> None:
    card = catalog.default.model_copy(update={"can": frozenset({"start_image"})})
    plain = Catalog([card], [])
    with pytest.raises(Refused, match="^fit: .* no border"):
        settle(plain, start_image=WIDE, width=256, height=256, fit="contain")
    with pytest.raises(Refused, match="^mask: .* takes no masks"):
        settle(plain, start_image=SQUARE, mask=OTHER)
    assert settle(plain, start_image=SQUARE, fit="contain").request.fit == "contain"


def test_references_count_alike_and_choose_the_shape(catalog: Catalog) -> None:
    one = settle(catalog, model="flux2", prompt="", references=[{"id": WIDE, "weight": 0.5}])
    assert (one.request.width, one.request.height) == (1216, 832)
    assert "count alike" in one.warnings[0]
    assert len(one.warnings) == 2 and "first reference is 300x200" in one.warnings[1]
    card = catalog.cards["flux2-klein-4b"].model_copy(update={"max_references": 2})
    with pytest.raises(Refused, match="3 are too many .* the most is 2"):
        settle(Catalog([card], []), references=[{"id": SQUARE}] * 3)


def test_all_pictures_of_a_wish_together_have_a_limit(catalog: Catalog) -> None:
    """What is named twice crosses once."""
    large = {number * 64: Input(number * 64, 8000, 5000) for number in "123"}

    def begin(*numbers: str) -> Settled:
        references = [{"id": number * 64} for number in numbers]
        wish = read_request({"prompt": "x", "model": "flux2", "references": references})
        return catalog.settle(wish, (), large)

    assert len(begin("1", "2", "1").request.references) == 3
    with pytest.raises(Refused, match="3 pictures have 120 megapixels .* the most is 100") as told:
        begin("1", "2", "3")
    assert told.value.field == "references"


def test_an_empty_prompt_will_do_where_a_picture_is_given(catalog: Catalog) -> None:
    assert settle(catalog, prompt="", start_image=SQUARE).request.prompt == ""


@pytest.mark.parametrize(
    ("image", "canvas", "cover", "contain"),
    [
        ((100, 100), (50, 50), (0, 0, 50, 50), (0, 0, 50, 50)),
        ((100, 50), (50, 50), (-25, 0, 100, 50), (0, 12, 50, 25)),
        ((50, 100), (100, 100), (0, -50, 100, 200), (25, 0, 50, 100)),
        ((301, 300), (256, 256), (0, 0, 256, 256), (0, 0, 256, 256)),  # alike to the eye
        ((8192, 16), (64, 64), (-16352, 0, 32768, 64), (0, 31, 64, 1)),
    ],
)
def test_a_start_image_lies_in_the_middle(
    image: tuple[int, int],
    canvas: tuple[int, int],
    cover: tuple[int, int, int, int],
    contain: tuple[int, int, int, int],
) -> None:
    assert place(image, canvas, "cover") == Place(*cover)
    assert place(image, canvas, "contain") == Place(*contain)
    assert not place(image, canvas, "cover").border(*canvas)
    assert not place(image, canvas, "contain").cut(*canvas)


def test_shapes_are_near_by_their_sides_and_not_by_their_size() -> None:
    sizes = {"square": (256, 256), "wide": (336, 192), "tall": (192, 336)}
    assert nearest((4000, 2300), sizes) == "wide"
    assert nearest((20, 40), sizes) == "tall"
    assert nearest((1000, 999), sizes) == "square"
