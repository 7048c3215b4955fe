"""What is placed how: on cards that we do not own, and for real in fp8 at tiny size."""

import io
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch._inductor import config as inductor

from bench.memory import CARDS_GB, CHIPS, DOCUMENT, SHAPES, counts, document, idle
from studio.engine import placing
from studio.engine.device import Hardware, find_libraries
from studio.engine.failures import PaintError
from studio.engine.paint import paint
from studio.engine.painter import Painter
from studio.engine.placing import DTYPES
from studio.engine.plan import Plan, comes_to_the_same, decide, lower
from studio.engine.quantise import store_in_fp8
from studio.engine.residents import Residents
from studio.messages import Painted
from studio.models.card import ModelCard
from studio.models.memory import (
    DENOISERS,
    KEPT,
    KEPT_ENCODERS,
    KEPT_FP8,
    KEPT_LINEAR,
    amounts,
    needed_gb,
)
from studio.models.otherparts import OtherPart
from studio.models.precision import Quant
from studio.request import Precision
from studio.wishes.catalog import Catalog
from tests.engine.conftest import NUMPY_COPY
from tests.engine.test_families import CARDS, Atelier

pytestmark = [
    NUMPY_COPY,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
ALL = frozenset({"torchao", "bitsandbytes", "gguf", "nunchaku"})
NETWORKS = (*DENOISERS, "text_encoder", "text_encoder_2", "text_encoder_3")
ADA = CHIPS["From Ada and Hopper on"]


def planned(card: ModelCard, gb: float, precision: Precision = "auto", **more: Any) -> Plan | None:
    """None where it is refused for want of memory."""
    chip = more.pop("chip", ADA)
    try:
        return decide(idle(gb, chip), card, precision, 1, more.pop("installed", frozenset()))
    except PaintError as error:
        assert error.code == "oom"
        assert card.title in str(error)
        return None


@pytest.mark.parametrize("installed", [frozenset(), ALL], ids=["bare", "libraries"])
@pytest.mark.parametrize("precision", ["auto", "full", "fp32", "fp8", "int8", "nf4"])
def test_no_plan_expects_more_than_is_free(
    catalog: Catalog, precision: Precision, installed: frozenset[str]
) -> None:
    if precision in ("int8", "nf4") and not installed:
        pytest.skip("refused before")
    tried = 0
    for card in catalog.cards.values():
        if card.parts and precision in ("int8", "nf4"):
            continue
        for chip in CHIPS.values():
            for gb in CARDS_GB:
                plan = planned(card, gb, precision, chip=chip, installed=installed)
                free = idle(gb, chip).gpus[0].free_gb
                assert plan is None or 0 < plan.peak_gb <= free
                tried += plan is not None
    assert tried > 500


def test_every_model_is_painted_somehow_on_twelve_gigabytes_and_whole_on_the_largest(
    catalog: Catalog,
) -> None:
    for card in catalog.cards.values():
        for chip in CHIPS.values():
            assert planned(card, 12, chip=chip)
            largest = planned(card, 141, chip=chip)
            assert largest
            assert (largest.quant, largest.offload, largest.first) == ("none", "none", True)


def test_more_memory_never_gives_a_worse_plan(catalog: Catalog) -> None:
    """Neither slower nor further from the picture, once it was whole and exact."""
    for card in catalog.cards.values():
        plans = [planned(card, gb) for gb in CARDS_GB]
        plain = [plan is not None and plan.first for plan in plans]
        assert plain == sorted(plain)
        possible = [plan is not None for plan in plans]
        assert possible == sorted(possible)


def test_the_published_table_is_what_the_engine_would_do() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run python -m bench memory --save"


def test_what_is_published_of_others_agrees(catalog: Catalog) -> None:
    """The 9B in bf16 on large cards and in fp8 on 24 GB; the 4B whole on 24."""
    small, large = catalog.cards["flux2-klein-4b"], catalog.cards["flux2-klein-9b"]
    on_24 = planned(large, 24)
    assert on_24
    assert (on_24.quant, on_24.offload) == ("fp8", "none")
    whole, half = planned(small, 24), planned(large, 48)
    assert whole and half
    assert (whole.quant, half.quant) == ("none", "none")


def test_a_unet_takes_turns_before_it_is_stored_in_fp8_and_a_transformer_after(
    catalog: Catalog,
) -> None:
    unet, transformer = catalog.cards["sdxl"], catalog.cards["flux2-klein-4b"]
    turns, fp8 = planned(unet, 8.5), planned(transformer, 15)
    assert turns and fp8
    assert (turns.quant, turns.offload) == ("none", "model")
    assert (fp8.quant, fp8.offload) == ("fp8", "none")
    slow_fp8 = planned(transformer, 15, chip=CHIPS["Ampere"])
    assert slow_fp8
    assert (slow_fp8.quant, slow_fp8.offload) == ("none", "model")


def test_what_nobody_asked_for_and_changes_the_picture_is_told(catalog: Catalog) -> None:
    card = catalog.cards["flux-dev"]
    chosen, asked = planned(card, 32), planned(card, 32, "fp8")
    assert chosen and asked
    assert chosen.quant == asked.quant == "fp8"
    assert "stored in fp8" in chosen.warnings[0]
    assert "needs 36.0 GB and 33.4 GB were free" in chosen.warnings[0]
    assert not asked.warnings
    assert "its weights are stored in fp8" in asked.reason
    assert not any(plan.warnings for gb in (48, 80) if (plan := planned(card, gb)))


def test_a_model_made_for_bf16_says_so_beside_its_picture_on_an_old_chip(catalog: Catalog) -> None:
    old, new = (planned(catalog.cards["z-image-turbo"], 48, chip=c) for c in ((7, 5), (8, 6)))
    assert old and new
    assert old.dtype == "fp16"
    assert "was made for bf16, which card of 48 GB has not" in old.warnings[0]
    assert not new.warnings
    sdxl = planned(catalog.cards["sdxl"], 48, chip=(7, 5))
    assert sdxl and not sdxl.warnings


def test_four_bits_come_before_layers_where_their_library_is_installed(catalog: Catalog) -> None:
    card = catalog.cards["qwen-image"]
    without, with_it = planned(card, 16), planned(card, 16, installed=frozenset({"bitsandbytes"}))
    assert without and with_it
    assert (without.quant, without.offload) == ("none", "sequential")
    assert with_it.quant == "nf4"
    assert "stored in nf4" in with_it.warnings[0]


def test_weights_that_their_makers_stored_in_fewer_bits(catalog: Catalog) -> None:
    card = catalog.cards["flux-dev"]
    part = OtherPart(repo="someone/flux", file="flux1-dev-Q8_0.gguf")
    gguf = card.model_copy(update={"parts": {"transformer": part}, "memory_gb": 25.0})
    with pytest.raises(PaintError, match="gguf needs the library gguf, which is not installed"):
        decide(idle(48, ADA), gguf, "auto", 1)
    plan = planned(gguf, 48, installed=ALL)
    assert plan
    assert (plan.quant, plan.warnings) == ("gguf", ())
    assert decide(idle(48, ADA), gguf, "int8", 1, ALL).quant == "gguf"  # by a setting
    part = OtherPart(repo="someone/flux", file="svdq-fp4_r32-flux.1-dev.safetensors")
    svdq = card.model_copy(update={"parts": {"transformer": part}, "memory_gb": 20.0})
    with pytest.raises(PaintError, match="svdq needs the library nunchaku"):
        decide(idle(24, (12, 0)), svdq, "fp4", 1, ALL - {"nunchaku"})
    with pytest.raises(PaintError, match="no kernels for card of 80 GB, whose .* is 9.0"):
        decide(idle(80, (9, 0)), svdq, "fp4", 1, ALL)
    assert decide(idle(24, (12, 0)), svdq, "fp4", 1, ALL).quant == "svdq"
    turns = lower(decide(idle(24, (12, 0)), svdq, "fp4", 1, ALL))
    assert turns
    assert turns[0].offload == "model"
    assert lower(turns[0]) is None


def test_a_plan_that_was_lowered_to_layers_has_its_weights_as_they_were(catalog: Catalog) -> None:
    plan = planned(catalog.cards["flux-dev"], 32)
    seen = []
    while plan and (lowered := lower(plan)):
        plan = lowered[0]
        seen.append((plan.offload, plan.quant, len(plan.warnings)))
    assert seen == [("model", "fp8", 1), ("sequential", "none", 0)]


@pytest.mark.parametrize(
    ("free", "quant", "encoders"), [(64, "none", False), (10, "fp8", False), (8, "fp8", True)]
)
def test_a_cpu_without_room_stores_in_fp8(
    catalog: Catalog, free: float, quant: Quant, encoders: bool
) -> None:
    hardware = Hardware((), False, "Some CPU", "avx512_bf16", free)
    plan = decide(hardware, catalog.cards["lumina-next"], "auto", 4)
    assert (plan.quant, plan.encoders) == (quant, encoders)
    assert bool(plan.warnings) == (quant == "fp8")
    with pytest.raises(PaintError, match="takes .* GB even by the most sparing way"):
        decide(Hardware((), False, "Some CPU", "", 4.0), catalog.cards["lumina-next"], "auto", 4)


def test_precisions_that_come_to_the_same_share_one_painter(
    models: Path, catalog: Catalog, card: ModelCard
) -> None:
    small = planned(catalog.cards["flux-dev"], 32)
    assert small and not comes_to_the_same(small, "auto", "full")
    residents = Residents("cpu", models, "auto")
    loaded = residents.get(card, residents.key(card, "", "auto"))
    assert residents.get(card, residents.key(card, "", "full")) is loaded
    assert residents.get(card, residents.key(card, "", "bf16")) is not loaded


def test_the_schedule_counts_what_a_precision_takes(catalog: Catalog) -> None:
    card = catalog.cards["flux2-klein-9b"]
    assert needed_gb(card, "auto") == needed_gb(card, "bf16") == 36.5
    assert needed_gb(card, "fp32") == 73
    assert 25 < needed_gb(card, "fp8") < 28


def pixels(painted: Painted) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(painted.pictures[0].data)).convert("RGB"), np.float32)


