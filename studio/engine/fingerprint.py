"""What painted a picture, for its recipe: versions, device, number formats, weights, sampler."""

import platform
import re
import tomllib
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from studio.engine.plan import Plan
from studio.formats import strict
from studio.settings import ROOT

LIBRARIES = ("torch", "diffusers", "transformers", "compel", "peft")
NVIDIA = Path("/proc/driver/nvidia/version")


@cache
def versions() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    libraries = {name: version(name) for name in LIBRARIES}
    return {"darkroom": project["version"], "python": platform.python_version(), **libraries}


def basics(device: str, device_name: str) -> dict[str, Any]:
    """What is told of any picture, painted or only enlarged."""
    threads = torch.get_num_threads()
    there = {"device": device, "device_name": device_name, "threads": threads}
    return {**versions(), **beneath(device), **there}


def fingerprint(
    plan: Plan, device_name: str, model_hash: tuple[str, str], scheduler: Any, attention: str
) -> dict[str, Any]:
    """Plain values only: it goes into JSON and over the wire."""
    config = {name: _plain(value) for name, value in scheduler.config.items()}
    return {
        **basics(plan.device, device_name),
        "dtype": plan.dtype,
        "vae_dtype": plan.vae_dtype,
        "offload": plan.offload,
        "spread": plan.spread,
        "tiling": plan.tiling,
        "quant": plan.quant,
        "encoders": plan.encoders,
        "compiled": plan.compiled,
        "plan": plan.reason,
        "attention": attention,
        "model_hash": model_hash[0],
        "model_hash_of": model_hash[1],
        "scheduler": type(scheduler).__name__,
        "scheduler_config": strict.plain(config),
    }


@cache
def beneath(device: str) -> dict[str, str]:
    """Under torch: what else decides how a sum is rounded."""
    if device == "cpu":
        return {"cpu_kernels": torch.backends.cpu.get_cpu_capability()}
    if device == "mps":
        return {"macos": platform.mac_ver()[0]}
    found = {"cuda": torch.version.cuda or torch.version.hip or ""}
    found["cudnn"] = str(torch.backends.cudnn.version() or "")  # type: ignore[no-untyped-call]
    with suppress(OSError):  # only Linux tells it in a file
        numbers = re.search(r"\d+\.\d+[.\d]*", NVIDIA.read_text(encoding="ascii"))
        found["driver"] = numbers[0] if numbers else ""
    return found


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
