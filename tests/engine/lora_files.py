"""Changes of weights in every form that LoRAs are written in, each with its own arithmetic.

How a weight is changed is computed here number by number or block by block, from what the trainers'
own code does, and with nothing of the engine.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
Shape = tuple[int, ...]
RANK = 3


@dataclass(frozen=True)
class Written:
    """The pieces of a layer as they stand in a file, and what the file makes of its weight."""

    pieces: Tensors
    changed: Callable[[Tensor], Tensor]


Pair = tuple[Tensors, Callable[[Tensors], Tensor]]
Form = Callable[[Shape, torch.Generator], Pair]


def write(form: str, shape: Shape, seed: int = 0, dtype: torch.dtype = torch.float32) -> Written:
    """`form` is a name of FORMS, with " rows" or " columns" behind it where it is a DoRA."""
    name, _, axis = form.partition("+")
    dice = torch.Generator().manual_seed(seed)
    pieces, change = FORMS[name](shape, dice)
    pieces = {piece: (tensor * 0.3 if tensor.ndim else tensor) for piece, tensor in pieces.items()}
    if axis:
        pieces |= _magnitudes(axis, shape, dice)
    pieces = {piece: tensor.to(dtype) for piece, tensor in pieces.items()}
    told = {piece: tensor.float() for piece, tensor in pieces.items()}

    def changed(weight: Tensor) -> Tensor:
        whole = weight + change(told).reshape(weight.shape)
        return _stretched(whole, axis, told) if axis else whole

    return Written(pieces, changed)


def _magnitudes(axis: str, shape: Shape, dice: torch.Generator) -> Tensors:
    gives, takes, *points = shape
    ones = [1] * len(points)
    if axis == "rows":
        return {"dora_scale": torch.rand(gives, 1, *ones, generator=dice) + 0.5}
    if axis == "columns":
        return {"dora_scale": torch.rand(1, takes, *ones, generator=dice) + 0.5}
    sides = (1, gives, *ones) if points else (gives,)
    return {"lora_magnitude_vector": torch.rand(*sides, generator=dice) + 0.5}


def _stretched(whole: Tensor, axis: str, told: Tensors) -> Tensor:
    made = whole.clone()
    if axis == "columns":
        for number, length in enumerate(told["dora_scale"].flatten()):
            made[:, number] *= length / whole[:, number].square().sum().sqrt()
        return made
    piece = "dora_scale" if axis == "rows" else "lora_magnitude_vector"
    for number, length in enumerate(told[piece].flatten()):
        made[number] *= length / whole[number].square().sum().sqrt()
    return made


def _random(dice: torch.Generator, *shapes: Shape) -> list[Tensor]:
    return [torch.randn(*shape, generator=dice) for shape in shapes]


def _lora(shape: Shape, dice: torch.Generator) -> Pair:
    gives, *rest = shape
    down, up = _random(dice, (RANK, *rest), (gives, RANK, *[1] * (len(rest) - 1)))
    pieces = {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(RANK / 2.0)}

    def change(own: Tensors) -> Tensor:
        ups, downs = own["lora_up.weight"].flatten(1), own["lora_down.weight"]
        return sum(torch.outer(ups[:, r], downs[r].flatten()) for r in range(RANK)) * 0.5

    return pieces, change


def _without_alpha(shape: Shape, dice: torch.Generator) -> Pair:
    pieces, change = _loha(shape, dice)
    del pieces["alpha"]
    return pieces, lambda own: change(own) * RANK / 2.0


def _locon(shape: Shape, dice: torch.Generator) -> Pair:
    """With a Tucker core."""
    gives, takes, *points = shape
    ones = [1] * len(points)
    down, core, up = _random(
        dice, (RANK, takes, *ones), (RANK + 1, RANK, *points), (gives, RANK + 1, *ones)
    )
    pieces = {"lora_down.weight": down, "lora_mid.weight": core, "lora_up.weight": up}
    pieces["alpha"] = torch.tensor(1.5)
    return (
        pieces,
        lambda own: (
            0.5
            * _tucker(
                own["lora_mid.weight"],
                own["lora_up.weight"].flatten(1).T,
                own["lora_down.weight"].flatten(1),
            )
        ),
    )


def _tucker(core: Tensor, lefts: Tensor, rights: Tensor) -> Tensor:
    made = torch.zeros(lefts.shape[1], rights.shape[1], *core.shape[2:])
    for i, left in enumerate(lefts):
        for j, right in enumerate(rights):
            made += (
                torch.outer(left, right).reshape(*made.shape[:2], *[1] * (core.ndim - 2))
                * core[i, j]
            )
    return made


def _loha(shape: Shape, dice: torch.Generator) -> Pair:
    gives, *rest = shape
    takes = torch.Size(rest).numel()
    names = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
    sides = [(gives, RANK), (RANK, takes)] * 2
    pieces = dict(zip(names, _random(dice, *sides), strict=True)) | {"alpha": torch.tensor(2.0)}

    def change(own: Tensors) -> Tensor:
        a, b, c, d = (own[name] for name in names)
        made = torch.zeros(gives, takes)
        for i in range(RANK):
            for j in range(RANK):
                made += torch.outer(a[:, i] * c[:, j], b[i] * d[j])
        return made * 2.0 / RANK

    return pieces, change


def _loha_tucker(shape: Shape, dice: torch.Generator) -> Pair:
    gives, takes, *points = shape
    pieces: Tensors = {"alpha": torch.tensor(2.0)}
    for number in "12":
        core, left, right = _random(dice, (RANK, RANK, *points), (RANK, gives), (RANK, takes))
        pieces |= {f"hada_t{number}": core, f"hada_w{number}_a": left, f"hada_w{number}_b": right}

    def change(own: Tensors) -> Tensor:
        one, other = (
            _tucker(own[f"hada_t{n}"], own[f"hada_w{n}_a"], own[f"hada_w{n}_b"]) for n in "12"
        )
        return one * other * 2.0 / RANK

    return pieces, change


def _lokr(first: bool, second: str) -> Callable[[Shape, torch.Generator], Pair]:
    """`first`: the small one is of two halves; so is the large one by `second`, or with a core."""

    def written(shape: Shape, dice: torch.Generator) -> Pair:
        gives, takes, *points = shape
        a, c = 4, 2
        b, d = gives // a, takes // c
        pieces: Tensors = {"alpha": torch.tensor(6.0)}
        names = [("lokr_w1", (a, c))]
        if first:
            names = [("lokr_w1_a", (a, RANK)), ("lokr_w1_b", (RANK, c))]
        if second == "whole":
            names += [("lokr_w2", (b, d, *points))]
        elif second == "halves":
            flat = d * torch.Size(points).numel()
            names += [("lokr_w2_a", (b, RANK)), ("lokr_w2_b", (RANK, flat))]
        else:
            names += [("lokr_t2", (RANK, RANK, *points))]
            names += [("lokr_w2_a", (RANK, b)), ("lokr_w2_b", (RANK, d))]
        pieces |= {name: torch.randn(*sides, generator=dice) for name, sides in names}

        def change(own: Tensors) -> Tensor:
            small = own["lokr_w1_a"] @ own["lokr_w1_b"] if first else own["lokr_w1"]
            if second == "whole":
                large = own["lokr_w2"]
            elif second == "halves":
                large = own["lokr_w2_a"] @ own["lokr_w2_b"]
            else:
                large = _tucker(own["lokr_t2"], own["lokr_w2_a"], own["lokr_w2_b"])
            large = large.reshape(b, d, *points)
            made = torch.zeros(shape)
            for i in range(a):
                for j in range(c):
                    made[i * b : (i + 1) * b, j * d : (j + 1) * d] = small[i, j] * large
            # A LoKr of two wholes is meant as it is, whatever its alpha says.
            return made * (6.0 / RANK if first or second != "whole" else 1.0)

        return pieces, change

    return written


def _whole(shape: Shape, dice: torch.Generator) -> Pair:
    return {"diff": torch.randn(*shape, generator=dice)}, lambda own: own["diff"]


FORMS: dict[str, Form] = {
    "lora": _lora,
    "locon": _locon,
    "loha": _loha,
    "loha without alpha": _without_alpha,
    "loha tucker": _loha_tucker,
    "lokr": _lokr(False, "whole"),
    "lokr of halves": _lokr(True, "halves"),
    "lokr small of halves": _lokr(True, "whole"),
    "lokr large of halves": _lokr(False, "halves"),
    "lokr tucker": _lokr(False, "tucker"),
    "whole": _whole,
}
TUCKER = ("locon", "loha tucker", "lokr tucker")  # of convolutions alone
