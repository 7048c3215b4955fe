"""Loading from disk: what is refused, what is replaced, and how weights and samplers are known."""

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from studio.engine import residents
from studio.engine.device import Hardware
from studio.engine.failures import PaintError, explain, is_poisoned, is_the_devices
from studio.engine.family import find_family
from studio.engine.painter import Painter
from studio.engine.residents import Residents
from studio.engine.samplers import SAMPLERS, build_sampler
from studio.models.card import ModelCard, Sampler
from studio.models.hashes import content_hash, variant
from studio.models.otherparts import OtherPart
from tests.engine.conftest import NUMPY_COPY


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(models / "test-pattern", tmp_path / "copy"))


@pytest.fixture
def ours(card: ModelCard, folder: Path) -> ModelCard:
    return card.model_copy(update={"repo": "someone/model", "title": "Ours"})


def load(card: ModelCard, folder: Path, models: Path) -> Painter:
    residents = Residents("cpu", models, "auto")
    return residents.get(card, residents.key(card, str(folder), "auto"))


def refusal(card: ModelCard, folder: Path, models: Path) -> PaintError:
    with pytest.raises(PaintError) as error:
        load(card, folder, models)
    return error.value


def test_a_missing_folder_is_named(ours: ModelCard, tmp_path: Path) -> None:
    error = refusal(ours, tmp_path / "nowhere", tmp_path)
    assert error.code == "model_missing"
    assert "nowhere" in str(error)


def test_weights_that_are_not_safetensors_are_refused(
    ours: ModelCard, folder: Path, tmp_path: Path
) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(file), folder / "unet" / "diffusion_pytorch_model.bin")
    file.unlink()
    assert refusal(ours, folder, tmp_path).code == "model_invalid"


@pytest.mark.parametrize("damage", ["cut", "emptied", "config"])
def test_damaged_files_are_named(
    ours: ModelCard, folder: Path, tmp_path: Path, damage: str
) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:1000])
    elif damage == "emptied":
        file.write_bytes(b"")
    else:
        (folder / "unet" / "config.json").write_text("{")
    error = refusal(ours, folder, tmp_path)
    assert error.code == "model_invalid"
    assert "Ours" in str(error)


def test_a_family_that_is_not_built_is_named(card: ModelCard) -> None:
    with pytest.raises(PaintError, match="family 'oil'"):
        find_family(card.model_copy(update={"family": "oil"}))


@pytest.fixture
def lightning(ours: ModelCard, tmp_path: Path) -> ModelCard:
    """Its UNet comes from another repository; the file belongs into the model folder."""
    (tmp_path / ours.name).mkdir()
    part = OtherPart(repo="someone/fast", file="fast_unet.safetensors")
    return ours.model_copy(update={"parts": {"unet": part}})


def test_each_part_that_is_replaced_in_the_model_folder_is_loaded_anew(
    ours: ModelCard, folder: Path, tmp_path: Path
) -> None:
    parts = {name: OtherPart(repo="", file=f"{name}.safetensors") for name in ("unet", "vae")}
    for name, part in parts.items():
        shutil.copy(folder / name / "diffusion_pytorch_model.safetensors", tmp_path / part.file)
    card, residents = ours.model_copy(update={"parts": parts}), Residents("cpu", tmp_path, "auto")

    def bias() -> torch.Tensor:
        painter = residents.get(card, residents.key(card, str(folder), "auto"))
        return painter.family.pipeline.vae.decoder.conv_out.bias

    assert bias() is bias()
    before = bias().clone()
    weights = load_file(tmp_path / "vae.safetensors")
    weights["decoder.conv_out.bias"] += 1
    save_file(weights, tmp_path / "vae.safetensors")
    assert torch.equal(bias(), before + 1)


def test_a_unet_may_come_from_another_file(
    lightning: ModelCard, folder: Path, tmp_path: Path
) -> None:
    own = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    other = {name: weight + 1 for name, weight in own.items()}
    save_file(other, tmp_path / lightning.name / "fast_unet.safetensors")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    unet = load(lightning, folder, tmp_path).family.pipeline.unet
    assert isinstance(unet, UNet2DConditionModel)
    for name, weight in unet.state_dict().items():
        assert torch.equal(weight, other[name])
    assert not unet.training


