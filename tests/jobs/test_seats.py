"""Wide and narrow pictures on the same GPUs: who sits where, who leaves, and what is left after."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from studio.errors import CannotStart
from studio.jobs import fake
from studio.jobs.devices import Card, _gpu_offer, join
from studio.jobs.inbox import Machines
from studio.jobs.seats import Fleet, Seat
from studio.jobs.slot import Gone
from studio.jobs.studio import Studio
from studio.messages import Failed, FromWorker, Paint
from studio.request import read_request
from studio.settings import Settings
from tests.conftest import behind
from tests.jobs.test_pool import until

NARROW, WIDE = "narrow", "wide"


@dataclass
class House:
    """Fake GPUs of 24 GB; a wide model takes two and 17 GB on each, a narrow one 9 GB."""

    studio: Studio
    slots: dict[str, fake.FakeSlot] = field(default_factory=dict)
    script: fake.Script = fake.paint

    def has(self, *names: str) -> None:
        """The cluster has these GPUs now, `machine:gpu`."""
        for name in names:
            slot = fake.FakeSlot(name, self.script, 24.0, name.split(":")[0], leased=True)
            self.slots.setdefault(name, slot)
        self.studio.pool.inbox.put(Machines([(self.slots[name], "for tests") for name in names]))

    def submit(self, *models: str, **fields: object) -> list[str]:
        wishes = [read_request({"prompt": "x", "model": model, **fields}) for model in models]
        return [job.id for job in self.studio.line.submit(wishes)]

    def end(self, jobs: list[str], seconds: float = 60) -> list[str | None]:
        views = [self.studio.line.wait(job, seconds) for job in jobs]
        assert {view.job.state for view in views} == {"done"}
        return [view.job.slot for view in views]


@pytest.fixture
def presets(tmp_path: Path) -> Path:
    return two_models(tmp_path / "presets")


def two_models(folder: Path) -> Path:
    good = (Settings().presets / "models" / "test-pattern.toml").read_text()
    good = good.replace("memory_gb = 0.1\n", "").replace("default = true\n", "")
    (folder / "models").mkdir(parents=True)
    (folder / "looks").mkdir()
    (folder / "sizes.toml").write_text((Settings().presets / "sizes.toml").read_text())
    narrow, wide = "memory_gb = 9\n", 'memory_gb = 34\ngpus = 2\naliases = ["broad"]\n'
    for name, more in {NARROW: narrow, WIDE: wide}.items():
        (folder / "models" / f"{name}.toml").write_text(
            good.replace("[quality]", f"{more}[quality]").replace("\nsteps = 8", "\nsteps = 2")
        )
    return folder


def open_house(
    settings: Settings,
    presets: Path,
    gpus: int,
    script: fake.Script = fake.paint,
    *gb: float,
) -> House:
    """`gb` is each card's memory, or that of all of them."""
    sizes = gb if len(gb) == gpus else (gb or (24.0,)) * gpus
    slots = {f"gpu{n}": fake.FakeSlot(f"gpu{n}", script, size) for n, size in enumerate(sizes)}
    house = House(None, slots, script)  # type: ignore[arg-type]

    def widen(parts: list[fake.FakeSlot]) -> fake.FakeSlot:
        slot = fake.widen(parts)
        house.slots[slot.name] = slot
        return slot

    house.studio = Studio.open(
        settings.model_copy(update={"presets": presets, "default_model": ""}),
        Fleet([(slot, "for tests") for slot in slots.values()], widen),  # type: ignore[arg-type]
    )
    return house


def test_a_wide_picture_takes_two_gpus_and_the_narrow_ones_beside_it_one_each(
    settings: Settings, presets: Path
) -> None:
    door = threading.Event()
    house = open_house(settings, presets, 4, behind(door))
    jobs = house.submit(WIDE, NARROW, NARROW)
    until(lambda: {house.studio.store.job(job).state for job in jobs} == {"running"})
    door.set()
    slots = house.end(jobs)
    assert slots[0] == "gpu0+gpu1"
    assert {slots[1], slots[2]} == {"gpu2", "gpu3"}
    house.studio.close()


def test_a_large_card_paints_alone_what_takes_two_small_ones(
    settings: Settings, presets: Path
) -> None:
    house = open_house(settings, presets, 2, fake.paint, 80.0)
    assert house.end(house.submit(WIDE)) == ["gpu0"]
    house.studio.close()


def test_of_unlike_cards_each_model_gets_those_it_fits_on(
    settings: Settings, presets: Path
) -> None:
    house = open_house(settings, presets, 3, fake.paint, 10.0, 80.0, 10.0)
    slots = house.end(house.submit(WIDE, NARROW, WIDE, NARROW, NARROW))
    assert (slots[0], slots[2]) == ("gpu1", "gpu1")
    assert {slots[1], slots[3]} <= {"gpu0", "gpu2"}
    house.studio.close()
    many = settings.model_copy(update={"data": settings.data / "of many"})
    house = open_house(many, presets, 5, fake.paint, 24.0, 24.0, 24.0, 24.0, 80.0)
    assert "+" in str(house.end(house.submit(WIDE))[0]), "two at once on the small ones are more"
    house.studio.close()


