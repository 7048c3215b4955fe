"""Checkpoints in one file paint what their folder paints; files that are none spoil nothing."""

import hashlib
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FluxTransformer2DModel
from PIL import Image
from safetensors.torch import load_file, save_file

from studio.engine.failures import PaintError
from studio.engine.loop import Desk
from studio.engine.paint import paint
from studio.engine.parts import load_parts
from studio.engine.residents import Residents
from studio.engine.samplers import build_sampler
from studio.formats.metadata import read_recipe
from studio.messages import Failed, Loading, Paint, Painted, read_frame
from studio.models.card import ModelCard
from studio.models.weights import find_weights
from studio.request import read_request
from studio.settings import Settings
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog
from tests.engine import one_file
from tests.engine.conftest import NUMPY_COPY
from tests.engine.tiny import sd3
from tests.models.test_checkpoints import SDXL as HEADER
from tests.models.test_checkpoints import write
from tests.spoilt import SPOILT

pytestmark = [NUMPY_COPY, pytest.mark.filterwarnings("ignore::FutureWarning")]
SMALL: dict[str, Any] = {"min_side": 64, "sizes": {"square": {"width": 64, "height": 64}}}
SMALL |= {"memory_gb": 0.1, "weights": {}, "size_step": 8}


def catalog_of(models: Path) -> Catalog:
    """The presets, as small as what is painted with here."""
    presets = load_catalog(Settings().presets).presets
    small = [ModelCard.model_validate(card.model_dump() | SMALL) for card in presets]
    found = load_catalog(Settings().presets, models=models)
    brought = [one.card.model_dump() | SMALL for one in found.brought() if one.card]
    return Catalog([*small, *map(ModelCard.model_validate, brought)], [])


def job(models: Path, model: str, **fields: Any) -> Paint:
    wish = {"prompt": "a red boat", "seed": 7, "steps": 1, "model": model, "precision": "fp32"}
    settled = catalog_of(models).settle(read_request(wish | fields))
    return Paint(
        job="job",
        token=1,
        request=settled.request.model_dump(mode="json"),
        card=settled.card.model_dump(mode="json"),
        folder=find_weights(settled.card, models),
        wish={},
        warnings=(),
    )


def pixels(painted: Any) -> np.ndarray:  # type: ignore[type-arg]
    assert isinstance(painted, Painted), painted
    return np.asarray(Image.open(io.BytesIO(painted.pictures[0].data)).convert("RGB"), np.int16)


def words_only(folder: Path) -> None:
    """As `models pull` of a checkpoint leaves it: configurations and vocabularies."""
    for file in folder.glob("*/*.safetensors"):
        file.unlink()


def put(models: Path) -> None:
    """SDXL in small as one file, with the words that it needs beside it."""
    pipeline = one_file.sdxl()
    pipeline.save_pretrained(models / "sdxl")
    words_only(models / "sdxl")
    says = {"modelspec.title": "Mine"}
    save_file(one_file.sdxl_tensors(pipeline), models / "mine.safetensors", says)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with the same as a folder of diffusers."""
    models = tmp_path_factory.mktemp("whole")
    one_file.sdxl().save_pretrained(models / "sdxl")
    return models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    put(models)
    return models


class Slot:
    """A worker's desk, without a process around it."""

    def __init__(self, models: Path) -> None:
        self._outbox = io.BytesIO()
        self._desk = Desk(Residents("cpu", models, "fp32"), False, self._outbox)

    def paint(self, asked: Paint) -> list[Any]:
        """All that is told about it."""
        before = self._outbox.tell()
        self._desk.paint(asked)
        self._outbox.seek(before)
        return list(iter(lambda: read_frame(self._outbox), None))


@pytest.fixture(scope="module")
def slot(models: Path) -> Slot:
    return Slot(models)


@pytest.fixture(scope="module")
def picture(whole: Path) -> np.ndarray:  # type: ignore[type-arg]
    """What the folder paints."""
    painted = paint(job(whole, "sdxl"), Residents("cpu", whole, "fp32"), False, lambda word: None)
    assert pixels(painted).std() > 1
    return pixels(painted)


