"""Parts that two models have alike, byte for byte: one in memory serves both.

Fine-tunes of SDXL mostly differ in their UNet; their text encoders and their VAE are a quarter of
them. Files are compared by what is in them, never by what they are called, and only parts that lie
in memory in the same way are handed on.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from studio.engine.plan import Plan
from studio.models.card import ModelCard
from studio.models.checkpoints import PREFIXES
from studio.models.hashes import Piece, same_bytes, variant
from studio.models.memory import DENOISERS
from studio.models.pipelines import networks, weights
from studio.models.weights import read_index

FAMILIES = ("sdxl",)
# What a configuration says of who wrote it.
BESIDE = ("_", "transformers_version", "torch_dtype", "dtype")


class How(NamedTuple):
    """In which way a part lies in memory."""

    device: str
    dtype: str
    vae_dtype: str
    tiling: bool


@dataclass(frozen=True, slots=True)
class Source:
    """What a part is loaded from."""

    pieces: tuple[Piece, ...]
    config: dict[str, Any]

    def same(self, other: "Source") -> bool:
        return self.config == other.config and same_bytes(self.pieces, other.pieces)


class Lent(NamedTuple):
    source: Source
    how: How
    part: nn.Module


def find_sources(folder: Path, card: ModelCard, parts: Mapping[str, Path]) -> dict[str, Source]:
    """Of each part that could be another model's too; what cannot be read is not shared."""
    if card.family not in FAMILIES:
        return {}
    found: dict[str, Source] = {}
    files = {file.relative_to(folder).as_posix(): 0 for file in folder.glob("*/*.safetensors")}
    index = read_index(folder) or {}
    for name in networks(index):
        if name in DENOISERS:
            continue
        try:
            whole = json.loads((folder / name / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        config = {key: value for key, value in whole.items() if not key.startswith(BESIDE)}
        config["class"] = index[name]
        if name not in parts:
            own = weights(files, name, variant(folder, card))
            pieces = tuple(Piece.of(folder / file) for file in sorted(own))
        elif not card.beside:
            pieces = (Piece.of(parts[name]),)
        elif name in PREFIXES:
            pieces = (Piece.of(parts[name], PREFIXES[name]),)
        else:
            continue
        found[name] = Source(pieces, config)
    return found


def how(plan: Plan) -> How | None:
    """None where parts are not simply there: hooks of one model would be the other's too."""
    if not plan.whole or plan.quant != "none":
        return None
    return How(plan.device, plan.dtype, plan.vae_dtype, plan.tiling)


def alike(wanted: Mapping[str, Source], there: Iterable[Mapping[str, Lent]]) -> dict[str, Lent]:
    """Those of the wanted parts that somebody has, the first who does."""
    found: dict[str, Lent] = {}
    for lenders in there:
        for name, lent in lenders.items():
            if name in wanted and name not in found and wanted[name].same(lent.source):
                found[name] = lent
    return found


def size_gb(lent: Iterable[Lent], device: str) -> float:
    """Of those that lie on the device, which need no room there again."""
    kind = device.partition(":")[0]
    return (
        sum(
            sum(weight.nbytes for weight in part.parameters() if weight.device.type == kind)
            for _, _, part in lent
        )
        / 1e9
    )
