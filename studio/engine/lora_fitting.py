"""A layer of a LoRA in its places in the model: whether it fits there, and what it changes."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from studio.engine.lora_beside import Change, Stretch
from studio.engine.lora_forms import Form, Pieces, form_of, halved, turn
from studio.engine.lora_places import Place, turned
from studio.engine.quantise import as_numbers
from studio.models.lora_layers import PEFTS, Layer
from studio.models.lora_shapes import Size

TINY = 1e-12  # of a row without any length


Fitted = dict[Place, Change]


def misfit(layer: Layer, size: Size, places: Sequence[Place]) -> str:
    """Why it has no place, in words; empty if it has one."""
    if not places:
        return f"{layer.place} is none of its layers"
    first, gives = places[0], sum(place.gives for place in places)
    points = first.points if size.kernel is None else size.kernel
    takes = first.takes if not size.takes else size.takes / prod(points)
    if (takes, size.gives) != (first.takes, gives):
        return (
            f"{layer.place} there is {first.takes} wide and {gives} high, here {takes:g} "
            f"and {size.gives}"
        )
    if size.takes and points != first.points:
        return f"{layer.place} there looks at another number of points"
    if first.groups > 1:
        return f"{layer.place} keeps its channels apart there"
    return ""


def fitted(
    layer: Layer, places: Sequence[Place], layers: Sequence[nn.Module], pieces: Pieces, scale: float
) -> Fitted:
    """`layers` are those of the model; `pieces` by what they are, all in full width."""
    form, bias = None, pieces.get("diff_b")
    if set(pieces) != {"diff_b"}:
        form = form_of(layer.form, pieces, scale)
    if turned(layer, places[0]):
        form, bias = form and turn(form), None if bias is None else halved(bias)
    biases: list[Tensor | None] = [None] * len(places)
    by, by_rows = None, False
    if form and layer.magnitude:
        numbers = [as_numbers(one) for one in layers]
        biases = [bias for _, bias in numbers]
        whole = torch.cat([weight.flatten(1) for weight, _ in numbers])
        by, by_rows = _stretching(layer, places[0], whole, form, pieces)
    found: Fitted = {}
    first = 0
    for place, own in zip(places, biases, strict=True):
        last, stretch = first + place.gives, None
        if by is not None:
            stretch = _stretch(by[first:last] if by_rows else by, own, place, of_rows=by_rows)
        found[place] = Change(
            torch.zeros(()),
            form.rows(first, last) if form else None,
            stretch,
            None if bias is None else _shaped(bias[first:last], place),
        )
        first = last
    return found


def _stretching(
    layer: Layer, place: Place, whole: Tensor, form: Form, pieces: Pieces
) -> tuple[Tensor, bool]:
    """By how much the DoRA stretches, and whether it is rows or columns. By peft's name it is
    always rows; by LyCORIS' it is what there are so many of, on the side where they are many."""
    change = form.matrix().to(whole.device)
    if whole.shape != change.shape:
        raise ValueError("a DoRA cannot be measured against weights that are stored like these")
    name = PEFTS if PEFTS in pieces else "dora_scale"
    magnitude = pieces[name].to(whole.device)
    gives, many = len(whole), magnitude.numel()
    by_rows = many == gives and (name == PEFTS or len(magnitude) == gives)
    if not by_rows and (name == PEFTS or many != place.takes):
        raise ValueError(f"the {many} lengths of its layer {layer.place} are of another layer")
    if by_rows and turned(layer, place):
        magnitude = halved(magnitude.flatten())
    changed = (whole + change).reshape(gives, place.takes, -1)
    length = changed.norm(dim=(1, 2)) if by_rows else changed.norm(dim=(0, 2))
    return magnitude.flatten() / length.clamp_min(TINY), by_rows


def _stretch(by: Tensor, bias: Tensor | None, place: Place, *, of_rows: bool) -> Stretch:
    still = by.new_zeros(len(by)) if bias is None or not of_rows else (by - 1) * bias
    return Stretch(
        _shaped(by, place), _shaped(by - 1, place), _shaped(still, place) if of_rows else None
    )


def _shaped(numbers: Tensor, place: Place) -> Tensor:
    """One for each channel of a picture, or for each number of a row."""
    return numbers.reshape(-1, *(1,) * len(place.kernel))
