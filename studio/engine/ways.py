"""The ways to place a model in memory, the best first, each with what it takes.

What leaves the picture as it is comes first, but for what published times forbid: to take turns
costs a transformer twice its time, and to store it in fp8 a tenth; with a UNet it is the other way
about (docs/decisions/0017).
"""

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from typing import Literal

from studio.models.card import ModelCard
from studio.models.memory import Amounts, amounts
from studio.models.precision import Dtype, Quant
from studio.request import Precision

Offload = Literal["none", "model", "sequential"]

TURNS: dict[Offload, str] = {
    "none": "it stays on the card",
    "model": "its parts take turns on the card",
    "sequential": "it moves to the card layer by layer, which is slow",
}
WORDS: dict[Quant, str] = {
    "fp8": "its weights are stored in fp8",
    "int8": "its weights are stored in int8",
    "nf4": "its weights are stored in nf4",
    "gguf": "its weights are what the GGUF has",
    "svdq": "its weights have four bits, as SVDQuant made them",
}


@dataclass(frozen=True, slots=True)
class Way:
    """`gb` is what it takes in all, `part_gb` what of that must lie on one card, `host_gb` what
    rests in the machine's own memory meanwhile."""

    gb: float
    part_gb: float
    offload: Offload = "none"
    quant: Quant = "none"
    encoders: bool = False  # the text encoders are stored like the denoiser
    spread: bool = False
    host_gb: float = 0.0

    @property
    def plain(self) -> bool:
        """As its makers would have it: all of it in one place, every weight as it is."""
        return self.offload == "none" and self.quant == "none" and not self.spread

    @property
    def stored(self) -> str:
        return WORDS.get(self.quant, "") + (", the text encoders' too" * self.encoders)

    @property
    def words(self) -> str:
        return "; ".join(filter(None, [self.stored, TURNS[self.offload]]))


def ways(
    card: ModelCard, dtype: Dtype, precision: Precision, installed: Set[str], *, fast_fp8: bool
) -> Iterator[Way]:
    """On a card of NVIDIA's. `fast_fp8`: its chip turns fp8 into other numbers by itself."""
    exact = amounts(card, dtype)
    if card.stored != "none":
        yield _whole(exact, card.stored)
        yield _turns(exact, card.stored)
        return
    if precision in ("fp8", "int8", "nf4"):
        yield from _quantised(card, dtype, precision, _whole)
        yield from _quantised(card, dtype, precision, _turns)
        return
    yield _whole(exact)
    if not any(part.share for part in card.parts.values()):  # the index, which says where, lacks it
        yield Way(exact.whole, exact.turns, spread=True)
    if precision == "auto" and fast_fp8 and "transformer" in exact.parts:
        yield from _quantised(card, dtype, "fp8", _whole)
    yield _turns(exact)
    if precision == "auto":
        yield from _quantised(card, dtype, "fp8", _whole)
        yield from _quantised(card, dtype, "fp8", _turns)
        if "bitsandbytes" in installed and not card.parts:
            yield from _quantised(card, dtype, "nf4", _whole)
            yield from _quantised(card, dtype, "nf4", _turns)
    yield Way(exact.layers, exact.layers, "sequential", host_gb=exact.weights)


def in_one_place(card: ModelCard, dtype: Dtype, precision: Precision) -> Iterator[Way]:
    """Where there is no second memory to take turns with: on a CPU."""
    if card.stored != "none":
        yield _whole(amounts(card, dtype), card.stored)
    elif precision in ("fp8", "int8"):
        yield from _quantised(card, dtype, precision, _whole)
    else:
        yield _whole(amounts(card, dtype))
        if precision == "auto":
            yield from _quantised(card, dtype, "fp8", _whole)


def _whole(taken: Amounts, quant: Quant = "none", encoders: bool = False) -> Way:
    return Way(taken.whole, taken.whole, quant=quant, encoders=encoders)


def _turns(taken: Amounts, quant: Quant = "none", encoders: bool = False) -> Way:
    return Way(taken.turns, taken.turns, "model", quant, encoders, host_gb=taken.weights)


def _quantised(
    card: ModelCard, dtype: Dtype, quant: Quant, way: Callable[[Amounts, Quant, bool], Way]
) -> Iterator[Way]:
    """First the denoiser alone: its weights bear it better than words do."""
    for encoders in (False, True):
        yield way(amounts(card, dtype, quant, encoders=encoders), quant, encoders)
