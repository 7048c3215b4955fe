"""What a layer of a LoRA adds to a layer of the model, in each form it may be written in.

Each is asked what it adds to what its layer makes of `x`, and is unpacked no longer than for that.
All matrices here are flat: the points of a convolution lie in their columns.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear

from studio.models.lora_layers import LOHA, LOKR, LORA

Pieces = Mapping[str, Tensor]
Act = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class LowRank:
    """A plain LoRA: one half looks as its layer does, the other makes of that what it gives."""

    down: Tensor
    up: Tensor

    def matrix(self) -> Tensor:
        return self.up @ self.down.flatten(1)

    def rows(self, first: int, last: int) -> "LowRank":
        return LowRank(self.down, self.up[first:last])

    def each(self, change: Act) -> "LowRank":
        return LowRank(change(self.down), change(self.up))

    def tensors(self) -> list[Tensor | None]:
        return [self.down, self.up]

    def adds(self, x: Tensor, layer: nn.Module) -> Tensor:
        seen = _through(layer, x, self.down)
        if isinstance(layer, nn.Conv2d):
            return conv2d(seen, self.up[:, :, None, None])
        return linear(seen, self.up)


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """A matrix as it is."""

    change: Tensor

    def matrix(self) -> Tensor:
        return self.change

    def rows(self, first: int, last: int) -> "Whole":
        return Whole(self.change[first:last])

    def each(self, change: Act) -> "Whole":
        return Whole(change(self.change))

    def tensors(self) -> list[Tensor | None]:
        return [self.change]

    def adds(self, x: Tensor, layer: nn.Module) -> Tensor:
        return _through(layer, x, self.change)


@dataclass(frozen=True, slots=True, eq=False)
class Hadamard:
    """A LoHa: two products of halves, multiplied number by number."""

    left: Tensor
    right: Tensor
    core: Tensor | None
    second_left: Tensor
    second_right: Tensor
    second_core: Tensor | None

    def matrix(self) -> Tensor:
        first = _product(self.left, self.right, self.core)
        return first * _product(self.second_left, self.second_right, self.second_core)

    def rows(self, first: int, last: int) -> "Hadamard":
        second = self.second_left[first:last], self.second_right, self.second_core
        return Hadamard(self.left[first:last], self.right, self.core, *second)

    def each(self, change: Act) -> "Hadamard":
        def one(core: Tensor | None) -> Tensor | None:
            return None if core is None else change(core)

        left, right = change(self.left), change(self.right)
        second = change(self.second_left), change(self.second_right)
        return Hadamard(left, right, one(self.core), *second, one(self.second_core))

    def tensors(self) -> list[Tensor | None]:
        first = [self.left, self.right, self.core]
        return [*first, self.second_left, self.second_right, self.second_core]

    def adds(self, x: Tensor, layer: nn.Module) -> Tensor:
        return _through(layer, x, self.matrix())


@dataclass(frozen=True, slots=True, eq=False)
class Kronecker:
    """A LoKr: every number of `small` times all of `large`. What it adds is computed from both as
    they are, by about as much work as the larger of the sides of `small` is less than the whole.
    Of the rows of the result those between are meant."""

    small: Tensor
    large: Tensor
    first: int = 0
    last: int | None = None

    def matrix(self) -> Tensor:
        return torch.kron(self.small, self.large.flatten(1))[self.first : self.last]

    def rows(self, first: int, last: int) -> "Kronecker":
        high = len(self.large)
        start, end = first // high, -(-last // high)
        return Kronecker(
            self.small[start:end], self.large, first - start * high, last - start * high
        )

    def each(self, change: Act) -> "Kronecker":
        return Kronecker(change(self.small), change(self.large), self.first, self.last)

    def tensors(self) -> list[Tensor | None]:
        return [self.small, self.large]

    def adds(self, x: Tensor, layer: nn.Module) -> Tensor:
        across = self.small.shape[1]
        if isinstance(layer, nn.Conv2d):
            parted = x.reshape(len(x) * across, -1, *x.shape[2:])
            each = _through(layer, parted, self.large)
            each = each.reshape(len(x), across, *each.shape[1:])
            mixed = torch.einsum("ac,ncbhw->nabhw", self.small, each).flatten(1, 2)
            return mixed[:, self.first : self.last]
        each = linear(x.reshape(*x.shape[:-1], across, -1), self.large.flatten(1))
        return (self.small @ each).flatten(-2)[..., self.first : self.last]


Form = LowRank | Whole | Hadamard | Kronecker


def form_of(form: str, pieces: Pieces, scale: float) -> Form:
    if form == LORA:
        down, core = pieces["down"], pieces.get("lora_mid")
        if core is not None:
            down = torch.einsum("ij...,jr->ir...", core, down.flatten(1))
        return LowRank(down, pieces["up"].flatten(1) * scale)
    if form == LOHA:
        left, right, core = _side(pieces, "1")
        return Hadamard(left * scale, right, core, *_side(pieces, "2"))
    if form == LOKR:
        return Kronecker(_factor(pieces, "lokr_w1") * scale, _factor(pieces, "lokr_w2"))
    return Whole(pieces["diff"].flatten(1))


def turn(form: Form) -> Form:
    """With the halves of its rows the other way round."""
    if isinstance(form, LowRank):
        return LowRank(form.down, halved(form.up))
    return Whole(halved(form.matrix()))


def halved(change: Tensor) -> Tensor:
    return torch.cat(change.chunk(2)[::-1])


def _side(pieces: Pieces, number: str) -> tuple[Tensor, Tensor, Tensor | None]:
    left, right = pieces[f"hada_w{number}_a"], pieces[f"hada_w{number}_b"]
    core = pieces.get(f"hada_t{number}")
    return (left if core is None else left.T), right.flatten(1), core


def _factor(pieces: Pieces, name: str) -> Tensor:
    """Whole, or of two halves; its kernel stays where it is told."""
    if name in pieces:
        whole = pieces[name]
        return whole.flatten(1) if name == "lokr_w1" else whole
    left, right = pieces[f"{name}_a"], pieces[f"{name}_b"]
    core = pieces.get("lokr_t2") if name == "lokr_w2" else None
    return _product(left if core is None else left.T, right.flatten(1), core)


def _product(left: Tensor, right: Tensor, core: Tensor | None) -> Tensor:
    if core is None:
        return left @ right
    return torch.einsum("ij...,pi,jr->pr...", core, left, right).flatten(1)


def _through(layer: nn.Module, x: Tensor, change: Tensor) -> Tensor:
    """As the layer does it, with other weights and without its bias."""
    if isinstance(layer, nn.Conv2d):
        points = change.reshape(len(change), -1, *layer.kernel_size)
        return conv2d(x, points, None, layer.stride, layer.padding, layer.dilation)
    return linear(x, change.flatten(1))
