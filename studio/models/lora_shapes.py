"""How large the change is that a layer of a LoRA makes, by the shapes of its tensors alone.

The forms of LyCORIS and peft stand in docs/decisions/0035. What does not fit together is a
`ValueError` in words, before a tensor is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from studio.models.lora_layers import FULL, LOHA, LORA, MAGNITUDES, Layer

MOST_RANK = 512
FLAT = ("alpha", "diff_b", *MAGNITUDES)  # these pieces are no matrices
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Size:
    """`takes` counts the numbers that one number of the result is made of: of a convolution, at all
    points of its kernel. `kernel` is None where the form does not tell it. `rank` is what alpha is
    divided by; a matrix that is there as a whole has none."""

    gives: int
    takes: int
    kernel: Shape | None = None
    rank: int | None = None


def size_of(layer: Layer, shapes: Mapping[str, Shape]) -> Size:
    """`shapes` by the names of the tensors."""
    own = {piece: shapes[name] for piece, name in layer.pieces.items() if piece not in FLAT}
    bias = shapes[layer.pieces["diff_b"]] if "diff_b" in layer.pieces else None
    if any(len(shape) < 2 for shape in own.values()):
        raise ValueError(f"its layer {layer.place} is no matrix")
    try:
        _same(all(map(prod, (*own.values(), bias or (1,)))), True)  # nothing of it is empty
        size = _measured(layer.form, own) if own else Size(prod(bias or ()), 0)
        _same(bias or (size.gives,), (size.gives,))
    except (IndexError, _Torn):
        raise ValueError(f"the pieces of its layer {layer.place} do not fit together") from None
    if size.rank is not None and size.rank > MOST_RANK:
        raise ValueError(f"its rank is {size.rank}; the most is {MOST_RANK}")
    return size


class _Torn(Exception):
    pass


def _measured(form: str, own: Mapping[str, Shape]) -> Size:
    if form == LORA:
        return _lora(own)
    if form == LOHA:
        first, second = (_halves(own, f"hada_w{n}", f"hada_t{n}") for n in "12")
        _same(first, second)
        return first
    if form == FULL:
        return _factor(own, "diff")
    first, second = _factor(own, "lokr_w1"), _factor(own, "lokr_w2")
    _same(first.kernel or (), ())
    rank = second.rank or first.rank
    gives, takes = first.gives * second.gives, first.takes * second.takes
    return Size(gives, takes, second.kernel, rank)


def _lora(own: Mapping[str, Shape]) -> Size:
    down, up = own["down"], own["up"]
    points, through = _kernel(down), down[0]
    _same(_kernel(up), ())
    if mid := own.get("lora_mid"):
        _same(points, ())
        _same(mid[1], through)
        points, through = _kernel(mid), mid[0]
    _same(up[1], through)
    return Size(up[0], down[1] * prod(points), points, down[0])


def _factor(own: Mapping[str, Shape], name: str) -> Size:
    """Whole, or of two halves."""
    if whole := own.get(name):
        return Size(whole[0], prod(whole[1:]), _kernel(whole))
    return _halves(own, name, "lokr_t2")


def _halves(own: Mapping[str, Shape], name: str, core: str) -> Size:
    """Two halves, or two halves around a core, of which the first lies on its side then."""
    left, right = own[f"{name}_a"], own[f"{name}_b"]
    if name == "lokr_w1" or core not in own:
        _same(left[1], right[0])
        return Size(left[0], prod(right[1:]), None if len(right) == 2 else _kernel(right), right[0])
    _same((left[0], right[0]), own[core][:2])
    _same((len(left), len(right)), (2, 2))
    points = _kernel(own[core])
    return Size(left[1], right[1] * prod(points), points, right[0])


def _kernel(shape: Shape) -> Shape:
    """One of a single point is as good as none."""
    return shape[2:] if prod(shape[2:]) > 1 else ()


def _same(one: object, other: object) -> None:
    if one != other:
        raise _Torn
