"""The networks that enlarge, known by the names and shapes of their weights.

Real-ESRGAN's two kinds: the compact one, and RRDBNet, which the older ESRGANs share under other
names. What a file is called says nothing here.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

COLOURS = 3
ORIGINAL = "darkroom.sha256"  # of the pickle that a safetensors file was made from
# RRDBNet's names as ESRGAN gave them first, and as BSRGAN and Real-SR do, beside those of today.
FIRST = {
    "model.0": "conv_first",
    "model.3": "conv_up1",
    "model.6": "conv_up2",
    "model.8": "conv_hr",
    "model.10": "conv_last",
}
SECOND = {
    "trunk_conv": "conv_body",
    "upconv1": "conv_up1",
    "upconv2": "conv_up2",
    "HRconv": "conv_hr",
}
DENSE = re.compile(r"(?:model\.1\.sub|RRDB_trunk)\.(\d+)\.RDB(\d)\.conv(\d)(?:\.0)?\.(\w+)")
TRUNK = re.compile(r"model\.1\.sub\.\d+\.(\w+)")
COMPACT = re.compile(r"body\.\d+\.weight$")
UNKNOWN = "it is neither a compact network of Real-ESRGAN nor an RRDBNet"


@dataclass(frozen=True, slots=True)
class Network:
    """`blocks` are the layers between the first and the last, or the blocks of an RRDBNet."""

    kind: Literal["compact", "rrdb"]
    scale: int
    features: int
    blocks: int
    growth: int = 0


def network_of(shapes: Mapping[str, tuple[int, ...]]) -> Network:
    """`ValueError` says why it is none that is known here."""
    try:
        if "conv_first.weight" in shapes:
            return _rrdb(shapes)
        return _compact(shapes)
    except (KeyError, IndexError):
        raise ValueError(UNKNOWN) from None


def todays_names(names: Iterable[str]) -> dict[str, str]:
    """The name of today by the name in the file."""
    return {name: _todays(name) for name in names}


def ways(scale: int, times: int) -> tuple[int, int] | None:
    """How often a network of this scale has to see the picture, and how many times smaller its
    last result is made; None if that never gives so many times."""
    passes = max(1, math.ceil(round(math.log(times, scale), 6)))
    return (passes, scale**passes // times) if scale**passes % times == 0 else None


def _todays(name: str) -> str:
    if found := DENSE.fullmatch(name):
        block, dense, conv, what = found.groups()
        return f"body.{block}.rdb{dense}.conv{conv}.{what}"
    if found := TRUNK.fullmatch(name):
        return f"conv_body.{found[1]}"
    layer, _, what = name.rpartition(".")
    return f"{(FIRST | SECOND).get(layer, layer)}.{what}"


def _rrdb(shapes: Mapping[str, tuple[int, ...]]) -> Network:
    features, seen = shapes["conv_first.weight"][:2]
    packed = math.isqrt(seen // COLOURS)
    if seen != COLOURS * packed**2 or packed not in (1, 2):
        raise ValueError(f"its first layer takes {seen} channels; 3 and 12 are known")
    if shapes["conv_last.weight"][0] != COLOURS:
        raise ValueError(f"it gives {shapes['conv_last.weight'][0]} channels, not {COLOURS}")
    blocks = {name.split(".")[1] for name in shapes if name.startswith("body.")}
    growth = shapes["body.0.rdb1.conv1.weight"][0]
    if len(shapes) != 2 * (15 * len(blocks) + 6):  # weights and biases
        raise ValueError(UNKNOWN)
    return Network("rrdb", 4 // packed, features, len(blocks), growth)


def _compact(shapes: Mapping[str, tuple[int, ...]]) -> Network:
    layers = [name for name, shape in shapes.items() if COMPACT.match(name) and len(shape) == 4]
    first = shapes["body.0.weight"]
    last = shapes[f"body.{2 * len(layers) - 2}.weight"]
    scale = math.isqrt(last[0] // COLOURS)
    whole = len(shapes) == 3 * len(layers) - 1  # weights and biases, and what lies between
    if not whole or first[1] != COLOURS or last[0] != COLOURS * scale**2:
        raise ValueError(UNKNOWN)
    if scale < 2:
        raise ValueError("its last layer does not enlarge")
    return Network("compact", scale, first[0], len(layers) - 2)
