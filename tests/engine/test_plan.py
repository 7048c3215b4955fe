"""Decisions for machines that we do not own, each with its reason."""

from dataclasses import replace

import pytest

from studio.engine.device import Gpu, Hardware, find_hardware
from studio.engine.failures import PaintError
from studio.engine.plan import decide, lower
from studio.models.card import ModelCard


def cpu(bf16: str = "", free: float = 64.0) -> Hardware:
    return Hardware((), False, "Some CPU", bf16, free)


def gpu(capability: tuple[int, int] = (9, 0), free: float = 24.0, host: float = 128.0) -> Hardware:
    return Hardware((Gpu(1, "Some GPU", capability, 24.0, free),), False, "Some CPU", "", host)


MPS = Hardware((), True, "Some CPU", "", 64.0)


@pytest.fixture
def card(card: ModelCard) -> ModelCard:
    return card.model_copy(update={"memory_gb": 9.0})


@pytest.mark.parametrize(
    ("hardware", "precision", "device", "dtype", "vae", "because"),
    [
        (gpu(), "auto", "cuda:1", "bf16", "bf16", "compute capability 9.0"),
        (gpu((7, 5)), "auto", "cuda:1", "fp16", "fp32", "compute capability 7.5"),
        (gpu(), "fp16", "cuda:1", "fp16", "bf16", "as asked"),
        (gpu(), "fp32", "cuda:1", "fp32", "fp32", "as asked"),
        (MPS, "auto", "mps", "fp16", "fp32", "faster half precision"),
        (MPS, "fp32", "mps", "fp32", "fp32", "as asked"),
        (cpu("avx512_bf16"), "auto", "cpu", "bf16", "bf16", "this CPU has avx512_bf16"),
        (cpu(), "auto", "cpu", "fp32", "fp32", "no bf16 in hardware"),
        (cpu(), "bf16", "cpu", "bf16", "bf16", "as asked"),
    ],
)
def test_number_formats_follow_the_hardware(
    card: ModelCard,
    hardware: Hardware,
    precision: str,
    device: str,
    dtype: str,
    vae: str,
    because: str,
) -> None:
    plan = decide(hardware, card, precision, 4)
    assert (plan.device, plan.dtype, plan.vae_dtype) == (device, dtype, vae)
    assert because in plan.reason


def test_a_tiny_model_is_painted_exactly_on_a_cpu(card: ModelCard) -> None:
    plan = decide(cpu("amx_bf16"), card.model_copy(update={"memory_gb": 0.1}), "auto", 4)
    assert plan.dtype == "fp32"
    assert "so small a model" in plan.reason


@pytest.mark.parametrize(
    ("hardware", "precision", "sentence"),
    [
        (cpu(), "fp16", "fp16 on a CPU"),
        (cpu("amx_bf16"), "fp16", "fp16 on a CPU"),
        (gpu((7, 5)), "bf16", "Some GPU has 7.5"),
        (MPS, "bf16", "Apple GPUs"),
        (MPS, "fp8", "Apple GPUs"),
        (cpu(), "nf4", "nf4 needs the library bitsandbytes"),
        (gpu(), "int8", "torchao, which is not installed. Its command: pip install -r requirem"),
    ],
)
def test_what_the_hardware_does_badly_is_refused(
    card: ModelCard, hardware: Hardware, precision: str, sentence: str
) -> None:
    with pytest.raises(PaintError, match=sentence) as error:
        decide(hardware, card, precision, 4)
    assert error.value.code == "precision"


@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16"])
@pytest.mark.parametrize("bf16", ["", "avx512_bf16", "amx_bf16"])
@pytest.mark.parametrize("memory_gb", [0.1, 9.0])
def test_a_cpu_never_paints_in_fp16(
    card: ModelCard, precision: str, bf16: str, memory_gb: float
) -> None:
    plan = decide(cpu(bf16), card.model_copy(update={"memory_gb": memory_gb}), precision, 4)
    assert "fp16" not in (plan.dtype, plan.vae_dtype)


