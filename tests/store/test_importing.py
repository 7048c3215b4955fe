"""Pictures from elsewhere come in once, unchanged, and with what they say of themselves."""

import json
import os
import signal
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import app
from studio.errors import Refused, Unavailable
from studio.settings import Settings
from studio.store.files import Files
from studio.store.fsck import fsck
from studio.store.importing import (
    AT_ONCE,
    Given,
    Outcome,
    check_folder,
    how_many,
    of_folder,
    take_in,
    take_up,
)
from studio.store.rows import Picture
from studio.store.store import Store
from tests.formats.pictures import plain, png
from tests.formats.test_picture import saved
from tests.store.conftest import OpenStore
from tests.store.door import Door, ctrl_c
from tests.store.kit import FailsAt, WatchedFiles, files_in, wish
from tests.store.test_recover import paint

AT = 1_600_000_000.0
A1111 = (
    "a red boat <lora:ink:0.8>\nNegative prompt: blurry\nSteps: 22, Sampler: Euler a, "
    "CFG scale: 6.5, Seed: 1234, Size: 64x48, Model hash: 0123456789, Model: dreamer"
)


def brought(store: Store, *given: Given) -> list[Outcome]:
    return list(take_in(store, given))


def one(store: Store, data: bytes, name: str = "boat.png") -> Picture:
    (outcome,) = brought(store, Given(name, data, AT))
    assert not outcome.why and not outcome.known
    return store.picture(outcome.picture)


def test_what_another_tool_wrote_is_known_and_the_file_is_as_it_was(store: Store) -> None:
    data = png({"parameters": A1111})
    row = one(store, data, "holiday/boat.png")
    assert store.file(row).read_bytes() == data
    assert (row.path, row.created_at) == ("pictures/imported/holiday/boat.png", AT)
    assert (row.seed, row.model, row.width, row.height) == (1234, "dreamer", 64, 48)
    assert row.prompt.startswith("a red boat") and row.foreign
    job = store.job(row.job)
    assert (job.state, job.elsewhere, job.created_at) == ("done", True, AT)
    assert (job.request["steps"], job.request["guidance"]) == (22, 6.5)
    assert job.request["negative_prompt"] == "blurry"
    assert [event.note for event in store.events(job.id)] == ["imported: holiday/boat.png"]
    told = row.recipe["imported"]
    assert (told["tool"], told["file"]) == ("A1111", "holiday/boat.png")
    found = store.history.search("kind:imported model:dreamer lora:ink boat -blurry steps:22")
    assert [kept.picture.id for kept in found.pictures] == [row.id]
    with Image.open(store.thumb(row)) as thumb:
        assert thumb.format == "WEBP"


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("Sampler: DPM++ 2M Karras", "dpm++ 2m karras"),
        ("Sampler: DPM++ 2M, Schedule type: Karras", "dpm++ 2m karras"),
        ("Sampler: Euler a, Schedule type: Beta", "Euler a"),  # a schedule that is not done here
        ("Sampler: Restart", "Restart"),
    ],
)
def test_a_sampler_that_is_one_of_ours_goes_by_our_name(
    store: Store, written: str, known: str
) -> None:
    row = one(store, png({"parameters": A1111.replace("Sampler: Euler a", written)}))
    assert store.job(row.job).request["sampler"] == known
    assert row.recipe["imported"]["sampler"] in written


def test_one_of_ours_brings_its_whole_recipe(
    both: Settings, open_store: OpenStore, tmp_path: Path
) -> None:
    elsewhere = open_store(Settings(data=tmp_path / "other"))
    first, second = paint(elsewhere, wish("two boats", count=2))
    store = open_store(both)
    for painted in (first, second):
        row = one(store, elsewhere.file(painted).read_bytes(), f"{painted.index}.png")
        assert (row.seed, row.prompt, row.model) == (painted.seed, "two boats", painted.model)
        assert row.recipe["request"] == painted.recipe["request"]
        assert store.job(row.job).request["seed"] == painted.seed
        assert store.job(row.job).wish["prompt"] == "as it was written"
    assert store.history.search("kind:imported").total == 2


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_one_that_says_nothing_is_kept_and_nothing_is_made_up(store: Store, form: str) -> None:
    row = one(store, plain(form), f"photo.{form.lower()}")
    assert (row.known_seed, row.prompt, row.model, row.format) == (
        None,
        "",
        "unknown",
        form.lower(),
    )
    request = store.job(row.job).request
    assert (request["seed"], request["steps"], request["filename"]) == (None, None, "photo")


