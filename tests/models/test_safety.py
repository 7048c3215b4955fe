"""The safety checker before anything is painted: when it is on, and that nothing starts without."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import app
from studio.errors import CannotStart
from studio.jobs.studio import Studio
from studio.models import hub
from studio.models.safety import FILES, load_checkers, safety_of, safety_text
from studio.settings import Settings, load_settings


def here(settings: Settings, name: str = "falconsai") -> Path:
    folder = settings.model_folder / name
    folder.mkdir(parents=True)
    for file in FILES:
        (folder / file).touch()
    return folder


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ({}, "off"),
        ({"share": True, "insecure": True}, "blur"),
        ({"share": True, "insecure": True, "safety": "off"}, "off"),
        ({"share": True, "insecure": True, "safety": "refuse"}, "refuse"),
        ({"safety": "blur"}, "blur"),
    ],
)
def test_it_is_off_on_ones_own_machine_and_on_behind_a_share_link(
    given: dict[str, object], mode: str
) -> None:
    assert load_settings(**given).safety_mode == mode


def test_where_its_weights_are_missing_nothing_starts(settings: Settings) -> None:
    checked = settings.model_copy(update={"safety": "refuse"})
    with pytest.raises(CannotStart, match="app.py models pull falconsai"):
        Studio.open(checked)
    shared = settings.model_copy(update={"share": True})
    with pytest.raises(CannotStart, match="safety: blur needs Falconsai NSFW detector"):
        safety_of(shared)
    folder = here(checked)
    safety = safety_of(checked)
    assert safety and (safety.mode, safety.folder, safety.unsafe) == (
        "refuse", str(folder), ("nsfw",),
    )  # fmt: skip
    (folder / FILES[-1]).unlink()
    with pytest.raises(CannotStart, match="not on this machine"):
        safety_of(checked)


def test_without_it_nothing_is_asked_for(settings: Settings) -> None:
    assert safety_of(settings) is None
    assert safety_text(None) == ""


def test_a_checker_that_no_card_names_is_refused_with_those_there_are(settings: Settings) -> None:
    other = settings.model_copy(update={"safety": "blur", "safety_checker": "mine"})
    with pytest.raises(CannotStart, match="no 'mine'. There is: falconsai."):
        safety_of(other)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("limit = 2.0", "limit: 2.0"),
        ("limit = 0.5\ncolour = 1", "colour is not known"),
        ("= x", "falconsai.toml"),
    ],
)
def test_a_card_with_a_mistake_is_named_with_its_key(
    tmp_path: Path, line: str, complaint: str
) -> None:
    presets = Path(shutil.copytree(Settings().presets, tmp_path / "presets"))
    card = presets / "checkers" / "falconsai.toml"
    text = card.read_text(encoding="utf-8")
    card.write_text(text.replace("limit = 0.5", line), encoding="utf-8")
    with pytest.raises(CannotStart, match=complaint):
        load_checkers(presets)


def test_it_is_pulled_and_listed_by_the_name_of_its_card(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(hub, "snapshot_download", lambda repo, **more: asked.append((repo, more)))
    command = ["models", "pull", "falconsai", "--data", str(settings.data)]
    assert app.main(command) == 1
    assert "Falconsai NSFW detector is not whole" in capsys.readouterr().err
    here(settings)
    assert app.main(command) == 0
    assert capsys.readouterr().out == "Falconsai NSFW detector is here.\n"
    repo, more = asked[0]
    assert repo == "Falconsai/nsfw_image_detection"
    assert more["allow_patterns"] == list(FILES)
    app.main(["models", "list", "--data", str(settings.data)])
    listed = capsys.readouterr().out
    assert re.search(r"^falconsai +here +Falconsai NSFW detector, checks pictures$", listed, re.M)


def test_it_is_checked_and_removed_like_a_model(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(what: str) -> tuple[int, str]:
        code = app.main(["models", what, "falconsai", "--data", str(settings.data)])
        return code, "".join(capsys.readouterr())

    code, said = told("check")
    assert code == 1
    assert "is not on this machine. Fetch it with: python app.py models pull falconsai." in said
    folder = here(settings)
    code, said = told("check")
    assert code == 1
    assert "model.safetensors: " in said  # which holds nothing yet
    save_file({"weight": np.zeros(1, np.float32)}, folder / "model.safetensors")
    assert told("check") == (0, "falconsai: all of it is well.\n")
    monkeypatch.setenv("DARKROOM_SAFETY", "blur")
    code, said = told("remove")
    assert code == 1
    assert "checks the pictures here. Set DARKROOM_SAFETY to off first." in said
    monkeypatch.delenv("DARKROOM_SAFETY")
    assert told("remove") == (0, "Falconsai NSFW detector is gone; 0.0 GB are free again.\n")
    assert not folder.exists()
    code, said = told("remove")
    assert code == 1
    assert "Falconsai NSFW detector is not on this machine." in said