def test_a_part_that_is_not_there_is_missing(
    lightning: ModelCard, folder: Path, tmp_path: Path
) -> None:
    assert refusal(lightning, folder, tmp_path).code == "model_missing"


def test_a_part_of_another_shape_is_invalid(
    lightning: ModelCard, folder: Path, tmp_path: Path
) -> None:
    save_file(
        {"conv_in.weight": torch.zeros(1)}, tmp_path / lightning.name / "fast_unet.safetensors"
    )
    assert refusal(lightning, folder, tmp_path).code == "model_invalid"


def test_the_hash_follows_the_content_and_not_the_place(
    card: ModelCard, models: Path, folder: Path
) -> None:
    original = content_hash(models / "test-pattern", card, {})
    assert original == content_hash(folder, card, {})
    assert original[1] == "all bytes"
    part = folder / "vae" / "diffusion_pytorch_model.safetensors"
    assert content_hash(folder, card, {"unet": part}) != original
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    part.write_bytes(data)
    assert content_hash(folder, card, {}) != original


def test_the_variant_is_taken_where_it_is_there(card: ModelCard, folder: Path) -> None:
    half = card.model_copy(update={"variant": "fp16"})
    assert variant(folder, half) is None
    unet = folder / "unet"
    shutil.copy(
        unet / "diffusion_pytorch_model.safetensors",
        unet / "diffusion_pytorch_model.fp16.safetensors",
    )
    assert variant(folder, half) == "fp16"
    assert content_hash(folder, half, {}) != content_hash(folder, card, {})


@NUMPY_COPY
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_keeps_the_models_betas_and_not_its_noise_levels(
    painter: Painter, name: str
) -> None:
    config = dict(painter.family.pipeline.scheduler.config)
    plain, other = (
        build_sampler(Sampler(name=name), config | {"use_karras_sigmas": karras})
        for karras in (False, True)
    )
    for scheduler in (plain, other):
        scheduler.set_timesteps(8)
        assert scheduler.config.beta_end == 0.012
    assert len(plain.timesteps) == 8
    assert torch.equal(plain.timesteps, other.timesteps)


def test_a_cards_options_win_and_a_misspelt_one_is_named() -> None:
    trailing = build_sampler(
        Sampler(name="euler", options={"timestep_spacing": "trailing"}),
        {"timestep_spacing": "leading"},
    )
    assert trailing.config.timestep_spacing == "trailing"
    with pytest.raises(PaintError, match="no option 'timestep_spaces'"):
        build_sampler(Sampler(name="euler", options={"timestep_spaces": "trailing"}), {})
    with pytest.raises(PaintError, match="'heun' is not known"):
        build_sampler(Sampler(name="heun"), {})


def test_each_failure_has_a_code_and_a_sentence() -> None:
    assert explain(torch.OutOfMemoryError("CUDA out of memory"), "64x64").code == "oom"
    assert explain(MemoryError(), "64x64").code == "oom"
    assert "64x64" in str(explain(MemoryError(), "64x64"))
    assert explain(KeyError("x"), "64x64").code == "internal"
    kept = PaintError("precision", "No.")
    assert explain(kept, "") is kept


@pytest.mark.parametrize(
    "said",
    [
        "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried",
        "DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes.",
        "MPS backend out of memory (MPS allocated: 17.9 GB, max allowed: 18.1 GB).",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_want_of_memory_is_known_by_its_words_and_blames_no_file(said: str) -> None:
    error = RuntimeError(said)
    assert explain(error, "64x64").code == "oom"
    assert is_the_devices(error) and not is_poisoned(error)


def test_a_plan_is_made_when_all_that_nobody_holds_is_given_back(
    card: ModelCard, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    look = residents.find_hardware

    def watched(device: str) -> Hardware:
        done.append("look")
        return look(device)

    monkeypatch.setattr(residents, "find_hardware", watched)
    monkeypatch.setattr(Residents, "free", staticmethod(lambda: done.append("free")))
    here = Residents("cpu", folder.parent, "auto")
    here.get(card, here.key(card, str(folder), "auto"))
    assert done[:2] == ["free", "look"]


def test_only_a_lost_card_is_beyond_help() -> None:
    assert is_poisoned(RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert not is_poisoned(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_poisoned(ValueError("no"))
