"""What this machine can paint on: its CUDA cards, an Apple GPU, and what its CPU has in hardware.

It looks and reports; what follows from it is decided in `plan`.
"""

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import psutil
import torch

from studio.engine.failures import PaintError

GB = 10**9  # as files are measured, and cards of models


@dataclass(frozen=True, slots=True)
class Gpu:
    index: int
    name: str
    capability: tuple[int, int]
    memory_gb: float
    free_gb: float


@dataclass(frozen=True, slots=True)
class Hardware:
    """`cpu_bf16` names the instructions that make bf16 fast on the CPU, or is empty. `free_gb` is
    of the machine's own memory."""

    gpus: tuple[Gpu, ...]
    mps: bool
    cpu: str
    cpu_bf16: str
    free_gb: float

    @property
    def name(self) -> str:
        """Of the device that paints."""
        if self.gpus:
            return self.gpus[0].name
        return "Apple GPU" if self.mps else self.cpu

    @property
    def device(self) -> str:
        """The one that paints, as torch calls it."""
        if self.gpus:
            return f"cuda:{self.gpus[0].index}"
        return "mps" if self.mps else "cpu"

    def with_more(self, gb: float) -> "Hardware":
        """The same with so much more free where it paints."""
        if self.gpus:
            first = replace(self.gpus[0], free_gb=self.gpus[0].free_gb + gb)
            return replace(self, gpus=(first, *self.gpus[1:]))
        return replace(self, free_gb=self.free_gb + gb)


def be_steady() -> None:
    """From now on the same numbers give the same picture on a card, and fp32 is fp32 there."""
    torch.backends.cudnn.deterministic = True  # with `benchmark` off, as it is, this costs nothing
    torch.backends.cudnn.allow_tf32 = False  # else convolutions keep 10 bits of 23, and they alone


def find_hardware(wanted: str) -> Hardware:
    """The hardware of `wanted`: auto, cpu, mps, cuda or cuda:<number>.

    Only the cards asked for are looked at closely: a look takes some of their memory.
    """
    cards = range(torch.cuda.device_count())
    chosen = [i for i in cards if wanted in ("auto", "cuda", f"cuda:{i}")]
    mps = torch.backends.mps.is_available()
    if not (chosen or wanted in ("auto", "cpu") or (wanted == "mps" and mps)):
        there = ", ".join([f"cuda:{i}" for i in cards] + ["mps"] * mps + ["cpu"])
        raise PaintError("internal", f"device: there is no {wanted} here. There is: {there}.")
    cpu, cpu_bf16 = _cpu()
    gpus = tuple(_gpu(index) for index in chosen)
    free_gb = psutil.virtual_memory().available / GB
    return Hardware(gpus, mps and wanted in ("auto", "mps"), cpu, cpu_bf16, free_gb)


def spare_gb(device: str) -> float:
    """What is free there now, what torch keeps at hand for later included."""
    if not device.startswith("cuda"):
        return float(psutil.virtual_memory().available) / GB
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    return float(free) / GB


def find_libraries() -> frozenset[str]:
    """Those that store weights in fewer bits. Of what is called nunchaku only one paints."""
    found = {name: find_spec(name) for name in ("torchao", "bitsandbytes", "gguf", "nunchaku")}
    engine = found["nunchaku"]
    places = (engine.submodule_search_locations or ()) if engine else ()
    if not any((Path(place) / "models").is_dir() for place in places):
        del found["nunchaku"]
    return frozenset(name for name, spec in found.items() if spec)


def _gpu(index: int) -> Gpu:
    about = torch.cuda.get_device_properties(index)
    free, _ = torch.cuda.mem_get_info(index)
    return Gpu(index, about.name, (about.major, about.minor), about.total_memory / GB, free / GB)


def _cpu() -> tuple[str, str]:
    has = torch.cpu.get_capabilities()
    names = ("amx_bf16", "avx512_bf16", "bf16")
    return str(has.get("cpu_name", "CPU")), next((name for name in names if has.get(name)), "")
