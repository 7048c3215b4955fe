"""Two SDXL checkpoints with the same text encoders and VAE have them in memory once."""

import gc
import io
import shutil
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from studio.engine.loop import Desk
from studio.engine.paint import paint
from studio.engine.painter import Painter
from studio.engine.parts import _read
from studio.engine.residents import Residents
from studio.engine.sharing import find_sources
from studio.messages import Paint, Unload
from studio.models.card import ModelCard
from studio.models.otherparts import OtherPart
from studio.request import read_request
from tests.engine import test_one_file
from tests.engine.conftest import NUMPY_COPY, Job
from tests.engine.test_loras import ENCODER, peft

pytestmark = [NUMPY_COPY, pytest.mark.filterwarnings("ignore::FutureWarning")]
WEIGHTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
    "text_encoder_2": "model.safetensors",
}
SHARED = ("vae", "text_encoder", "text_encoder_2")
Wish = Callable[..., Paint]
Get = Callable[[str], Painter]


def change(folder: Path, part: str) -> None:
    file = folder / part / WEIGHTS[part]
    save_file({name: tensor * 0.9 for name, tensor in load_file(file).items()}, file)


@pytest.fixture
def place(models: Path, tmp_path: Path) -> Path:
    """Two that differ in the UNet alone, under names that say nothing."""
    for name in ("one", "two"):
        shutil.copytree(models / "test-pattern", tmp_path / name)
    change(tmp_path / "two", "unet")
    return tmp_path


@pytest.fixture
def residents(place: Path) -> Residents:
    return Residents("cpu", place, "fp32")


@pytest.fixture
def cards(card: ModelCard) -> dict[str, ModelCard]:
    def named(name: str) -> ModelCard:
        return card.model_copy(update={"name": name, "title": name, "repo": f"someone/{name}"})

    return {name: named(name) for name in ("one", "two")}


@pytest.fixture
def get(place: Path, residents: Residents, cards: dict[str, ModelCard]) -> Get:
    def load(name: str) -> Painter:
        return residents.get(cards[name], residents.key(cards[name], str(place / name), "auto"))

    return load


@pytest.fixture
def wish(place: Path, job: Job, cards: dict[str, ModelCard]) -> Wish:
    """For one of the two; `lora` names a file that changes what reads the prompt, too."""

    def make(name: str, lora: int = 0) -> Paint:
        message = replace(job(name), card=cards[name].model_dump(mode="json"))
        message = replace(message, folder=str(place / name))
        if not lora:
            return message
        dice = torch.Generator().manual_seed(lora)
        layers = peft(lora) | {
            f"text_encoder.{ENCODER}.lora_A.weight": torch.randn(2, 32, generator=dice),
            f"text_encoder.{ENCODER}.lora_B.weight": torch.randn(32, 2, generator=dice),
        }
        file = place / f"lora{lora}.safetensors"
        save_file(layers, file)
        uses = read_request({"prompt": "x", "loras": [{"name": file.stem}]})
        request = message.request | {"loras": uses.model_dump(mode="json")["loras"]}
        return replace(message, request=request, loras={file.stem: str(file)})

    return make


def pixels(message: Paint, residents: Residents) -> np.ndarray[Any, Any]:
    painted = paint(message, residents, False, lambda word: None)
    return np.asarray(Image.open(io.BytesIO(painted.pictures[0].data)))


def common(one: Painter, two: Painter) -> list[str]:
    pairs = ((n, getattr(one.family.pipeline, n), getattr(two.family.pipeline, n)) for n in WEIGHTS)
    return [name for name, first, second in pairs if first is second]


def test_only_the_unet_is_read_where_only_it_differs(get: Get) -> None:
    one = get("one")
    two = get("two")
    assert common(one, two) == list(SHARED)
    assert "in memory already: " in two.plan.reason
    assert "in memory already" not in one.plan.reason


