"""How a bench speaks: a table for people, one last line of JSON for programs, a file of results."""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "gradio", "diffusers")
RESULTS = Path(__file__).resolve().parent / "results"


def machine() -> dict[str, str | int]:
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES if find_spec(name)},
        **_card(),
    }


def report(bench: str, figures: dict[str, float], *, save: bool) -> None:
    result, here = _result(bench, figures), machine()
    width = max(map(len, figures))
    print(f"\n{bench} on {here['cpu']}, {here['cores']} cores")
    for name, figure in figures.items():
        print(f"  {name:<{width}}  {figure:g}")
    if save:
        keep(bench, figures, RESULTS)
    print(json.dumps(result))


def keep(bench: str, figures: dict[str, float], folder: Path) -> None:
    """As a file, for instance while it goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    dated = _result(bench, figures) | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
    (folder / f"{bench}.json").write_text(json.dumps(dated, indent=2) + "\n")


def _result(bench: str, figures: dict[str, float]) -> dict[str, Any]:
    return {"bench": bench, "machine": machine(), "figures": figures}


def _card() -> dict[str, str]:
    """The card that a bench ran on, if it is one that uses torch."""
    torch = sys.modules.get("torch")
    there = torch is not None and torch.cuda.is_available()
    return {"gpu": torch.cuda.get_device_name()} if torch and there else {}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
