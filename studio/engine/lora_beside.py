"""What LoRAs add, beside the layers of a model and not in them.

Hooks of torch on each layer: the weights stay as they are, in whatever format they lie, and once
the hooks are gone nothing is left. Each LoRA is measured against the model alone, whatever else is
worn: what they change is added, each times its weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from studio.engine.lora_forms import Form


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """What a DoRA does to the changed weights: `by` how much each row is as long, or each column;
    `more` is that less one, and `still` what of it the bias of the layer would take, and does not.
    """

    by: Tensor
    more: Tensor
    still: Tensor | None = None

    @property
    def of_rows(self) -> bool:
        return self.still is not None

    def to(self, device: torch.device, dtype: torch.dtype) -> "Stretch":
        still = None if self.still is None else self.still.to(device, dtype)
        return Stretch(self.by.to(device, dtype), self.more.to(device, dtype), still)


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """Of one LoRA in one layer; its weight is a tensor, so that another one is no other program."""

    weight: Tensor
    form: Form | None = None
    stretch: Stretch | None = None
    bias: Tensor | None = None

    def to(self, weight: Tensor, device: torch.device, dtype: torch.dtype) -> "Change":
        return Change(
            weight,
            self.form and self.form.each(lambda tensor: tensor.to(device, dtype)),
            self.stretch and self.stretch.to(device, dtype),
            None if self.bias is None else self.bias.to(device, dtype),
        )

    def tensors(self) -> list[Tensor]:
        found = [self.bias, *(self.form.tensors() if self.form else ())]
        if self.stretch:
            found += [self.stretch.by, self.stretch.more, self.stretch.still]
        return [tensor for tensor in found if tensor is not None]

    def added(self, x: Tensor, layer: nn.Module, made: Tensor) -> list[Tensor]:
        """To what the layer made of `x`."""
        found, stretch = [], self.stretch
        if self.form is not None:
            by = None if stretch is None else stretch.by
            rows = stretch is not None and stretch.of_rows
            given = x.to(by.dtype) * by if by is not None and not rows else x
            grown = self.form.adds(given, layer)
            found.append(grown * by if by is not None and rows else grown)
        if stretch is not None and stretch.still is not None:
            found.append(made * stretch.more - stretch.still)
        if self.bias is not None:
            found.append(self.bias)
        return found


class Beside:
    """The changes of one layer, from now on and until they are taken off."""

    def __init__(self, layer: nn.Module, changes: Sequence[Change]) -> None:
        self.changes = changes
        self._came: Tensor | None = None
        self._columns = [
            (each.weight, each.stretch.more)
            for each in changes
            if each.stretch and not each.stretch.of_rows
        ]
        self._hooks = [layer.register_forward_hook(self._after)]
        if self._columns:
            self._hooks.append(layer.register_forward_pre_hook(self._before))

    def take_off(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def _before(self, layer: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        x, *more = given
        self._came = x
        stretched = x
        for weight, by in self._columns:
            stretched = stretched + weight * (x * by)
        return (stretched, *more)

    def _after(self, layer: nn.Module, given: tuple[Any, ...], made: Tensor) -> Tensor:
        x = given[0] if self._came is None else self._came
        changed, self._came = made, None
        for change in self.changes:
            for part in change.added(x, layer, made):
                changed = changed + change.weight * part
        return changed.to(made.dtype)