FIRST = sorted({module: card for card, module in reversed(CARDS.items())}.values())


def test_stored_in_fp8_it_takes_half_and_paints_nearly_the_same(
    catalog: Catalog, tmp_path: Path
) -> None:
    """As a person asks for it, with the worker's own plan: fp32, as the card is so small."""
    card = catalog.cards["flux2-klein-4b"]
    atelier = Atelier(card, tmp_path, CARDS[card.name])
    residents = Residents("cpu", tmp_path, "auto")
    painted, taken = [], []
    for precision in ("bf16", "auto", "fp8", "fp8"):
        job = atelier.job(precision=precision)
        painted.append(paint(job, residents, False, lambda word: None))
        (painter,) = residents._painters.values()
        taken.append(_bytes(painter.family.pipeline.transformer))
    usual, once, again = map(pixels, painted[1:])
    assert painted[2].recipe["fingerprint"]["quant"] == "fp8"
    assert not painted[2].warnings  # it was asked for
    assert taken[2] < 0.62 * taken[0]
    assert 0 < np.abs(once - usual).mean() < 0.5 * usual.std()
    assert np.array_equal(once, again)


def test_what_is_stored_in_fp8_is_never_there_in_fp32(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stored so where there is no room for more. What is kept computes in fp32 all the
    same."""
    atelier = Atelier(catalog.cards["sdxl-refined"], tmp_path, CARDS["sdxl"])
    second = Path(atelier.card.parts["refiner"].repo) / "unet/diffusion_pytorch_model.safetensors"
    read: list[set[torch.dtype]] = []

    def store(pipeline: Any, plan: Plan, dtype: torch.dtype) -> None:
        parts = (pipeline.unet, pipeline.refiner, pipeline.text_encoder)
        read.append({weight.dtype for part in parts for weight in part.parameters()})
        store_in_fp8(pipeline, plan, dtype)

    monkeypatch.setattr(placing, "store_in_fp8", store)
    plan = Plan("cpu", "fp32", "fp32", "none", False, "by hand", quant="fp8")
    parts = {"refiner": second}
    pipeline = Painter(atelier.card, atelier.folder, parts, plan, "CPU").family.pipeline
    assert read == [{DTYPES[atelier.card.half]}]
    there = {
        name: {weight.dtype for weight in pipeline.components[name].parameters()}
        for name in ("unet", "refiner", "text_encoder", "vae")
    }
    assert there["unet"] == there["refiner"] == {torch.float8_e4m3fn, torch.float32}
    assert there["text_encoder"] == there["vae"] == {torch.float32}


@pytest.mark.slow
@pytest.mark.parametrize("name", FIRST)
def test_every_family_paints_with_all_of_it_stored_in_fp8(
    catalog: Catalog, tmp_path: Path, name: str
) -> None:
    atelier = Atelier(catalog.cards[name], tmp_path, CARDS[name])
    usual = pixels(atelier.paint())
    plan = Plan("cpu", "fp32", "fp32", "none", False, "by hand", quant="fp8", encoders=True)
    key = atelier.residents.key(atelier.card, str(atelier.folder), "auto")
    parts = {part: Path(of.repo) / of.file for part, of in atelier.card.parts.items()}
    painter = Painter(atelier.card, atelier.folder, parts, plan, "CPU")
    atelier.residents._painters[key] = painter
    pipeline = painter.family.pipeline
    networks = [pipeline.components[part] for part in pipeline.components if part in NETWORKS]
    taken = [_bytes(network) for network in networks]
    painted = atelier.paint()
    near = np.abs(pixels(painted) - usual).mean()
    print(f"{name}: {near:.2f} levels in the mean")
    assert 0 < near < 0.5 * usual.std()
    assert np.array_equal(pixels(atelier.paint()), pixels(painted))
    assert taken == [_bytes(network) for network in networks]  # each layer is fp8 again
    for network in networks:
        formats = {m.weight.dtype for m in network.modules() if isinstance(m, torch.nn.Linear)}
        assert torch.float8_e4m3fn in formats


def _bytes(part: torch.nn.Module) -> int:
    return sum(weight.nbytes for weight in part.parameters())


@pytest.mark.slow
def test_the_shares_are_those_of_the_networks_in_full_size() -> None:
    for name, (fp8, linear) in counts().items():
        usual = KEPT_ENCODERS if name == "T5" else KEPT
        assert abs(fp8 - KEPT_FP8.get(name, usual)) < 0.03, name
        if name != "T5":
            assert abs(linear - KEPT_LINEAR.get(name, usual)) < 0.03, name
    assert set(SHAPES) >= KEPT_FP8.keys() | KEPT_LINEAR.keys()


def test_amounts_know_what_a_card_says(catalog: Catalog) -> None:
    taken = amounts(catalog.cards["sdxl"])
    assert taken.whole == pytest.approx(9)
    assert taken.turns == pytest.approx(5.1 + 2.1 / 2)
    assert amounts(catalog.cards["sdxl"], "fp32").whole == pytest.approx(18)
    stored = amounts(catalog.cards["sdxl"], quant="fp8", encoders=True)
    assert stored.whole < 6


def needs(library: str) -> None:
    if library not in find_libraries():
        pytest.skip(f"{library} is not installed; requirements-gpu.txt has it")


def test_int8_is_torchaos_and_near(catalog: Catalog, tmp_path: Path) -> None:
    needs("torchao")
    atelier = Atelier(catalog.cards["flux-schnell"], tmp_path, CARDS["flux-schnell"])
    residents = Residents("cpu", tmp_path, "auto")
    usual, stored = (
        paint(atelier.job(precision=precision), residents, False, lambda word: None)
        for precision in ("auto", "int8")
    )
    assert stored.recipe["fingerprint"]["quant"] == "int8"
    assert not inductor.coordinate_descent_tuning  # torchao left the compiler as it was
    assert 0 < np.abs(pixels(stored) - pixels(usual)).mean() < 0.1 * pixels(usual).std()


def test_a_card_may_name_a_gguf_for_its_transformer(catalog: Catalog, tmp_path: Path) -> None:
    needs("gguf")
    gguf = import_module("gguf")
    atelier = Atelier(catalog.cards["flux-schnell"], tmp_path, CARDS["flux-schnell"])
    usual = atelier.paint()
    (painter,) = atelier.residents._painters.values()
    file = atelier.folder / "tiny-Q8_0.gguf"
    kind = gguf.GGMLQuantizationType.Q8_0
    writer = gguf.GGUFWriter(str(file), "flux")
    for name, tensor in painter.family.pipeline.transformer.state_dict().items():
        values = tensor.numpy()
        if values.ndim == 2 and values.shape[1] % 32 == 0:
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part = OtherPart(repo="someone/flux", file=file.name)
    card = atelier.card.model_copy(update={"parts": {"transformer": part}})
    message = replace(atelier.job(), card=card.model_dump(mode="json"))
    stored = paint(message, Residents("cpu", tmp_path, "auto"), False, lambda word: None)
    assert stored.recipe["fingerprint"]["quant"] == "gguf"
    assert 0 < np.abs(pixels(stored) - pixels(usual)).mean() < 0.1 * pixels(usual).std()
