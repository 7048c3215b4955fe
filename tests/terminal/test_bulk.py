"""`app.py bulk FILE --dry-run`: what it says of a file, beside a server or without any history."""

import argparse
from pathlib import Path

import pytest

from studio.errors import InUse, Refused
from studio.jobs.bulk import run
from studio.settings import Settings
from studio.terminal.bulk import bulk
from studio.terminal.painting import rerun
from tests.conftest import OpenStudio
from tests.formats.pictures import png

HEAD = "---\nmodel: test-pattern\nsize: 64x64\n---\n"
FILE = HEAD + "Prose.\n- a red car {seed: 7}\n- a boat {count: 2}\n"


def dry(settings: Settings, file: Path, **more: object) -> int:
    given = {"file": file, "dry_run": True, "again": False, "form": None, "json": False}
    return bulk(settings, argparse.Namespace(**given | more))


def test_a_dry_run_tells_what_would_be_painted(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "walk.md"
    file.write_text(FILE)
    assert dry(settings, file) == 0
    said = capsys.readouterr().out
    assert f"{file}:5:1: note: Not read" in said
    assert "6  test-pattern" in said and "a boat" in said
    assert "3 pictures to paint." in said
    assert "  Test pattern (untrained): 3 pictures in 2 jobs\n" in said
    assert said.endswith("not painted here yet, so nobody knows how long it takes.\n")


def test_it_runs_beside_a_server_and_knows_what_waits_there(
    settings: Settings,
    open_studio: OpenStudio,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    studio = open_studio()
    studio.line.pause(True)
    run(studio.line, FILE)
    file = tmp_path / "walk.md"
    file.write_text(FILE + "- a hat\n")
    assert dry(settings, file) == 0
    assert "1 picture to paint, 3 already there." in capsys.readouterr().out
    assert dry(settings, file, again=True) == 0
    assert "4 pictures to paint." in capsys.readouterr().out
    file.write_text(FILE + "- [x] a hat\n")
    assert dry(settings, file) == 0
    said = capsys.readouterr().out
    assert said.endswith("Nothing to paint, 3 already there, 1 ticked off.\n")


def test_what_is_wrong_is_told_by_file_line_and_column(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "walk.md"
    file.write_text(FILE + "- a hat {sed: 7}\n")
    assert dry(settings, file) == 1
    said = capsys.readouterr().out
    assert f"{file}:8:10: There is no setting 'sed'. Did you mean 'seed'?" in said
    assert said.endswith("1 problem: nothing runs until it is mended.\n")
    with pytest.raises(Refused, match="nowhere.md: No such file"):
        dry(settings, tmp_path / "nowhere.md")


def test_beside_a_server_it_is_said_where_else(
    settings: Settings, open_studio: OpenStudio, tmp_path: Path
) -> None:
    open_studio()
    file, picture = tmp_path / "walk.md", tmp_path / "boat.png"
    file.write_text(FILE)
    picture.write_bytes(png({}))
    there = "first, or hand the file to it: in the Bulk tab of its page, or as the body of POST to "
    with pytest.raises(InUse, match=f"in use by process .* {there}/api/bulk.$"):
        dry(settings, file, dry_run=False)
    again = argparse.Namespace(file=picture, model="", out=None)
    with pytest.raises(InUse, match=r"first, or ask it: by 'Read a picture' .* to /api/rerun;"):
        rerun(settings, again)