def test_words_no_database_can_hold_and_numbers_no_request_can_are_kept_beside(
    store: Store,
) -> None:
    told = {"positive_prompt": "a bo\x00at \ud83d", "seed": 2**60, "steps": 900, "cfg_scale": 6.5}
    row = one(store, png({"invokeai_metadata": json.dumps(told)}))
    assert row.prompt == "a bo?at ?"
    assert row.known_seed is None
    request = store.job(row.job).request
    assert (request["steps"], request["guidance"]) == (None, 6.5)
    fields = row.recipe["imported"]["fields"]
    assert (fields["seed"], fields["steps"]) == (2**60, 900)


def test_the_same_content_comes_in_once_under_whatever_name(store: Store) -> None:
    data = png({"parameters": A1111})
    names = ("a.png", "b.png", "a.png")
    outcomes = brought(store, *(Given(name, data, AT) for name in names))
    assert [outcome.known for outcome in outcomes] == [False, True, True]
    assert len({outcome.picture for outcome in outcomes}) == 1
    assert brought(store, Given("c.png", data, AT))[0].known
    other = one(store, png({"parameters": A1111 + " "}), "A.png")
    assert other.path in ("pictures/imported/A.png", "pictures/imported/A-2.png")
    assert one(store, plain("PNG"), "a.jpg").path == "pictures/imported/a-2.png"


def test_no_name_leaves_the_folder(settings: Settings, open_store: OpenStore) -> None:
    names = {
        "../../etc/passwd": "_/_/etc/passwd.png",
        "/abs/x.png": "_/abs/x.png",
        "..": "_.png",
        "": "_-2.png",
        "con.png": "_con.png",
    }
    store = open_store(settings)
    given = [Given(name, saved(Image.new("L", (32, 32), len(name))), AT) for name in names]
    paths = [store.picture(outcome.picture).path for outcome in take_in(store, given)]
    assert paths == [f"pictures/imported/{path}" for path in names.values()]


def test_what_cannot_be_read_is_named_and_the_rest_comes_in(
    settings: Settings, open_store: OpenStore, tmp_path: Path
) -> None:
    folder = tmp_path / "holiday"
    (folder / "b").mkdir(parents=True)
    (folder / "a.png").write_bytes(plain("PNG"))
    (folder / "b" / "cut.jpg").write_bytes(plain("JPEG")[:-40])
    (folder / "b" / "good.webp").write_bytes(plain("WEBP"))
    (folder / "b" / "notes.txt").write_text("x")
    (folder / "tiny.png").write_bytes(saved(Image.new("L", (8, 8))))
    store, passed = open_store(settings), dict[str, int]()
    outcomes = list(take_in(store, of_folder(folder, passed)))
    told = [(outcome.name, bool(outcome.picture)) for outcome in outcomes]
    assert told == [
        ("holiday/a.png", True),
        ("holiday/tiny.png", False),
        ("holiday/b/cut.jpg", False),
        ("holiday/b/good.webp", True),
    ]
    assert outcomes[1].why == "it is 8x8 pixels; the least is 16 a side."
    assert passed == {".txt": 1}
    assert sorted(path.name for path in folder.rglob("*.*")) == [
        *("a.png", "cut.jpg", "good.webp", "notes.txt", "tiny.png")
    ]


def test_one_that_went_meanwhile_is_named_and_the_next_is_taken_up(store: Store) -> None:
    data = store.file(one(store, plain("PNG"))).parents[2]
    (data / "pictures/imported/there.png").write_bytes(saved(Image.new("L", (32, 32))))
    paths = [f"pictures/imported/{name}.png" for name in ("gone", "there")]
    gone, there = take_up(store, data, paths)
    assert gone.why == "No such file or directory." and there.picture and not there.why


def test_a_folder_that_is_a_link_is_not_entered_and_is_named(tmp_path: Path) -> None:
    folder, other = tmp_path / "holiday", tmp_path / "other"
    for made in (folder, other):
        made.mkdir()
        (made / "1.png").write_bytes(plain("PNG"))
    (folder / "there").symlink_to(other)
    (folder / "round").symlink_to(folder)
    (folder / "2.png").symlink_to(other / "1.png")
    told = [(one.name, getattr(one, "why", "")) for one in of_folder(folder, {})]
    elsewhere = "it leads to another folder; import that one."
    assert told == [
        ("holiday/round/", elsewhere),
        ("holiday/there/", elsewhere),
        ("holiday/1.png", ""),
        ("holiday/2.png", ""),
    ]


