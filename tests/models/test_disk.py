"""Models on this disk: where each stands, what is found wrong with it, how it is taken away."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import app
from studio.errors import Refused
from studio.models import disk
from studio.models.card import ModelCard
from studio.models.otherparts import OtherPart
from studio.settings import ROOT, Settings
from studio.wishes.presets import load_catalog
from tests.spoilt import SPOILT


def tiny_safetensors(file: Path) -> None:
    header = {"weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    told = json.dumps(header).encode()
    file.write_bytes(len(told).to_bytes(8, "little") + told + bytes(16))


@pytest.fixture(scope="module")
def cards() -> dict[str, ModelCard]:
    return load_catalog(Settings().presets, "").cards


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """SDXL in the model folder, as small as a model can be."""
    own = tmp_path / "sdxl"
    (own / "unet").mkdir(parents=True)
    index = {"_class_name": "X", "unet": ["diffusers", "UNet"], "safety_checker": [None, None]}
    (own / "model_index.json").write_text(json.dumps(index))
    tiny_safetensors(own / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    return own


def test_each_model_is_listed_with_its_place(cards: dict[str, ModelCard], folder: Path) -> None:
    there = {one.card.name: one for one in disk.survey(list(cards.values()), folder.parent)}
    assert there["sdxl"].place == "in the model folder"
    assert there["starter"].place == "came along"
    assert 0.02 < there["starter"].gb < 0.04
    assert there["test-pattern"].place == "made on this machine"
    assert there["flux-dev"].place == "not here"


@pytest.mark.parametrize("what", ["empty", "cut in its tensors", "a web page"])
def test_a_damaged_file_is_named(cards: dict[str, ModelCard], folder: Path, what: str) -> None:
    assert disk.check(cards["sdxl"], folder.parent) == []
    file = folder / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    spoil, why = SPOILT[what]
    file.write_bytes(spoil(file.read_bytes()))
    (flaw,) = disk.check(cards["sdxl"], folder.parent)
    assert str(file) in flaw
    assert why in flaw


def test_missing_shards_and_pickles_are_named(cards: dict[str, ModelCard], folder: Path) -> None:
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "there.safetensors"}}
    (folder / "unet" / "model.safetensors.index.json").write_text(json.dumps(index))
    tiny_safetensors(folder / "unet" / "there.safetensors")
    (folder / "unet" / "model.ckpt").write_bytes(b"")
    missing, pickled = disk.check(cards["sdxl"], folder.parent)
    assert "model-00001-of-00002.safetensors is missing" in missing
    assert "model.ckpt is pickled and never loaded" in pickled


def test_what_is_not_here_says_how_it_comes(cards: dict[str, ModelCard], tmp_path: Path) -> None:
    (said,) = disk.check(cards["flux-dev"], tmp_path)
    assert "python app.py models pull flux-dev" in said


def test_it_is_taken_off_the_disk_and_what_came_along_stays(
    cards: dict[str, ModelCard], folder: Path
) -> None:
    all_of_them = list(cards.values())
    assert disk.remove(cards["sdxl"], all_of_them, folder.parent).startswith(
        "SDXL 1.0 is gone; 0.0"
    )
    assert not folder.exists()
    with pytest.raises(Refused, match="is not on this machine"):
        disk.remove(cards["sdxl"], all_of_them, folder.parent)
    with pytest.raises(Refused, match="came along and stays"):
        disk.remove(cards["starter"], all_of_them, folder.parent)
    assert (ROOT / "starter" / "weights").is_dir()


def test_a_link_in_the_model_folder_is_removed_and_not_what_it_leads_to(
    cards: dict[str, ModelCard], folder: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(folder, elsewhere)
    folder.symlink_to(elsewhere)
    disk.remove(cards["sdxl"], list(cards.values()), folder.parent)
    assert not folder.exists()
    assert (elsewhere / "model_index.json").is_file()


def test_a_repository_that_another_model_needs_stays(
    cards: dict[str, ModelCard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cached(name: str, kind: str = "model") -> SimpleNamespace:
        path = tmp_path / kind / name.replace("/", "--")
        path.mkdir(parents=True)
        return SimpleNamespace(repo_id=name, repo_type=kind, repo_path=path)

    sdxl, fast = cards["sdxl"], cards["sdxl-lightning"]
    base, part = cached(sdxl.repo), cached(fast.parts["unet"].repo)
    data = cached(sdxl.repo, "dataset")
    there = SimpleNamespace(repos=[base, part, data])
    monkeypatch.setattr(disk, "scan_cache_dir", lambda: there)
    here = {"sdxl", "sdxl-lightning"}
    monkeypatch.setattr(disk, "absent", lambda card, models: "" if card.name in here else "no")
    said = disk.remove(fast, [sdxl, fast], tmp_path / "models")
    assert f"{sdxl.repo} stays, for SDXL 1.0 needs it" in said
    assert (base.repo_path.exists(), part.repo_path.exists()) == (True, False)
    here.discard("sdxl-lightning")
    disk.remove(sdxl, [sdxl, fast], tmp_path / "models")
    assert (base.repo_path.exists(), data.repo_path.exists()) == (False, True)


@pytest.mark.parametrize("spoil", ["unet", "weights", "index", "link", "variant"])
def test_what_is_not_there_is_named_too(
    cards: dict[str, ModelCard], folder: Path, spoil: str
) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    if spoil == "unet":
        shutil.rmtree(folder / "unet")
    elif spoil == "weights":
        file.unlink()
    elif spoil == "index":
        (folder / "model_index.json").write_text("{")
    elif spoil == "link":
        (folder / "unet" / "other.safetensors").symlink_to("nowhere")
    else:
        index = json.dumps({"weight_map": {"a": "x.fp16-00001-of-00002.safetensors"}})
        (folder / "unet" / "diffusion_pytorch_model.safetensors.index.fp16.json").write_text(index)
    (said,) = disk.check(cards["sdxl"], folder.parent)
    assert "fetch it again" in said
    (standing,) = disk.survey([cards["sdxl"]], folder.parent)
    assert standing.place != "in the model folder"


def test_a_part_is_checked_too(cards: dict[str, ModelCard], folder: Path) -> None:
    file = folder / "fast.safetensors"
    file.write_bytes(b"")
    part = {"unet": OtherPart(repo="someone/fast", file=file.name)}
    assert any("fast.safetensors" in said for said in disk.check(
        cards["sdxl"].model_copy(update={"parts": part}), folder.parent
    ))  # fmt: skip


def test_the_command_line_lists_and_checks(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DARKROOM_MODELS", str(folder.parent))
    assert app.main(["models", "list"]) == 0
    assert "sdxl " in capsys.readouterr().out
    assert app.main(["models", "check"]) == 0
    assert "starter: all of it is well." in capsys.readouterr().out
    assert app.main(["models", "check", "flux-dev"]) == 1
    assert app.main(["models", "remove"]) == 1
    assert "which?" in capsys.readouterr().err