def test_the_picture_is_that_of_a_model_that_was_loaded_alone(
    place: Path, residents: Residents, get: Get, wish: Wish
) -> None:
    fresh = {name: pixels(wish(name), Residents("cpu", place, "fp32")) for name in ("one", "two")}
    assert not np.array_equal(fresh["one"], fresh["two"])
    for name in ("one", "two", "one"):
        assert np.array_equal(pixels(wish(name), residents), fresh[name])
    assert common(get("one"), get("two")) == list(SHARED)


def test_a_lora_of_one_never_reaches_the_other(
    place: Path, residents: Residents, get: Get, wish: Wish
) -> None:
    asked = [("one", 1), ("two", 0), ("one", 1), ("two", 2), ("one", 0)]
    fresh = {
        (name, lora): pixels(wish(name, lora), Residents("cpu", place, "fp32"))
        for name, lora in set(asked)
    }
    assert not np.array_equal(fresh["one", 1], fresh["one", 0])
    for name, lora in asked:
        assert np.array_equal(pixels(wish(name, lora), residents), fresh[name, lora])
    assert common(get("one"), get("two")) == list(SHARED)


def test_one_that_is_loaded_while_the_other_wears_reads_with_bare_encoders(
    place: Path, residents: Residents, wish: Wish
) -> None:
    pixels(wish("one", 1), residents)
    fresh = pixels(wish("two"), Residents("cpu", place, "fp32"))
    assert np.array_equal(pixels(wish("two"), residents), fresh)


def test_one_whose_unet_lies_elsewhere_shares_the_rest_of_the_folder(
    place: Path, residents: Residents, cards: dict[str, ModelCard], get: Get
) -> None:
    """As Lightning does with the folder of SDXL."""
    shutil.copy(place / "two" / "unet" / WEIGHTS["unet"], place / "fast.safetensors")
    parts = {"unet": OtherPart(repo="", file="fast.safetensors")}
    fast = cards["one"].model_copy(update={"name": "fast", "parts": parts})
    painter = residents.get(fast, residents.key(fast, str(place / "one"), "auto"))
    assert common(painter, get("one")) == list(SHARED)
    assert common(painter, get("two")) == list(SHARED)


@pytest.mark.parametrize("part", SHARED)
def test_a_part_that_differs_in_one_byte_is_its_own(place: Path, get: Get, part: str) -> None:
    file = place / "two" / part / WEIGHTS[part]
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert common(get("one"), get("two")) == [name for name in SHARED if name != part]


def test_the_same_weights_under_another_configuration_are_another_part(
    place: Path, get: Get
) -> None:
    file = place / "two" / "vae" / "config.json"
    text = file.read_text(encoding="utf-8").replace("0.13025", "0.2")
    file.write_text(text.replace('"_diffusers_version"', '"_whoever_wrote_it"'), encoding="utf-8")
    assert common(get("one"), get("two")) == ["text_encoder", "text_encoder_2"]


def test_a_part_whose_file_was_replaced_is_read_anew(place: Path, get: Get) -> None:
    get("one")
    for name in ("one", "two"):
        change(place / name, "vae")
    assert common(get("one"), get("two")) == ["text_encoder", "text_encoder_2"]


def test_in_another_number_format_nothing_is_shared(
    place: Path, residents: Residents, cards: dict[str, ModelCard], get: Get
) -> None:
    one = get("one")
    half = residents.key(cards["two"], str(place / "two"), "bf16")
    assert common(one, residents.get(cards["two"], half)) == []


def test_one_that_leaves_keeps_its_parts_for_the_next(residents: Residents, get: Get) -> None:
    one = get("one").family.pipeline
    parts, unet = {name: getattr(one, name) for name in SHARED}, weakref.ref(one.unet)
    del one
    residents.leave("one")
    gc.collect()
    assert unet() is None
    assert residents.parting
    two = get("two").family.pipeline
    assert all(getattr(two, name) is part for name, part in parts.items())
    assert not residents.parting