def test_a_folder_may_be_left_between_two_of_its_folders(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(plain("PNG"))
    assert how_many(tmp_path) == 3
    asked = iter([False, False, True])
    assert how_many(tmp_path, lambda: next(asked)) == 1
    asked = iter([False, False, True])
    given = of_folder(tmp_path, {}, lambda: next(asked))
    assert [one.name for one in given] == [f"{tmp_path.name}/a/1.png"]


def test_what_is_no_picture_is_counted_under_an_ending_that_can_be_said(tmp_path: Path) -> None:
    for name in (b"a.\xff", b"b.\xff", b"c.\xfe", b"d", b"e"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    passed: dict[str, int] = {}
    assert not list(of_folder(tmp_path, passed))
    assert passed == {".?": 3, "no ending": 2}


@pytest.mark.parametrize("effect", range(1, 12, 3))
def test_a_disk_that_fills_leaves_nothing_half(
    settings: Settings, open_store: OpenStore, effect: int
) -> None:
    store = open_store(settings, files=WatchedFiles(FailsAt(effect)))
    given = [Given(f"{n}.png", saved(Image.new("L", (64, 64), n)), AT) for n in range(3)]
    with pytest.raises(Unavailable, match="disk of the data folder is full"):
        list(take_in(store, given))
    assert not store.pictures() and not files_in(settings.data)
    store.close()
    assert not fsck(settings).findings
    again = open_store(settings, files=Files())
    assert [outcome.known for outcome in take_in(again, given)] == [False] * 3


def test_it_goes_on_where_it_broke_off(both: Settings, open_store: OpenStore) -> None:
    given = [Given(f"{n}.png", saved(Image.new("L", (32, 32), n)), AT + n) for n in range(40)]

    def breaking() -> Iterator[Given]:
        yield from given[:30]
        raise KeyboardInterrupt

    store = open_store(both)
    with pytest.raises(KeyboardInterrupt):
        list(take_in(store, breaking()))
    there = len(store.pictures(limit=100))
    assert there == 16
    outcomes = list(take_in(store, given))
    assert sum(outcome.known for outcome in outcomes) == there
    newest = [row.created_at - AT for row in store.pictures(limit=100)]
    assert newest == sorted(newest, reverse=True) and len(newest) == 40
    store.close()
    assert not fsck(both, deep=True).findings


def test_a_folder_in_the_data_folder_is_for_another_command(
    settings: Settings, tmp_path: Path
) -> None:
    (settings.data / "pictures").mkdir(parents=True)
    for folder in (settings.data / "pictures", tmp_path):
        with pytest.raises(Refused, match="lie in each other"):
            check_folder(folder, settings.data)
    with pytest.raises(Refused, match="there is no folder"):
        check_folder(tmp_path / "nowhere", settings.data)
    (tmp_path / "one.png").touch()
    with pytest.raises(Refused, match="one.png is a file. Name the folder"):
        check_folder(tmp_path / "one.png", settings.data)


def test_many_take_no_more_memory_than_a_few(settings: Settings, open_store: OpenStore) -> None:
    store = open_store(settings)

    def many() -> Iterator[Given]:
        for n in range(40):
            yield Given(f"{n}.png", saved(Image.effect_noise((512, 512), 90 + n)), AT)

    one(store, plain("PNG"))  # what is imported once is not counted
    tracemalloc.start()
    try:
        for outcome in take_in(store, many()):
            assert not outcome.why
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_the_front_door_takes_a_folder_in_and_says_what_it_left(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "holiday"
    folder.mkdir()
    (folder / "boat.png").write_bytes(png({"parameters": A1111}))
    (folder / "cut.png").write_bytes(plain("PNG")[:-4])
    (folder / "notes.txt").write_text("x")
    data = ["--data", str(settings.data)]
    assert app.main(["import", str(folder), *data]) == 1
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if "looked at" not in line] == [  # said where it takes a second
        "not taken in: holiday/cut.png: it is a PNG that was cut; send it again.",
        "passed over: 1 file of .txt",
        "1 picture taken in; 0 were in the history already.",
    ]
    (folder / "cut.png").unlink()
    assert app.main(["import", str(folder), *data]) == 0
    assert "0 pictures taken in; 1 was in the history already." in capsys.readouterr().out
    assert app.main(["import", str(settings.data), *data]) == 1


@pytest.mark.usefixtures("terminal")
def test_whoever_stops_it_is_told_all_that_came_in(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "holiday"
    folder.mkdir()
    for n in range(AT_ONCE + 4):
        (folder / f"{n:02}.png").write_bytes(saved(Image.new("L", (32, 32), n)))
    door = Door(folder / f"{AT_ONCE + 4}.png")  # of the second portion, which is not begun then

    with ctrl_c(door):
        assert app.main(["import", str(folder), "--data", str(settings.data)]) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"{AT_ONCE} pictures taken in; 0 were in the history already.",
        "Stopped. The same command goes on where this ended.",
    ]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("terminal")
def test_one_that_was_begun_in_the_background_hears_no_ctrl_c(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell begins it
    folder = tmp_path / "holiday"
    folder.mkdir()
    door = Door(folder / "1.png")

    with ctrl_c(door):
        assert app.main(["import", str(folder), "--data", str(settings.data)]) == 1
    assert "Stopped." not in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
