"""What hangs together: lineage, variants, duplicates, and which settings win."""

import pytest
from PIL import Image, ImageDraw, ImageFilter
from sqlalchemy import update

from studio.errors import NotFound, Refused
from studio.formats.likeness import likeness
from studio.request import InputPicture
from studio.store import entries, lineage
from studio.store.alike import SHOWN
from studio.store.lineage import Link
from studio.store.marks import Marks
from studio.store.store import Store
from studio.store.tables import entry
from studio.store.wins import share
from tests.store.kit import kept

INPUT = "a" * 64


def test_lineage_goes_back_and_forth_as_far_as_it_goes(store: Store) -> None:
    (first,) = kept(store, "first")
    with store.database.write() as tx:
        lineage.remember(tx, INPUT, first)
        lineage.remember(tx, INPUT, first)
    (second,) = kept(store, "second", became={"start_image": INPUT, "mask": "b" * 64})
    (third,) = kept(store, "third", became={"enlarged_from": second, "start_image": "c" * 64})
    (other,) = kept(store, "other", became={"start_image": "c" * 64})
    found = store.history.lineage(second)
    assert set(found.pictures) == {first, second, third} and not found.more
    assert set(found.links) == {
        Link(second, first, "start_image"),
        Link(second, "b" * 64, "mask"),
        Link(third, second, "enlarged_from"),
    }
    assert store.history.lineage(third).pictures == (third, second, first)
    assert [one.picture.prompt for one in store.history.those(found.pictures)] == [
        *("second", "first", "third")
    ]
    assert store.history.lineage(other).links == (Link(other, "c" * 64, "start_image"),)
    with pytest.raises(NotFound):
        store.history.lineage("zebra")


def test_a_file_of_ours_that_comes_back_is_known_by_its_content(store: Store) -> None:
    (first,) = kept(store, content="d" * 64)
    (second,) = kept(store, became={"start_image": "d" * 64})
    assert store.history.lineage(first).links == (Link(second, first, "start_image"),)


def test_how_a_picture_came_about_is_searched(store: Store) -> None:
    told: dict[str, dict[str, object]] = {
        "painted": {},
        "redrawn": {"start_image": INPUT},
        "inpainted": {"start_image": INPUT, "mask": INPUT},
        "referenced": {"references": (InputPicture(id=INPUT),)},
        "upscaled": {"model": "enlarge", "start_image": INPUT},
    }
    for kind, became in told.items():
        kept(store, kind, became=became)
    for kind in told:
        found = store.history.search(f"kind:{kind}").pictures
        assert [one.picture.prompt for one in found] == [kind]
    kept(store, "painted larger", became={"upscale": 2})
    assert store.history.search("kind:painted kind:upscaled").total == 1


def test_variants_differ_in_nothing_but_the_seed(store: Store) -> None:
    first, second = kept(store, seed=1, count=2)
    (third,) = kept(store, seed=9, tags=["x"], at=1.8e9 + 1)
    kept(store, seed=1, steps=2)
    kept(store, "a blue car", seed=1)
    kept(store, seed=1, owner="ada")
    page = store.history.variants(second)
    assert [one.picture.id for one in page.pictures] == [third, second, first]
    assert {one.variants for one in page.pictures} == {3}
    assert page.total == 3 and store.history.variants(second, limit=1).total == 3


def scene(shift: int = 0, noise: bool = False) -> Image.Image:
    image = Image.new("RGB", (512, 384), "navy")
    draw = ImageDraw.Draw(image)
    draw.ellipse((80 + shift, 60, 240 + shift, 220), "gold")
    draw.rectangle((300, 250 - shift, 500, 370), "darkred")
    return image.filter(ImageFilter.GaussianBlur(2)) if noise else image


def apart(one: Image.Image, other: Image.Image) -> int:
    a, b = likeness(one), likeness(other)
    assert a is not None and b is not None
    return ((a ^ b) & (2**64 - 1)).bit_count()


def test_a_likeness_survives_scaling_and_noise_and_tells_scenes_apart() -> None:
    assert apart(scene(), scene().resize((256, 192))) <= 2
    assert apart(scene(), scene(noise=True)) <= 5
    assert apart(scene(), scene(shift=150)) > 5
    assert likeness(Image.new("RGB", (64, 64), "red")) is None
    assert -(2**63) <= (likeness(scene()) or 0) < 2**63


def test_the_same_file_and_what_looks_the_same_are_found(store: Store) -> None:
    first, second = kept(store, content="d" * 64), kept(store, content="d" * 64)
    third, fourth, fifth = (kept(store, str(n))[0] for n in range(3))
    with store.database.write() as tx:
        for one, looks in ((third, 7), (fourth, 7), (fifth, 6), (second[0], -1)):
            what = {"near": looks, "changed": entries.next_version(tx)}
            tx.execute(update(entry).where(entry.c.picture == one).values(what))
    groups = [(why, [one.picture.id for one in its]) for why, its, _ in store.history.duplicates()]
    assert groups == [
        ("the same file", [first[0], second[0]]),
        ("looks the same", [third, fourth]),
    ]
    alike = store.history.near(third)
    assert [one.picture.id for one in alike.pictures] == [fourth, fifth]
    assert store.history.near(first[0]).pictures == ()
    store.history.mark([fourth], Marks(trash=True))
    assert [why for why, *_ in store.history.duplicates()] == ["the same file"]
    assert [one.picture.id for one in store.history.near(third).pictures] == [fifth]


def test_of_a_large_group_some_are_told_and_how_many_there_are(store: Store) -> None:
    for _ in range(SHOWN + 2):
        kept(store, content="e" * 64)
    ((why, its, total),) = store.history.duplicates()
    assert (why, len(its), total) == ("the same file", SHOWN, SHOWN + 2)


def test_settings_that_are_liked_more_often_stand_first(store: Store) -> None:
    quick = kept(store, steps=2, count=10)
    slow = kept(store, steps=20, count=10, loras=[])
    store.history.mark(quick[:2], Marks(star=True))
    store.history.mark(slow[:5], Marks(rating=5))
    store.history.mark(slow[5:7], Marks(rating=1))
    store.history.choose(slow[0], quick[0])
    store.history.choose(slow[1], quick[1])
    store.history.choose(slow[1], slow[2])  # says nothing of the steps
    first, second = store.history.wins()["steps"]
    assert (first.value, first.liked.wins, first.liked.of) == ("20", 5, 10)
    assert (first.rated, first.rating) == (7, pytest.approx(27 / 7, abs=0.01))
    assert (first.chosen.wins, first.chosen.of) == (2, 2)
    assert (second.value, second.liked.wins, second.chosen.wins, second.chosen.of) == ("2", 2, 0, 2)
    assert store.history.wins("steps:2")["model"][0].liked.of == 10
    with pytest.raises(Refused, match="against itself"):
        store.history.choose(slow[0], slow[0])
    with pytest.raises(NotFound):
        store.history.choose(slow[0], "zebra")


def test_few_pictures_prove_little_and_many_much() -> None:
    """Wilson's interval, as tables of it have it."""
    assert (share(0, 0).low, share(0, 0).high) == (0.0, 1.0)
    few, many = share(1, 1), share(500, 1000)
    assert few.low == pytest.approx(0.2065, abs=1e-3) and few.high == 1.0
    assert (many.low, many.high) == pytest.approx((0.469, 0.531), abs=1e-3)
    assert share(5, 10).low == pytest.approx(0.2366, abs=1e-3)
