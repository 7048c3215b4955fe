"""Choices and looks on the command line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import app
from app import main
from studio.formats.styles import read_styles


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    return ["--data", str(tmp_path / "data"), "--gpus", "none"]


def test_looks_come_from_a_file_of_styles_and_go_into_one(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "styles.csv"
    file.write_text('name,prompt,negative_prompt,extra\nMine,"oil, thick",thin,x\n')
    assert main(["looks", "import", str(file), *data]) == 0
    said = capsys.readouterr()
    assert said.out == "new: mine\n" and "The column 'extra' is not read." in said.err
    assert main(["looks", "list", *data]) == 0
    assert "mine                     yours        Mine" in capsys.readouterr().out
    out = tmp_path / "out.csv"
    assert main(["looks", "export", str(out), *data]) == 0
    assert "Watercolour: a style holds no simple." in capsys.readouterr().err
    styles, _ = read_styles(out.read_bytes())
    assert ("Mine", "oil, thick", "thin") in styles
    file.write_text("name,prompt\nMine,ink\n")
    assert main(["looks", "import", str(file), *data]) == 1
    assert "there are others by these names: mine" in capsys.readouterr().err
    assert main(["looks", "import", str(file), "--replace", *data]) == 0
    assert capsys.readouterr().out == "changed: mine\n"
    assert main(["looks", "remove", "mine", *data]) == 0
    assert main(["looks", "remove", "mine", *data]) == 1
    assert main(["looks", "import", *data]) == 1


def test_whoever_stops_reading_ends_it_without_a_traceback(data: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    asked = [sys.executable, app.__file__, "looks", "list", *data]
    done = subprocess.run(asked, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_whoever_presses_ctrl_c_sees_no_traceback(
    tmp_path: Path, data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    door = tmp_path / "door"
    os.mkfifo(door)  # reading it waits for ever
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        code = main(["read", str(door), *data])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert code == 130 and capsys.readouterr().err == "darkroom: stopped.\n"


def test_the_truth_tells_what_choices_would_become(
    data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["truth", "a {red|blue} car", "--expand", "all", "--seed", "7", *data]
    assert main(asked) == 0
    choices = json.loads(capsys.readouterr().out)["choices"]
    assert [one["prompt"] for one in choices["shown"]] == ["a red car", "a blue car"]
    assert main(["truth", "a __colour__ car", *data]) == 1
    assert "Did you mean __colours__?" in capsys.readouterr().err


@pytest.mark.slow  # a worker begins, with all it imports
def test_each_text_is_painted_into_a_file_of_its_own(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "car.png"
    asked = ["paint", "a {red|blue} car", "--expand", "all", "--seed", "7", "--out", str(out)]
    size = ["--width", "64", "--height", "64", "--steps", "2"]
    assert main([*asked, *size, *data]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("a red car") and lines[1].endswith("a blue car")
    assert [file.name for file in sorted(tmp_path.glob("*.png"))] == ["car-0.png", "car-1.png"]