def test_nothing_of_it_stays_where_nobody_follows(residents: Residents, get: Get) -> None:
    vae = weakref.ref(get("one").family.pipeline.vae)
    residents.leave("one")
    gc.collect()
    assert vae() is not None
    residents.part()
    gc.collect()
    assert vae() is None


def test_the_desk_waits_a_moment_for_who_follows(residents: Residents, get: Get) -> None:
    get("one")
    desk = Desk(residents, False, io.BytesIO())
    desk.unload("one")
    desk.jobs.put(Unload("two"))
    assert desk.next() == Unload("two")
    assert residents.parting  # it was there at once
    desk.jobs = _Late(residents, Unload("three"))  # type: ignore[assignment]
    assert desk.next() == Unload("three")


class _Late:
    """Nobody comes in time; who comes later finds nothing kept."""

    def __init__(self, residents: Residents, comes: Unload) -> None:
        self._residents, self._comes = residents, comes

    def get(self, timeout: float | None = None) -> Unload:
        if timeout:
            raise Empty
        assert not self._residents.parting
        return self._comes


def test_what_the_other_holds_on_a_card_stays_there(residents: Residents, get: Get) -> None:
    """The card is played: moves are counted."""
    one, two = get("one"), get("two")
    moved: list[str] = []

    def counting(name: str) -> Callable[[str], None]:
        return lambda device: moved.append(f"{name} {device}")

    for name in WEIGHTS:
        part = getattr(two.family.pipeline, name)
        part.to = counting(name)
    two.plan = replace(two.plan, device="cuda:0", peak_gb=0)
    try:
        residents.leave("two")
        assert moved == ["unet cpu"]
        assert common(one, two) == list(SHARED)
    finally:
        for name in WEIGHTS:
            del getattr(two.family.pipeline, name).to


def test_memory_holds_what_is_shared_once(place: Path, get: Get) -> None:
    one, two = get("one"), get("two")
    weights = {id(w): w.nbytes for p in (one, two) for m in p.modules() for w in m.parameters()}
    unet = sum(weight.nbytes for weight in two.family.pipeline.unet.parameters())
    alone = sum(w.nbytes for m in one.modules() for w in m.parameters())
    assert sum(weights.values()) == alone + unet


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """Two in the form of Civitai, whose UNets differ."""
    test_one_file.put(tmp_path)
    tensors = load_file(tmp_path / "mine.safetensors")
    for name in tensors:
        if name.startswith("model.diffusion_model."):
            tensors[name] = tensors[name] * 0.9
    save_file(tensors, tmp_path / "yours.safetensors", {"modelspec.title": "Yours"})
    return tmp_path


def test_checkpoints_in_one_file_share_too(checkpoints: Path) -> None:
    asked = {name: test_one_file.job(checkpoints, name) for name in ("mine", "yours")}
    fresh = {
        name: pixels(message, Residents("cpu", checkpoints, "fp32"))
        for name, message in asked.items()
    }
    residents = Residents("cpu", checkpoints, "fp32")
    painters = []
    for name, message in asked.items():
        assert np.array_equal(pixels(message, residents), fresh[name])
        card = ModelCard.model_validate(message.card)
        painters.append(residents.get(card, residents.key(card, message.folder, "fp32")))
    assert common(*painters) == list(SHARED)


def test_of_such_a_file_only_the_rest_is_read(checkpoints: Path) -> None:
    skipped = ("conditioner.embedders.0.", "conditioner.embedders.1.", "first_stage_model.")
    left = _read(checkpoints / "mine.safetensors", skipped)
    assert left
    assert all(name.startswith("model.diffusion_model.") for name in left)


def test_other_families_share_nothing_yet(card: ModelCard, place: Path) -> None:
    assert set(find_sources(place / "one", card, {})) == set(SHARED)
    assert find_sources(place / "one", card.model_copy(update={"family": "flux"}), {}) == {}
