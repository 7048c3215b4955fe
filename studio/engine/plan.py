"""How a model is painted on this hardware: device, number formats, place in memory; and why.

Pure: hardware and card in, decision out, so every machine that we do not own can be tried here.
"""

from dataclasses import dataclass, replace
from typing import Literal

from studio.catalog import ModelCard
from studio.engine.device import Gpu, Hardware
from studio.engine.failures import PaintError

Dtype = Literal["fp32", "bf16", "fp16"]
Offload = Literal["none", "model", "sequential"]

TINY_GB = 0.5
LARGEST_PART = 0.6  # of an SDXL: what must fit when the parts take turns on the card
TURNS: dict[Offload, str] = {
    "none": "it stays on the card",
    "model": "its parts take turns on the card",
    "sequential": "it moves to the card layer by layer, which is slow",
}


@dataclass(frozen=True, slots=True)
class Plan:
    device: str
    dtype: Dtype
    vae_dtype: Dtype
    offload: Offload
    tiling: bool
    reason: str
    spread: bool = False  # over all the cards that it has

    @property
    def whole(self) -> bool:
        """All of it lies on one device."""
        return self.offload == "none" and not self.spread


def decide(hardware: Hardware, card: ModelCard, precision: str, threads: int) -> Plan:
    """`precision` is auto, fp32, bf16 or fp16. What the hardware does badly is refused in words."""
    if hardware.gpus:
        return _on_cuda(hardware.gpus, card, precision)
    if hardware.mps:
        return _on_mps(precision)
    return _on_cpu(hardware, card, precision, threads)


def lower(plan: Plan) -> tuple[Plan, str] | None:
    """The next cheaper plan, and what it does in words; None if there is none."""
    if not plan.tiling:
        lowered, words = replace(plan, tiling=True), "it was decoded in tiles"
    elif plan.device.startswith("cuda") and plan.offload != "sequential":
        further: Offload = "model" if plan.offload == "none" else "sequential"
        lowered, words = replace(plan, offload=further, spread=False), TURNS[further]
    else:
        return None
    return replace(lowered, reason=f"{plan.reason}; memory ran out, so {words}"), words


def _on_cuda(gpus: tuple[Gpu, ...], card: ModelCard, precision: str) -> Plan:
    gpu = gpus[0]
    version = ".".join(map(str, gpu.capability))
    modern = gpu.capability >= (8, 0)
    if precision == "bf16" and not modern:
        raise PaintError(
            "precision",
            f"precision: bf16 needs a card of compute capability 8.0; {gpu.name} has {version}. "
            "Use fp16, fp32 or auto.",
        )
    dtype = _asked(precision) or (card.half if modern else "fp16")
    # An SDXL VAE overflows in fp16. In bf16 it decodes as fast and does not.
    vae_dtype: Dtype = "bf16" if modern and dtype != "fp32" else "fp32"
    needed = card.memory_gb * (2 if dtype == "fp32" else 1)
    why = "as asked" if _asked(precision) else f"compute capability {version}"
    reason = f"{dtype} on {gpu.name} ({why}), VAE in {vae_dtype}; "
    if dtype == "fp16" and card.half != "fp16" and card.family != "sdxl":
        reason += "it was made for bf16, and in fp16 its numbers may overflow; "
    device, free = f"cuda:{gpu.index}", sum(each.free_gb for each in gpus)
    largest = (card.turns_gb or card.memory_gb * LARGEST_PART) * needed / card.memory_gb
    # A part is never cut: each must fit on one of them.
    fits = len(gpus) > 1 and largest <= max(each.free_gb for each in gpus)
    if fits and gpu.free_gb < needed <= free:
        reason += f"{needed:.1f} GB needed, {free:.1f} GB free on {len(gpus)}: spread over them"
        return Plan(device, dtype, vae_dtype, "none", True, reason, spread=True)
    offload, room = _offload(needed, largest, gpu.free_gb)
    return Plan(device, dtype, vae_dtype, offload, offload != "none", reason + room)


def _offload(needed: float, largest: float, free: float) -> tuple[Offload, str]:
    amounts = f"{needed:.1f} GB needed, {free:.1f} GB free"
    if needed <= free:
        return "none", f"{amounts}: {TURNS['none']}"
    if largest <= free:
        return "model", f"{amounts}: {TURNS['model']}"
    return "sequential", f"{amounts}: {TURNS['sequential']}"


def _on_mps(precision: str) -> Plan:
    if precision == "bf16":
        raise PaintError(
            "precision", "precision: Apple GPUs paint in fp16 or fp32, not bf16. Use one or auto."
        )
    dtype = _asked(precision) or "fp16"
    why = "as asked" if _asked(precision) else "the faster half precision there"
    return Plan(
        "mps", dtype, "fp32", "none", False, f"{dtype} on the Apple GPU ({why}), VAE in fp32"
    )


def _on_cpu(hardware: Hardware, card: ModelCard, precision: str, threads: int) -> Plan:
    if precision == "fp16":
        raise PaintError(
            "precision",
            "precision: fp16 on a CPU is fifty times slower than fp32. Use fp32, bf16 or auto.",
        )
    dtype = _asked(precision)
    if dtype:
        why = "as asked"
    elif card.memory_gb < TINY_GB:
        dtype, why = "fp32", "so small a model gains little from bf16"
    elif hardware.cpu_bf16 and card.half == "bf16":
        dtype, why = "bf16", f"this CPU has {hardware.cpu_bf16}"
    elif hardware.cpu_bf16:
        dtype, why = "fp32", f"{card.title} was not made for bf16"
    else:
        dtype, why = "fp32", "this CPU has no bf16 in hardware"
    reason = f"{dtype} on {hardware.cpu}, threads: {threads} ({why})"
    return Plan("cpu", dtype, dtype, "none", False, reason)


def _asked(precision: str) -> Dtype | None:
    if precision in ("fp32", "bf16", "fp16"):
        return precision  # type: ignore[return-value]
    return None