def test_a_checkpoint_paints_what_its_folder_paints(
    slot: Slot,
    models: Path,
    picture: np.ndarray,  # type: ignore[type-arg]
) -> None:
    painted = slot.paint(job(models, "mine"))[-1]
    assert np.array_equal(pixels(painted), picture)
    assert isinstance(painted, Painted)
    digest = hashlib.sha256((models / "mine.safetensors").read_bytes()).hexdigest()
    marks = painted.recipe["fingerprint"]
    assert (marks["model_hash"], marks["model_hash_of"]) == (
        digest,
        "all bytes of mine.safetensors",
    )
    text = Image.open(io.BytesIO(painted.pictures[0].data)).text  # type: ignore[attr-defined]
    assert f"Model hash: {digest[:10]}, Model: mine" in text["parameters"]
    assert read_recipe(text["darkroom"])["request"]["model"] == "mine"


def test_another_file_under_the_same_name_is_loaded_anew(
    slot: Slot,
    models: Path,
    picture: np.ndarray,  # type: ignore[type-arg]
) -> None:
    file = models / "again.safetensors"
    shutil.copy(models / "mine.safetensors", file)
    assert np.array_equal(pixels(slot.paint(job(models, "again"))[-1]), picture)
    tensors = load_file(file)
    tensors["model.diffusion_model.out.2.bias"] = tensors["model.diffusion_model.out.2.bias"] + 1
    save_file(tensors, file)
    heard = slot.paint(job(models, "again"))
    assert isinstance(heard[0], Loading)
    assert not np.array_equal(pixels(heard[-1]), picture)


def test_what_a_file_lacks_is_said_or_comes_from_the_folder(
    whole: Path,
    models: Path,
    tmp_path: Path,
    picture: np.ndarray,  # type: ignore[type-arg]
) -> None:
    tensors = load_file(models / "mine.safetensors")
    shutil.copytree(whole / "sdxl", tmp_path / "sdxl")
    without_vae = {name: t for name, t in tensors.items() if not name.startswith("first_stage")}
    save_file(without_vae, tmp_path / "mine.safetensors")
    residents = Residents("cpu", tmp_path, "fp32")
    painted = paint(job(tmp_path, "mine"), residents, False, lambda word: None)
    assert np.array_equal(pixels(painted), picture)
    del tensors["model.diffusion_model.middle_block.1.norm.weight"]
    save_file(tensors, tmp_path / "gap.safetensors")
    with pytest.raises(PaintError, match=r"gap.safetensors: it lacks tensors of its unet"):
        paint(job(tmp_path, "gap"), residents, False, lambda word: None)


def test_what_a_folder_lacks_is_said(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole / "sdxl", tmp_path / "sdxl"))
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["conv_out.bias"]
    save_file(tensors, file)
    with pytest.raises(PaintError, match="sdxl: it lacks tensors of its unet") as error:
        paint(job(tmp_path, "sdxl"), Residents("cpu", tmp_path, "fp32"), False, lambda word: None)
    assert error.value.code == "model_invalid"


def test_a_bad_file_is_named_and_the_next_picture_is_right(
    slot: Slot,
    models: Path,
    picture: np.ndarray,  # type: ignore[type-arg]
) -> None:
    """Also where it was spoilt after the wish was accepted."""
    file = models / "bad.safetensors"
    good = (models / "mine.safetensors").read_bytes()
    file.write_bytes(good)
    asked = job(models, "bad")
    for what, (spoil, why) in SPOILT.items():
        file.write_bytes(spoil(good))
        failed = slot.paint(asked)[-1]
        assert isinstance(failed, Failed), what
        assert (failed.code, "Traceback" in failed.sentence) == ("model_invalid", False)
        assert str(file) in failed.sentence and why in failed.sentence
        assert np.array_equal(pixels(slot.paint(job(models, "mine"))[-1]), picture)
    file.write_bytes(good)
    assert np.array_equal(pixels(slot.paint(asked)[-1]), picture)


