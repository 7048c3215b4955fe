"""A selection of the history as a ZIP: unchanged files, and manifests that leave nothing out."""

import csv
import io
import json
import tracemalloc
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import app
from studio.errors import NotFound, Refused
from studio.formats.rewrite import Said
from studio.settings import Settings
from studio.store.marks import read_marks
from studio.store.packing import pack
from studio.store.selecting import selected
from studio.store.store import Store
from tests.store.conftest import OpenStore
from tests.store.kit import claimed, painted, submit, wish
from tests.store.test_bulks import begin
from tests.store.test_recover import paint


def kept(store: Store, **fields: Any) -> list[str]:
    job = claimed(store, **fields)
    return [picture.id for picture in store.keep(job.id, painted(job)) or ()]


def opened(store: Store, ids: list[str], name: str = "") -> zipfile.ZipFile:
    read = zipfile.ZipFile(io.BytesIO(b"".join(pack(store, ids, name))))
    assert read.testzip() is None
    return read


def told(read: zipfile.ZipFile) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(read.read("manifest.json"))
    return found


def test_files_come_unchanged_in_the_order_that_was_asked_for(store: Store) -> None:
    ids = kept(store, count=3)[::-1]
    read = opened(store, ids)
    manifest = told(read)
    assert [one["id"] for one in manifest["pictures"]] == ids
    assert (manifest["packed"], manifest["missing"], manifest["asked"]) == (3, 0, 3)
    for one in manifest["pictures"]:
        file = store.file(store.picture(one["id"]))
        assert read.read(one["file"]) == file.read_bytes()
        assert (one["state"], one["sha256"]) == ("whole", one["kept_sha256"])
        assert one["recipe"] == {"by": 1}


def test_what_is_gone_or_changed_is_named_and_not_left_out(store: Store) -> None:
    ids = kept(store, count=3)
    gone, changed, whole = (store.picture(one) for one in ids)
    store.file(gone).unlink()
    store.file(changed).write_bytes(b"another picture")
    manifest = told(opened(store, [*ids, "0" * 32]))
    states = [(one["id"], one["state"], one["file"] is None) for one in manifest["pictures"]]
    assert states == [
        (gone.id, "missing", True),
        (changed.id, "changed", False),
        (whole.id, "whole", False),
        ("0" * 32, "deleted", True),
    ]
    assert (manifest["packed"], manifest["missing"]) == (2, 2)


def test_names_follow_a_template_and_never_collide(store: Store) -> None:
    ids = kept(store, count=2) + kept(store) + kept(store)
    names = opened(store, ids).namelist()
    assert len({name.casefold() for name in names}) == len(ids) + 2
    names = opened(store, ids, "{owner}/{model}").namelist()
    assert names[:2] == ["_/test-pattern.png", "_/test-pattern-2.png"]
    names = opened(store, ids, "{counter}-{size}").namelist()
    assert names[:2] == ["00001-64x64.png", "00002-64x64.png"]
    assert opened(store, ids, "manifest").namelist()[0] == "manifest.png"


def test_a_picture_of_a_bulk_file_knows_its_group(both: Settings, open_store: OpenStore) -> None:
    store = open_store(both.model_copy(update={"file_name": "{group}/{seed}"}))
    _, (job, _) = begin(store, "a", "b")
    ready = store.claim(job.id, "slot0")
    assert ready
    (row,) = store.keep(job.id, painted(ready)) or ()
    assert row.path == "pictures/Walk_-_Winter/7.png"
    alone = kept(store)
    names = opened(store, [row.id, *alone], "{group}/{index}").namelist()
    assert names[:2] == ["Walk_-_Winter/0.png", "_/0.png"]


def test_the_table_has_a_line_for_each_and_no_formula(store: Store) -> None:
    ids = kept(store, prompt='=HYPERLINK("x"),\n"boat"')
    rows = list(csv.DictReader(io.StringIO(opened(store, ids).read("manifest.csv").decode())))
    assert [row["id"] for row in rows] == ids
    assert rows[0]["prompt"] == '\'=HYPERLINK("x"),\n"boat"'
    assert rows[0]["state"] == "whole"