@pytest.mark.parametrize(
    ("free", "precision", "offload"),
    [
        (24.0, "auto", "none"),
        (9.0, "auto", "none"),
        (8.0, "auto", "model"),
        (4.0, "full", "sequential"),
        (17.0, "fp32", "model"),
    ],
)
def test_what_does_not_fit_on_the_card_takes_turns(
    card: ModelCard, free: float, precision: str, offload: str
) -> None:
    plan = decide(gpu(free=free), card, precision, 4)
    assert plan.offload == offload
    assert plan.tiling == (offload != "none")
    assert f"{free:.1f} GB free" in plan.reason
    assert not plan.warnings  # it is the same picture


def test_this_machine_is_found_and_another_is_not() -> None:
    here = find_hardware("cpu")
    assert not here.gpus
    assert here.name == here.cpu
    with pytest.raises(PaintError, match="there is no cuda:99 here"):
        find_hardware("cuda:99")


def several(*free: float) -> Hardware:
    cards = tuple(Gpu(n, "Some GPU", (9, 0), 24.0, gb) for n, gb in enumerate(free))
    return Hardware(cards, False, "Some CPU", "", 64.0)


def test_a_model_too_large_for_one_card_is_spread_over_those_that_its_worker_has(
    card: ModelCard,
) -> None:
    large = card.model_copy(update={"memory_gb": 36.0})
    plan = decide(several(23, 23), large, "auto", 4)
    assert plan.spread
    assert (plan.device, plan.offload) == ("cuda:0", "none")
    assert "36.0 GB needed, 46.0 GB free on 2: spread over them" in plan.reason
    assert not decide(several(40, 40), large, "auto", 4).spread
    uneven = large.model_copy(update={"weights": {"transformer": 24.0, "text_encoder": 9.0}})
    assert decide(several(23, 23), uneven, "full", 4).offload == "sequential"  # none holds that
    assert decide(several(23, 27), uneven, "full", 4).spread
    small = decide(several(10, 10), large, "full", 4)
    assert (small.spread, small.offload) == (False, "sequential")
    assert plan.tiling  # what is left of them is little
    turns = lower(plan)
    assert turns
    assert (turns[0].spread, turns[0].offload) == (False, "model")


def test_a_card_says_what_must_fit_where_its_parts_take_turns(card: ModelCard) -> None:
    weights = {"transformer": 24.0, "text_encoder": 9.0, "vae": 1.0}
    large = card.model_copy(update={"memory_gb": 36.0, "weights": weights})
    assert decide(gpu(free=24.5), large, "full", 4).offload == "sequential"
    assert decide(gpu(free=27), large, "full", 4).offload == "model"
    assert decide(gpu(free=53), large, "fp32", 4).offload == "model"


def test_parts_take_turns_only_where_the_machine_has_room_for_those_that_wait(
    card: ModelCard,
) -> None:
    weights = {"transformer": 24.0, "text_encoder": 9.0, "vae": 1.0}
    large = card.model_copy(update={"memory_gb": 36.0, "weights": weights})
    assert decide(gpu(free=27, host=35), large, "full", 4).offload == "model"
    with pytest.raises(PaintError) as told:
        decide(gpu(free=27, host=33), large, "full", 4)
    assert told.value.code == "oom"
    assert "They take 34.0 GB there, and 33.0 GB are free." in str(told.value)
    assert decide(gpu(free=40, host=1), large, "full", 4).offload == "none"  # nothing waits
    stored = decide(gpu(free=27, host=33), large, "auto", 4)  # in fp8 it needs no turns
    assert (stored.offload, stored.quant) == ("none", "fp8")


def test_what_becomes_whole_again_on_the_way_down_is_said(card: ModelCard) -> None:
    plan = replace(decide(gpu(), card, "auto", 4), quant="nf4", offload="model", tiling=True)
    lowered = lower(plan)
    assert lowered
    assert lowered[0].quant == "none"
    assert "its weights are whole again: layers do not move in nf4" in lowered[1]
    assert lowered[1] in lowered[0].reason


def test_a_card_names_the_half_precision_it_was_made_for(card: ModelCard) -> None:
    exact = card.model_copy(update={"half": "fp16"})
    assert decide(gpu(), exact, "auto", 4).dtype == "fp16"
    assert decide(gpu(), exact, "bf16", 4).dtype == "bf16"
    on_cpu = decide(cpu("amx_bf16"), exact, "auto", 4)
    assert on_cpu.dtype == "fp32"
    assert "was not made for bf16" in on_cpu.reason