def test_a_file_of_another_model_is_named_and_the_next_picture_is_right(
    slot: Slot,
    models: Path,
    picture: np.ndarray,  # type: ignore[type-arg]
) -> None:
    """Its header is that of an SDXL checkpoint, and its shapes are of another size."""
    write(models / "other.safetensors", {name: (1,) for name in HEADER})
    for name in ("other", "other"):
        failed = slot.paint(job(models, name))[-1]
        assert isinstance(failed, Failed)
        assert failed.code == "model_invalid" and "other" in failed.sentence
    assert np.array_equal(pixels(slot.paint(job(models, "mine"))[-1]), picture)


def test_what_could_not_be_loaded_is_not_tried_again_before_it_changes(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(whole / "sdxl", tmp_path / "sdxl"))
    (folder / "unet" / "config.json").write_text("{")
    residents, tries = Residents("cpu", tmp_path, "fp32"), []
    load = residents._load

    def watched(*asked: Any) -> Any:
        tries.append(asked)
        return load(*asked)

    monkeypatch.setattr(residents, "_load", watched)
    asked = job(tmp_path, "sdxl")
    for _ in range(3):
        with pytest.raises(PaintError, match="cannot be loaded") as error:
            paint(asked, residents, False, lambda word: None)
        assert error.value.code == "model_invalid"
    assert len(tries) == 1
    shutil.copy(whole / "sdxl" / "unet" / "config.json", folder / "unet" / "config.json")
    paint(asked, residents, False, lambda word: None)
    assert len(tries) == 2


def test_no_pickle_is_loaded_in_their_place(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole / "sdxl", tmp_path / "sdxl"))
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.write_bytes(b"<html>")
    with pytest.raises(PaintError, match="a web page") as error:
        paint(job(tmp_path, "sdxl"), Residents("cpu", tmp_path, "fp32"), False, lambda word: None)
    assert str(file) in str(error.value)


def test_stable_diffusion_3_paints_from_one_file_too(tmp_path: Path) -> None:
    """Transformer, VAE and T5 of the file, both CLIPs of the folder."""
    pipeline = sd3.build("sd3.5-medium")
    pipeline.save_pretrained(tmp_path / "sd3.5-medium")
    residents = Residents("cpu", tmp_path, "fp32")
    once = pixels(paint(job(tmp_path, "sd3.5-medium"), residents, False, lambda word: None))
    save_file(one_file.sd3_tensors(pipeline), tmp_path / "mine.safetensors")
    for part in ("transformer", "vae", "text_encoder_3"):
        for file in (tmp_path / "sd3.5-medium" / part).glob("*.safetensors"):
            file.unlink()
    painted = paint(job(tmp_path, "mine"), residents, False, lambda word: None)
    assert np.array_equal(pixels(painted), once)


def test_the_noise_a_checkpoint_was_taught_with_is_known_to_every_sampler(tmp_path: Path) -> None:
    write(tmp_path / "noob.safetensors", HEADER | {"v_pred": (0,), "ztsnr": (0,)})
    card = load_catalog(Settings().presets, models=tmp_path).find("noob")
    for sampler in card.samplers:
        config = build_sampler(sampler, {"prediction_type": "epsilon"}).config
        assert config.prediction_type == "v_prediction" and config.rescale_betas_zero_snr


@pytest.mark.slow
def test_flux_is_read_out_of_one_file_tensor_by_tensor(tmp_path: Path) -> None:
    """As wide as it is, for diffusers knows its width by heart; with one block of each kind."""
    with torch.device("meta"):
        model = FluxTransformer2DModel(
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            joint_attention_dim=8,
            pooled_projection_dim=8,
            guidance_embeds=True,
        )
    model.save_config(tmp_path / "transformer")
    index = (
        '{"_class_name": "FluxPipeline", "transformer": ["diffusers", "FluxTransformer2DModel"]}'
    )
    (tmp_path / "model_index.json").write_text(index)
    tensors, expected = one_file.flux_tensors(model)
    file = tmp_path / "flux.safetensors"
    save_file(tensors, file)
    del tensors
    card = load_catalog(Settings().presets).cards["flux-dev"]
    parts = load_parts(tmp_path, card, {"transformer": file}, {"default": torch.bfloat16})
    loaded = parts["transformer"].state_dict()
    assert loaded.keys() == expected.keys()
    for name, rows in expected.items():
        assert torch.equal(loaded[name].float().reshape(len(rows), -1)[:, 0], rows.float()), name
