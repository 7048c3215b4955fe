"""Settings: their names, the old names, and that the README lists each."""

from pathlib import Path

import pytest

from studio.errors import CannotStart
from studio.settings import ROOT, Settings, load_settings


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The process environment, given back afterwards."""
    return monkeypatch


def test_the_names_of_older_systems_are_understood(environment: pytest.MonkeyPatch) -> None:
    old = {
        "PORT": "8100",
        "CUDA_VISIBLE_DEVICES": "0,1",
        "HUGGING_FACE_TOKEN": "hf_x",
        "QUANTIZATION": "none",
        "PRELOAD_MODELS": "lightning, realvis_fast",
        "LOG_LEVEL": "DEBUG",
    }
    for name, value in old.items():
        environment.setenv(name, value)
    settings = load_settings()
    assert (settings.port, settings.gpus, settings.hf_token) == (8100, "0,1", "hf_x")
    assert (settings.precision, settings.log_level) == ("auto", "debug")
    assert settings.preload == ("lightning", "realvis_fast")


def test_our_own_name_wins_over_an_old_one_and_the_command_line_over_both(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("PORT", "1")
    environment.setenv("DARKROOM_PORT", "2")
    assert load_settings().port == 2
    assert load_settings(port=3).port == 3


@pytest.mark.parametrize(
    "given", [{"port": 99_999}, {"gpus": "first"}, {"precision": "fp4"}, {"colour": "red"}]
)
def test_a_bad_setting_stops_the_start_with_its_name(given: dict[str, object]) -> None:
    with pytest.raises(CannotStart, match=next(iter(given))):
        load_settings(**given)


@pytest.mark.parametrize("name", ["DARKROOM_GPUS", "CUDA_VISIBLE_DEVICES"])
def test_a_setting_of_the_wrong_form_is_refused_in_the_words_of_its_help(
    environment: pytest.MonkeyPatch, name: str
) -> None:
    environment.setenv(name, "0,x")
    with pytest.raises(CannotStart, match="'0,x' will not do. Which GPUs to paint on: all, none"):
        load_settings()


def test_listening_beyond_this_machine_must_be_asked_for_twice() -> None:
    for given in ({"host": "0.0.0.0"}, {"share": True}):
        with pytest.raises(CannotStart, match="no accounts yet"):
            load_settings(**given)
        assert load_settings(**given, insecure=True)


def test_the_token_is_never_printed() -> None:
    assert "hf_secret" not in repr(load_settings(hf_token="hf_secret"))


def test_the_readme_lists_every_setting_with_its_default() -> None:
    readme = Path(ROOT / "README.md").read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        row = next(
            (line for line in readme.splitlines() if f"`DARKROOM_{name.upper()}`" in line), ""
        )
        assert row, f"README.md does not list DARKROOM_{name.upper()}"
        assert str(field.description) in row
