"""Models that are kept in memory by wish: loaded, refused in words, let go."""

from pathlib import Path

import pytest

from studio.errors import Refused
from studio.jobs import fake
from studio.jobs.studio import Studio
from studio.settings import Settings
from tests.conftest import OpenStudio, endless
from tests.jobs.test_pool import until, wish
from tests.jobs.test_seats import NARROW, WIDE, open_house, two_models

PATTERN = "test-pattern"


def idle(studio: Studio) -> bool:
    return all(view.state == "idle" for view in studio.pool.views())


def holding(studio: Studio, model: str) -> list[str]:
    return [view.name for view in studio.pool.views() if model in view.loaded]


def test_a_model_is_loaded_into_one_idle_slot_and_let_go_again(open_studio: OpenStudio) -> None:
    slots = [fake.FakeSlot("a"), fake.FakeSlot("b")]
    studio = open_studio(*slots)
    until(lambda: idle(studio))
    with pytest.raises(Refused, match="is in no slot's memory"):
        studio.line.keep_loaded(PATTERN, here=False)
    studio.line.keep_loaded(PATTERN, here=True)
    assert holding(studio, PATTERN) == ["a"]
    with pytest.raises(Refused, match="is in memory already"):
        studio.line.keep_loaded(PATTERN, here=True)
    studio.line.keep_loaded(PATTERN, here=False)
    assert slots[0].unloaded == [PATTERN]
    assert holding(studio, PATTERN) == []
    with pytest.raises(Refused, match="models pull flux-dev"):
        studio.line.keep_loaded("flux-dev", here=True)


def test_what_is_longest_there_makes_room(open_studio: OpenStudio, tmp_path: Path) -> None:
    presets = two_models(tmp_path / "presets")
    again = (presets / "models" / f"{NARROW}.toml").read_text()
    (presets / "models" / "third.toml").write_text(again.replace(f'"{NARROW}"', '"third"'))
    slot = fake.FakeSlot("a", gb=12.0)
    studio = open_studio(slot, presets=presets, default_model="")
    until(lambda: idle(studio))
    names = sorted(set(studio.catalog.cards) - {WIDE})
    for name in names:
        studio.line.keep_loaded(name, here=True)
        assert holding(studio, name) == ["a"]
    assert slot.unloaded == names[:1]
    with pytest.raises(Refused, match="may take 2 GPUs"):
        studio.line.keep_loaded(WIDE, here=True)


def test_what_could_not_be_loaded_is_not_said_to_be_there(open_studio: OpenStudio) -> None:
    slot = fake.FakeSlot("a")
    slot.refuses = "its file is cut short"
    studio = open_studio(slot)
    until(lambda: idle(studio))
    studio.line.keep_loaded(PATTERN, here=True)
    until(lambda: "its file is cut short" in studio.pool.views()[0].reason)
    assert holding(studio, PATTERN) == []


def test_a_model_that_paints_is_not_let_go(open_studio: OpenStudio) -> None:
    studio = open_studio(fake.FakeSlot("a", endless))
    job = studio.line.submit([wish(model=PATTERN)])[0]
    until(lambda: studio.line.view(job.id).live.step)
    with pytest.raises(Refused, match="paints just now"):
        studio.line.keep_loaded(PATTERN, here=False)
    studio.line.cancel(job.id)


def test_a_wide_slot_goes_with_its_last_model(settings: Settings, tmp_path: Path) -> None:
    house = open_house(settings, two_models(tmp_path / "presets"), gpus=2)
    studio = house.studio
    (job,) = house.submit(WIDE)
    house.end([job])
    until(lambda: holding(studio, WIDE))
    assert len(studio.pool.views()) == 3
    studio.line.keep_loaded(WIDE, here=False)
    until(lambda: len(studio.pool.views()) == 2)
    studio.close()