def test_a_selection_is_ids_a_job_or_a_batch_and_one_alone(store: Store) -> None:
    ids = kept(store, count=2)
    jobs = submit(store, wish(), wish(count=2), batch="b1")
    for job in reversed(jobs):  # the order is that of the line, whoever was ready first
        ready = store.claim(job.id, "slot0")
        assert ready and store.keep(job.id, painted(ready))
    of_batch = [one.id for job in jobs for one in store.pictures(job=job.id)]
    assert selected(store, ids=[*ids, *ids]) == ids
    assert selected(store, job_id=store.picture(ids[0]).job) == ids
    assert selected(store, batch="b1") == of_batch
    assert sorted(selected(store, q="")) == sorted(ids + of_batch)
    assert sorted(selected(store, q="red seed:8")) == sorted([ids[1], of_batch[2]])
    store.history.mark([ids[0]], read_marks({"trash": True}))
    assert selected(store, job_id=store.picture(ids[0]).job) == ids[1:]
    assert selected(store, ids=ids) == ids
    assert ids[0] not in selected(store, q="")
    for nothing in ({"ids": ["x"]}, {"job_id": "x"}, {"batch": "x"}):
        with pytest.raises(NotFound, match="'x'"):
            selected(store, **nothing)  # type: ignore[arg-type]
    for unclear in ({}, {"ids": ids, "batch": "b1"}):
        with pytest.raises(Refused, match="one of these alone"):
            selected(store, **unclear)  # type: ignore[arg-type]
    with pytest.raises(Refused, match="at least one"):
        selected(store, ids=[])


@pytest.mark.parametrize("said", ["all", "parameters", "none"])
def test_pictures_and_manifest_say_no_more_than_they_should(store: Store, said: Said) -> None:
    rows = paint(store, wish("a secret boat"))
    with zipfile.ZipFile(io.BytesIO(b"".join(pack(store, [rows[0].id], "x", said)))) as read:
        (about,) = told(read)["pictures"]
        data = read.read("x.png")
        assert about["state"] == "whole" and about["sha256"] == sha256(data).hexdigest()
        assert ("recipe" in about) is (said == "all")
        assert (b"darkroom" in data) is (said == "all")
        assert (b"words" in data) is (said != "none")
        for name in ("manifest.json", "manifest.csv"):
            assert (b"secret" in read.read(name)) is (said != "none")


def test_it_holds_a_piece_and_not_the_pictures(settings: Settings, open_store: OpenStore) -> None:
    store = open_store(settings)
    ids = [one for _ in range(3) for one in kept(store, count=10)]
    for one in ids:
        store.file(store.picture(one)).write_bytes(bytes(1 << 20))
    sent = 0
    tracemalloc.start()
    try:
        for piece in pack(store, ids):
            sent += len(piece)
        assert sent > len(ids) << 20
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_the_front_door_packs_while_a_studio_runs(
    settings: Settings,
    open_store: OpenStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ids = kept(open_store(settings), count=2)  # and it stays open
    out = tmp_path / "all.zip"
    more = ["--zip", str(out), "--data", str(settings.data)]
    assert app.main(["export", *more]) == 0
    with zipfile.ZipFile(out) as read:
        assert [one["id"] for one in told(read)["pictures"]] == ids[::-1]  # the newest first
    assert app.main(["export", "--id", ids[1], "--name", "{index}", *more]) == 0
    with zipfile.ZipFile(out) as read:
        assert read.namelist()[0] == "1.png"
    assert "1 picture; manifest.json in it" in capsys.readouterr().out
    assert app.main(["export", "--q", "nowhere", *more]) == 1
    assert "nothing to export" in capsys.readouterr().err
    assert app.main(["export", "--name", "{x}", *more]) == 1
    assert "name: {x} is not known" in capsys.readouterr().err
    assert [file.name for file in tmp_path.glob("all*")] == ["all.zip"]