def test_no_gpu_paints_two_pictures_at_once(settings: Settings, presets: Path) -> None:
    painting: dict[str, str] = {}
    doubled: list[str] = []
    guard = threading.Lock()

    def watched(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
        job = house.studio.store.job(message.job)
        gpus = (job.slot or "").split("+")
        with guard:
            doubled.extend(gpu for gpu in gpus if gpu in painting)
            painting.update(dict.fromkeys(gpus, job.id))
        yield from list(fake.paint(message, cancelled, 0.01))[:-1]
        with guard:
            for gpu in gpus:
                painting.pop(gpu, None)
        yield list(fake.paint(message, cancelled))[-1]

    house = open_house(settings, presets, 4, watched)
    slots = house.end(house.submit(*[WIDE, NARROW, NARROW] * 8))
    assert doubled == []
    assert {"+" in (slot or "") for slot in slots} == {True, False}
    house.studio.close()


def test_models_that_do_not_fit_beside_each_other_are_asked_to_leave(
    settings: Settings, presets: Path
) -> None:
    house = open_house(settings, presets, 2)
    house.end(house.submit(NARROW, NARROW))
    house.end(house.submit(WIDE))
    wide = house.slots["gpu0+gpu1"]
    loaded = [name for name in ("gpu0", "gpu1") if house.slots[name].asked]
    assert [house.slots[name].unloaded for name in loaded] == [[NARROW]] * len(loaded)
    assert [view.name for view in house.studio.pool.views()] == ["gpu0", "gpu1", "gpu0+gpu1"]
    house.end(house.submit(NARROW))
    assert len(wide.asked) == 1
    # Nothing is left in the memory of the wide worker: it has gone, and makes room for its like.
    assert [view.name for view in house.studio.pool.views()] == ["gpu0", "gpu1"]
    house.end(house.submit(WIDE))
    assert house.slots["gpu0+gpu1"] is not wide
    house.studio.close()


def test_a_wide_worker_that_could_not_load_its_model_keeps_no_gpu(
    settings: Settings, presets: Path
) -> None:
    def too_large(message: Paint, stop: threading.Event) -> Iterator[FromWorker | Gone]:
        if message.request["seed"] == 1:
            yield Failed(message.job, message.token, "oom", "It takes 34 GB, and 24 are free.", "")
        else:
            yield from fake.paint(message, stop)

    house = open_house(settings, presets, 2, too_large)
    first, second = house.submit(WIDE, seed=1) + house.submit(WIDE, seed=2)
    assert house.studio.line.wait(first, 20).job.state == "failed"
    assert house.end([second]) == ["gpu0+gpu1"], "another begins for the next"
    (third,) = house.submit(WIDE, seed=1)
    assert house.studio.line.wait(third, 20).job.state == "failed"
    until(lambda: [view.name for view in house.studio.pool.views()] == ["gpu0", "gpu1"])
    house.studio.close()


def test_a_wide_picture_that_waits_says_which_gpus_are_kept_for_it(
    settings: Settings, presets: Path
) -> None:
    door = threading.Event()
    house = open_house(settings, presets, 2, behind(door))
    (narrow,) = house.submit(NARROW)
    until(lambda: house.studio.store.job(narrow).state == "running")
    (wide,) = house.submit(WIDE)
    until(lambda: house.studio.line.view(wide).live.doing)
    assert house.studio.line.view(wide).words == "next in line: gpu0 and gpu1 are kept for it"
    door.set()
    assert house.end([narrow, wide])[1] == "gpu0+gpu1"
    house.studio.close()


def test_a_reserved_gpu_paints_its_model_and_no_other(settings: Settings, presets: Path) -> None:
    kept = settings.model_copy(update={"reserve": "broad=0,1"})
    house = open_house(kept, presets, gpus=3)
    jobs = house.submit(*[NARROW] * 4, WIDE)
    assert house.end(jobs) == ["gpu2"] * 4 + ["gpu0+gpu1"]
    house.studio.close()
    elsewhere = settings.model_copy(update={"reserve": "wide=0,7"})
    with pytest.raises(CannotStart, match="wide shall have gpu0, gpu7, but here are only gpu0"):
        open_house(elsewhere, presets, gpus=1)


def test_on_one_gpu_a_wide_model_paints_there(settings: Settings, presets: Path) -> None:
    house = open_house(settings, presets, 1)
    assert house.end(house.submit(WIDE, NARROW)) == ["gpu0", "gpu0"]
    house.studio.close()


def test_a_wide_worker_that_dies_gives_its_job_back(settings: Settings, presets: Path) -> None:
    died: list[str] = []

    def dies_once(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker | Gone]:
        if not died:
            died.append(message.job)
            yield Gone("was killed")
            return
        yield from fake.paint(message, cancelled)

    house = open_house(settings, presets, 2, dies_once)
    (job,) = house.submit(WIDE)
    assert house.end([job]) == ["gpu0+gpu1"]
    assert died == [job]
    assert house.studio.store.job(job).crashes == 1
    house.studio.close()


def test_a_slot_whose_workers_keep_dying_rests_longer_and_longer() -> None:
    """F03, F06"""
    seat = Seat(fake.FakeSlot(), "for tests", ("fake0",))
    assert [seat.rest(now) for now in range(4)] == [0.0] * 4
    assert [seat.rest(10.0 + n) for n in range(7)] == [15, 30, 60, 120, 240, 300, 300]
    assert seat.rest(10_000.0) == 0.0
    seat.starts = 3  # none of them said hello
    assert seat.rest(10_001.0) == 5.0


def test_a_joined_slot_sees_the_gpus_of_its_parts() -> None:
    one, two = (_gpu_offer(Card(str(index), "H200", "143771 MiB"), 4) for index in (2, 5))
    wide = join([one, two])
    assert (wide.name, wide.threads) == ("gpu2+gpu5", 8)
    assert wide.environment == {"CUDA_VISIBLE_DEVICES": "2,5"}
    assert 138 < wide.gb < 140
