"""The world of the starter: the same scene for the same seed, quickly, and words that fit it."""

import random
import re
import time
from dataclasses import replace

import numpy as np
import pytest

from starter.captions import caption, known_words
from starter.places import PLACES
from starter.styles import STYLES
from starter.things import COLOURS, THINGS
from starter.world import SIZE, Item, Spec, held_out, random_spec, render, render_with_mask

CAR = Spec((Item("car", "red"),), place="street", seed=3)


def test_the_world_is_as_large_as_promised() -> None:
    assert len(THINGS) >= 24
    assert len(COLOURS) >= 12
    assert len(PLACES) >= 12
    assert len(STYLES) >= 6


def test_the_same_spec_gives_the_same_picture() -> None:
    dice = random.Random(1)
    for spec in (random_spec(dice) for _ in range(12)):
        assert render(spec).tobytes() == render(spec).tobytes()
    assert render(CAR).tobytes() != render(replace(CAR, seed=4)).tobytes()


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("style", STYLES)
def test_every_thing_is_seen_in_its_colour_in_every_style(thing: str, style: str) -> None:
    """Red against blue: where the thing is, the two pictures differ the right way."""
    red, mask = render_with_mask(Spec((Item(thing, "red"),), style=style))
    blue = render(Spec((Item(thing, "blue"),), style=style))
    inside = np.asarray(mask) > 128
    assert 300 < inside.sum() < 0.4 * SIZE * SIZE
    difference = np.asarray(red, np.int32)[inside] - np.asarray(blue, np.int32)[inside]
    assert difference[:, 0].mean() > 4
    assert difference[:, 2].mean() < -4


def test_positions_and_relations_are_where_the_words_say() -> None:
    def middle(position: str) -> float:
        _, mask = render_with_mask(Spec((Item("car", "red", position=position),)))
        return float(np.nonzero(np.asarray(mask) > 128)[1].mean() / SIZE)

    assert middle("left") < 0.35 < middle("centre") < 0.65 < middle("right")


def test_a_scene_takes_milliseconds() -> None:
    dice = random.Random(2)
    specs = [random_spec(dice) for _ in range(30)]
    began = time.perf_counter()
    for spec in specs:
        render(spec)
    assert (time.perf_counter() - began) / len(specs) < 0.1


def test_captions_name_what_is_there_in_known_words() -> None:
    dice = random.Random(3)
    known = set(known_words())
    for _ in range(300):
        words = re.findall("[a-z0-9]+", caption(random_spec(dice), dice))
        assert words and set(words) <= known, words


def test_a_share_of_all_combinations_is_held_out() -> None:
    dice = random.Random(4)
    share = sum(held_out(random_spec(dice)) for _ in range(2000)) / 2000
    assert 0.03 < share < 0.1
    assert held_out(CAR) == held_out(replace(CAR, seed=9, style="neon"))
