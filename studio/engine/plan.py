"""How a model is painted on this hardware: device, number formats, place in memory; and why.

Pure: hardware, libraries and card in, decision out, so every machine that we do not own can be
tried here. Of the ways there are the first is taken that takes no more than is free.
"""

from collections.abc import Set
from dataclasses import dataclass, replace

from studio.engine.device import Gpu, Hardware
from studio.engine.failures import PaintError
from studio.engine.ways import TURNS, Offload, Way, in_one_place, ways
from studio.models.card import ModelCard
from studio.models.memory import amounts, tiles
from studio.models.precision import Dtype, Quant
from studio.request import Precision

TINY_GB = 0.5
BF16 = (8, 0)  # compute capability that has it
FP8 = (8, 9)  # that has it, if only to read it
SVDQUANT = ((7, 5), (8, 0), (8, 6), (8, 9), (12, 0), (12, 1))  # it has no kernels for Hopper
# What must be installed for it, and how; fp8 needs nothing.
LIBRARIES: dict[Quant, tuple[str, str]] = {
    "int8": ("torchao", "pip install -r requirements-gpu.txt"),
    "nf4": ("bitsandbytes", "pip install -r requirements-gpu.txt"),
    "gguf": ("gguf", "pip install -r requirements-gpu.txt"),
    # What PyPI calls nunchaku is something else.
    "svdq": ("nunchaku", "pip install with the wheel from github.com/nunchaku-ai/nunchaku"),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """`quant` is how the denoiser's weights are stored, with `encoders` the text encoders' too.
    `warnings` are told beside each picture."""

    device: str
    dtype: Dtype
    vae_dtype: Dtype
    offload: Offload
    tiling: bool
    reason: str
    spread: bool = False  # over all the cards that it has
    quant: Quant = "none"
    encoders: bool = False
    compiled: bool = False
    attention: str = ""
    peak_gb: float = 0.0  # what it should take, as far as its card knows
    first: bool = True  # no other would be taken if more were free
    warnings: tuple[str, ...] = ()
    tiles: bool = True  # what makes its pixels can do so piece by piece

    @property
    def whole(self) -> bool:
        """All of it lies on one device."""
        return self.offload == "none" and not self.spread


def decide(
    hardware: Hardware,
    card: ModelCard,
    precision: Precision,
    threads: int,
    installed: Set[str] = frozenset(),
) -> Plan:
    """What the hardware does badly, or has no room or no library for, is refused in words."""
    _check_library(card, precision, installed)
    if hardware.gpus:
        return _on_cuda(hardware, card, precision, installed)
    if hardware.mps:
        return _on_mps(hardware, card, precision)
    return _on_cpu(hardware, card, precision, threads)


def comes_to_the_same(plan: Plan, asked: Precision, wanted: Precision) -> bool:
    """Whether what was planned for one precision is what would be planned for the other."""
    if {asked, wanted} != {"auto", "full"} or plan.quant not in ("none", "gguf"):
        return False
    return asked == "auto" or plan.offload == "none"


def lower(plan: Plan) -> tuple[Plan, str] | None:
    """The next cheaper plan, and what it does in words; None if there is none."""
    if plan.tiles and not plan.tiling:
        lowered, words = replace(plan, tiling=True), "it was decoded in tiles"
    elif not plan.device.startswith("cuda") or plan.offload == "sequential":
        return None
    elif plan.offload == "none":
        lowered, words = replace(plan, offload="model", spread=False), TURNS["model"]
    elif plan.quant in ("gguf", "svdq"):
        return None  # such weights cannot be moved layer by layer
    else:
        lowered = replace(plan, offload="sequential", quant="none", encoders=False, warnings=())
        words = TURNS["sequential"]
        if plan.quant != "none":
            words += f", and its weights are whole again: layers do not move in {plan.quant}"
    return replace(lowered, reason=f"{plan.reason}; memory ran out, so {words}"), words


def _check_library(card: ModelCard, precision: Precision, installed: Set[str]) -> None:
    quant: Quant = card.stored
    if quant == "none" and precision in ("int8", "nf4"):
        quant = precision
        if card.parts:
            raise _refused(
                f"{card.title} has its {min(card.parts)} from a file of its own, which cannot be "
                f"stored in {precision}. Use fp8 or full."
            )
    library, command = LIBRARIES.get(quant, ("", ""))
    if library and library not in installed:
        raise _refused(
            f"{quant} needs the library {library}, which is not installed. Its command: {command}."
        )


def _on_cuda(
    hardware: Hardware, card: ModelCard, precision: Precision, installed: Set[str]
) -> Plan:
    gpus, gpu = hardware.gpus, hardware.gpus[0]
    version = ".".join(map(str, gpu.capability))
    modern = gpu.capability >= BF16
    if precision == "bf16" and not modern:
        raise _refused(
            f"bf16 needs a card of compute capability 8.0; {gpu.name} has {version}. "
            "Use fp16, fp32 or auto."
        )
    if card.stored == "svdq" and gpu.capability not in SVDQUANT:
        raise _refused(
            f"SVDQuant has no kernels for {gpu.name}, whose compute capability is {version}. "
            "Choose the model in full precision."
        )
    dtype = _asked(precision) or (card.half if modern else "fp16")
    # An SDXL VAE overflows in fp16. In bf16 it decodes as fast and does not.
    vae_dtype: Dtype = "bf16" if modern and dtype != "fp32" else "fp32"
    possible = list(ways(card, dtype, precision, installed, fast_fp8=gpu.capability >= FP8))
    fitting = [way for way in possible if _fits(way, gpus)]
    if not fitting:
        raise _no_room(card, precision, possible, gpu.name, gpu.free_gb)
    way = next((way for way in fitting if way.host_gb <= hardware.free_gb), None)
    if way is None:
        raise _no_host(card, fitting, gpu.name, hardware.free_gb)
    why = "as asked" if _asked(precision) else f"compute capability {version}"
    needed, free = amounts(card, dtype).whole, gpu.free_gb
    room = f"{needed:.1f} GB needed, {free:.1f} GB free: {way.words}"
    if way.spread:
        free = sum(each.free_gb for each in gpus)
        room = f"{needed:.1f} GB needed, {free:.1f} GB free on {len(gpus)}: spread over them"
    warnings = _changed(card, precision, way, f"{needed:.1f} GB", f"{gpu.free_gb:.1f} GB")
    if dtype == "fp16" and card.half != "fp16" and card.family != "sdxl":
        without = "" if modern else f", which {gpu.name} has not"
        warnings.append(
            f"{card.title} was made for bf16{without}; it was painted in fp16, where its numbers "
            "may overflow."
        )
    return Plan(
        device=f"cuda:{gpu.index}",
        dtype=dtype,
        vae_dtype=vae_dtype,
        offload=way.offload,
        tiling=tiles(card)
        and not way.plain,  # where room is short, pictures above the usual size are
        reason=f"{dtype} on {gpu.name} ({why}), VAE in {vae_dtype}; {room}{_takes(way)}",
        spread=way.spread,
        quant=way.quant,
        encoders=way.encoders,
        peak_gb=way.gb,
        first=way == possible[0],
        warnings=tuple(warnings),
        tiles=tiles(card),
    )


def _fits(way: Way, gpus: tuple[Gpu, ...]) -> bool:
    if not way.spread:
        return way.gb <= gpus[0].free_gb
    # A part is never cut: each must fit on one of them.
    free = [gpu.free_gb for gpu in gpus]
    return len(gpus) > 1 and way.gb <= sum(free) and way.part_gb <= max(free)


def _on_mps(hardware: Hardware, card: ModelCard, precision: Precision) -> Plan:
    if precision not in ("auto", "full", "fp16", "fp32") or card.stored != "none":
        asked = precision if card.stored == "none" else card.stored
        raise _refused(f"Apple GPUs paint in fp16 or fp32, not {asked}. Use one or auto.")
    dtype = _asked(precision) or "fp16"
    why = "as asked" if _asked(precision) else "the faster half precision there"
    reason = f"{dtype} on the Apple GPU ({why}), VAE in fp32"
    warnings = []
    if dtype == "fp16" and card.half != "fp16" and card.family != "sdxl":
        warnings.append(
            f"{card.title} was made for bf16; it was painted in fp16, where its numbers may "
            "overflow."
        )
    gb = amounts(card, dtype).whole
    return Plan(
        "mps",
        dtype,
        "fp32",
        "none",
        False,
        reason,
        peak_gb=gb,
        warnings=tuple(warnings),
        tiles=tiles(card),
    )


def _on_cpu(hardware: Hardware, card: ModelCard, precision: Precision, threads: int) -> Plan:
    if precision == "fp16":
        raise _refused("fp16 on a CPU is fifty times slower than fp32. Use fp32, bf16 or auto.")
    if precision == "nf4" or card.stored == "svdq":
        raise _refused("four bits need a GPU. Use fp8, int8, bf16, fp32 or auto.")
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
    possible = list(in_one_place(card, dtype, precision))
    way = next((way for way in possible if way.gb <= hardware.free_gb), None)
    if way is None:
        raise _no_room(card, precision, possible, "this machine", hardware.free_gb)
    needed, free = f"{amounts(card, dtype).whole:.1f} GB", f"{hardware.free_gb:.1f} GB"
    if not way.plain:
        reason += f"; {needed} needed, {free} free: {way.stored}{_takes(way)}"
    return Plan(
        "cpu",
        dtype,
        dtype,
        "none",
        False,
        reason,
        quant=way.quant,
        encoders=way.encoders,
        peak_gb=way.gb,
        first=way == possible[0],
        warnings=tuple(_changed(card, precision, way, needed, free)),
        tiles=tiles(card),
    )


def _takes(way: Way) -> str:
    return "" if way.plain or way.spread else f"; it should take {way.gb:.1f} GB"


def _changed(card: ModelCard, precision: Precision, way: Way, needed: str, free: str) -> list[str]:
    """What nobody asked for and changes the picture."""
    if precision != "auto" or way.quant in ("none", card.stored):
        return []
    return [
        f"{card.title} needs {needed} and {free} were free, so its weights were stored in "
        f"{way.quant}: the picture is near that of {card.half}, not equal. Quality best, or "
        "precision full, never does this."
    ]


def _no_room(
    card: ModelCard, precision: Precision, possible: list[Way], where: str, free: float
) -> PaintError:
    least = min(way.gb for way in possible)
    how = "even by the most sparing way" if precision == "auto" else f"in {precision}"
    hint = "" if precision == "auto" else ", ask for the precision auto"
    return PaintError(
        "oom",
        f"model: {card.title} takes {least:.1f} GB {how}, and {free:.1f} GB of {where} are free. "
        f"Free some memory{hint}, or choose a smaller model.",
    )


def _no_host(card: ModelCard, fitting: list[Way], where: str, free: float) -> PaintError:
    least = min(way.host_gb for way in fitting)
    return PaintError(
        "oom",
        f"model: {card.title} fits on {where} only while parts of it wait in the machine's own "
        f"memory. They take {least:.1f} GB there, and {free:.1f} GB are free. Free some memory, or "
        "choose a smaller model.",
    )


def _refused(sentence: str) -> PaintError:
    return PaintError("precision", f"precision: {sentence}")


def _asked(precision: Precision) -> Dtype | None:
    if precision in ("fp32", "bf16", "fp16"):
        return precision
    return None
