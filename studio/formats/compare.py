"""How far two pictures are apart: pixel by pixel, to the eye, and in what their recipes say.

The eye takes colours together before it compares them, and colour over wider patches than light. So
both pictures are averaged over patches in CIE Lab, lightness over four pixels and colour over
sixteen, and the farthest patch decides. Pure: bytes and recipes in, numbers and words out.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studio.formats.read import FORMATS
from studio.formats.spoken import counted

Answer = Literal["identical", "same to the eye", "different"]
Recipe = Mapping[str, Any]

# Of CIE 1994, of the farthest patch. JPEG at 75 stays below and at 30 lies above: `bench eye`.
NOTICED = 2.3
LIGHT, COLOUR = 4, 16  # pixels a side of the patches
STRIP = 256  # rows at once, so that the largest pictures fit into memory
# What no pixel depends on, and what is prose about other fields.
BESIDE = (
    *("version", "count", "tags", "filename", "owner", "priority", "upload_urls", "plan"),
    *("expand", "nth"),
)
FIRST = ("model_hash", "loras", "dtype", "device", "seed")  # the likeliest reasons
SAID = 3  # reasons in a sentence; the rest is counted

# From sRGB to CIE XYZ, D65, and its white.
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_TO_WHITE = (_XYZ.T / (0.9505, 1.0, 1.089)).astype(np.float32)
_LEVELS = np.arange(256, dtype=np.float32) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)


@dataclass(frozen=True, slots=True)
class Distance:
    """`most` and `mean` in levels of 255; `seen` in CIE 1994, of the patch that is farthest."""

    most: int
    mean: float
    seen: float


@dataclass(frozen=True, slots=True)
class Change:
    field: str
    was: object
    now: object


@dataclass(frozen=True, slots=True)
class Comparison:
    """`distance` is None between pictures of two sizes."""

    distance: Distance | None
    changed: tuple[Change, ...]

    @property
    def answer(self) -> Answer:
        if self.distance is None:
            return "different"
        if self.distance.most == 0:
            return "identical"
        return "same to the eye" if self.distance.seen < NOTICED else "different"

    @property
    def words(self) -> str:
        """In one line, with the likeliest reasons."""
        parts = [f"{self.answer}{self._how_far}"]
        parts += [_spoken(change) for change in self.changed[:SAID]]
        more = len(self.changed) - SAID
        return "; ".join([*parts, f"and {more} more"] if more > 0 else parts)

    @property
    def _how_far(self) -> str:
        far = self.distance
        if far is None:
            return ": another size"
        if far.most == 0:
            return ", pixel by pixel"
        levels = counted(far.most, "level")
        if self.answer == "same to the eye":
            return f": at most {levels} apart"
        return f": up to {levels} apart, {far.mean:.1f} on average"


def distance(one: bytes, other: bytes) -> Distance | None:
    """None between pictures of two sizes."""
    first, second = _pixels(one, other)
    if first.shape != second.shape:
        return None
    most, total, seen = 0, 0, 0.0
    for top in range(0, first.shape[0], STRIP):
        a, b = first[top : top + STRIP], second[top : top + STRIP]
        apart = np.abs(a.astype(np.int16) - b)
        most, total = max(most, int(apart.max())), total + int(apart.sum(dtype=np.int64))
        if apart.any():
            seen = max(seen, _seen(a, b))
    return Distance(most, round(total / first.size, 4), round(seen, 2))


def changes(was: Recipe, now: Recipe, seeds: tuple[int, int]) -> tuple[Change, ...]:
    """What two recipes say otherwise, the likeliest reasons first."""
    before, after = (
        dict(_marks(recipe, seed)) for recipe, seed in zip((was, now), seeds, strict=True)
    )
    known = before if "foreign" in was else {**before, **after}  # another tool says less
    names = [name for name in known if before.get(name) != after.get(name)]
    names.sort(key=lambda name: (not name.startswith(FIRST), name))
    return tuple(Change(name, before.get(name), after.get(name)) for name in names)


def _pixels(*files: bytes) -> list[NDArray[np.uint8]]:
    """With their transparency, if one of them has any."""
    images = [Image.open(io.BytesIO(data), formats=FORMATS) for data in files]
    mode = "RGBA" if any(image.has_transparency_data for image in images) else "RGB"
    return [np.asarray(image.convert(mode)) for image in images]


def _seen(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """CIE 1994 of the patches that are farthest apart."""
    (light, *colours), (other_light, *others) = _patches(one), _patches(other)
    strong, other_strong = np.hypot(*colours), np.hypot(*others)
    full = strong - other_strong
    turned = sum((a - b) ** 2 for a, b in zip(colours, others, strict=True)) - full**2
    both = np.sqrt(strong * other_strong)  # where colours are strong, the eye is less exact
    colour = (full / (1 + 0.045 * both)) ** 2 + turned.clip(0) / (1 + 0.015 * both) ** 2
    times = COLOUR // LIGHT
    colour = np.repeat(np.repeat(colour, times, 0), times, 1)[: light.shape[0], : light.shape[1]]
    return float(np.sqrt((light - other_light) ** 2 + colour).max())


def _patches(pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    if pixels.shape[-1] == 4:  # as it looks on grey
        solid = pixels[..., 3:] / 255
        pixels = (pixels[..., :3] * solid + 128 * (1 - solid)).round().astype(np.uint8)
    lab, sides = _lab(pixels), (LIGHT, COLOUR, COLOUR)
    return [_averaged(lab[..., axis], side) for axis, side in enumerate(sides)]


def _lab(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    x, y, z = np.moveaxis(_LINEAR[pixels] @ _TO_WHITE, -1, 0)
    x, y, z = (np.where(v > 0.008856, np.cbrt(v), 7.787 * v + 16 / 116) for v in (x, y, z))
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def _averaged(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Over patches of so many pixels a side; at the edge they are filled up with the last ones."""
    rows, columns = (-size % side for size in values.shape)
    whole = np.pad(values, ((0, rows), (0, columns)), mode="edge")
    patches = whole.reshape(whole.shape[0] // side, side, whole.shape[1] // side, side)
    averaged: NDArray[np.float32] = patches.mean((1, 3))
    return averaged


def _marks(recipe: Recipe, seed: int) -> Iterator[tuple[str, object]]:
    request = {name: value for name, value in recipe["request"].items() if name not in BESIDE}
    own = {name: recipe[name] for name in ("together", "blurred") if name in recipe}
    told = {**recipe.get("fingerprint", {}), **own, "seed": seed}
    yield from _flat("", request)
    yield from _flat("", {name: value for name, value in told.items() if name not in BESIDE})


def _flat(before: str, value: object) -> Iterator[tuple[str, object]]:
    """`scheduler_config.beta_end`, `loras.ink.sha256`: one value under each name."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{before}.{name}" if before else name, inner)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for place, inner in enumerate(value):
            name = inner.get("name", place) if isinstance(inner, Mapping) else place
            yield from _flat(f"{before}.{name}", inner)
    else:
        yield before, value


def _spoken(change: Change) -> str:
    if change.field == "together":
        return f"painted {_beside(change.now)}, was {_beside(change.was)}"
    now, was = (_short(value) for value in (change.now, change.was))
    if not now:
        return f"no {change.field}, was {was}"
    return f"{change.field} {now} was {was}" if was else f"{change.field} {now}, before none"


def _beside(together: object) -> str:
    """In one pass with how many others."""
    others = together - 1 if isinstance(together, int) else 0
    return f"beside {counted(others, 'other')}" if others else "alone"


def _short(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:12]}…"
