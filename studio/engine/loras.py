"""The LoRAs on a loaded pipeline: put on for one picture, kept while the next wants the same.

Each layer of a file is led to its place in the model, and what has none is counted and said. They
lie beside the weights and never in them: taken off, the model is what it was, bit by bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from studio.engine.lora_beside import Beside, Change
from studio.engine.lora_fitting import Fitted, fitted, misfit
from studio.engine.lora_places import Place, Places
from studio.engine.lora_reading import read, scale_of, unfit
from studio.engine.weights import there
from studio.models.hashes import file_hash, tensor_hash
from studio.models.lora_layers import LORA, Layer, kind_of, layers_of
from studio.models.lora_shapes import Size, size_of
from studio.models.loras import GIB, MOST_BYTES
from studio.request import LoraUse

Tensors = Mapping[str, torch.Tensor]
Measured = tuple[Layer, Size, float]  # and how much of it is meant


@dataclass(frozen=True, slots=True)
class Fit:
    """So many of the `layers` of a file have a place. `said` is what a person should know, and
    `stretched` are the places where it is a DoRA."""

    kind: str
    components: frozenset[str]
    fitting: int
    layers: int
    said: tuple[str, ...] = ()
    stretched: frozenset[Place] = frozenset()


class Loras:
    """`title` names the model in sentences; `dtype` is what its layers compute in."""

    def __init__(self, pipeline: Any, title: str, dtype: torch.dtype) -> None:
        self._pipeline = pipeline
        self._title = title
        self._dtype = dtype
        self._worn: list[tuple[str, str]] = []
        self._fits: dict[str, Fit] = {}
        self._places: Places | None = None
        self._beside: dict[nn.Module, Beside] = {}
        self._weights: dict[tuple[int, str], torch.Tensor] = {}  # of each, by component
        # For frozen weights torch takes other kernels: pictures stay what they were.
        for component in getattr(pipeline, "_lora_loadable_modules", ()):
            if (part := getattr(pipeline, component, None)) is not None:
                part.requires_grad_(False)

    def wear(self, uses: Sequence[LoraUse], files: Mapping[str, str]) -> list[str]:
        """From now on the pipeline paints with these and no others. Says which fit only in part."""
        chosen = [use for use in uses if use.counts]
        wanted = [(use.name, file_hash(there(Path(files[use.name])))) for use in chosen]
        if wanted != self._worn:
            if self._worn:
                self._take_off()
            try:
                for number, use in enumerate(chosen):
                    self._fits[use.name] = self._put_on(number, Path(files[use.name]))
            except BaseException:
                self._take_off()
                raise
            self._worn = wanted
        for number, use in enumerate(chosen):
            for component in self._fits[use.name].components:
                weight = use.weight_of(reading=component.startswith("text_"))
                self._weights[number, component].fill_(weight)
        said = [sentence for use in chosen for sentence in self._fits[use.name].said]
        return said + self._meeting(chosen)

    def _meeting(self, chosen: Sequence[LoraUse]) -> list[str]:
        """Two DoRAs on one layer are told: no tool does with them what another does."""
        said = []
        for number, use in enumerate(chosen):
            for other in chosen[:number]:
                shared = self._fits[use.name].stretched & self._fits[other.name].stretched
                if shared:
                    said.append(
                        f"The LoRAs {other.name!r} and {use.name!r} are DoRAs both and meet in "
                        f"{len(shared)} layers: each changes the model as it does alone, and both "
                        "changes are added."
                    )
        return said

    def leave_readers(self) -> None:
        """What reads prompts is to be bare, since another model reads with it too."""
        if any(name.startswith("text_") for fit in self._fits.values() for name in fit.components):
            self._take_off()

    def marks(self, uses: Sequence[LoraUse], files: Mapping[str, str]) -> list[dict[str, Any]]:
        """What the fingerprint of a picture says of its LoRAs, while it wears them."""
        return [
            {
                **use.model_dump(exclude_defaults=True),
                "weight": use.weight,
                **({} if (kind := self._fits[use.name].kind) == LORA else {"kind": kind}),
                "sha256": file_hash(Path(files[use.name])),
                "autov3": tensor_hash(Path(files[use.name]))[:12],
                "layers": self._fits[use.name].layers,
                "fitting": self._fits[use.name].fitting,
            }
            for use in uses
            if use.counts
        ]

    def _take_off(self) -> None:
        self._worn, self._fits = [], {}
        for beside in self._beside.values():
            beside.take_off()
        self._beside, self._weights = {}, {}

    def _put_on(self, number: int, file: Path) -> Fit:
        """All of it, or nothing."""
        tensors, layers = _measured(file)
        found, strays = self._fitted(number, file, tensors, layers)
        fitting = len(layers) - len(strays)
        if not fitting:
            raise unfit(
                file,
                f"does not fit {self._title}: none of its {len(layers)} layers has a place there; "
                f"{strays[0]}",
            )
        for place, change in found.items():
            if not all(torch.isfinite(tensor).all() for tensor in change.tensors()):
                raise unfit(file, f"is spoilt: {place.component}.{place.name} holds no numbers")
        for place, change in found.items():
            self._hang(self._layer(place), change)
        sentence = (
            f"The LoRA {file.stem!r} fits in part: {fitting} of its {len(layers)} layers have a "
            f"place in {self._title}; {strays[0]}."
            if strays
            else ""
        )
        return Fit(
            kind_of(layer for layer, _, _ in layers),
            frozenset(place.component for place in found),
            fitting,
            len(layers),
            (sentence,) if sentence else (),
            frozenset(place for place, change in found.items() if change.stretch),
        )

    def _fitted(
        self, number: int, file: Path, tensors: Tensors, layers: Sequence[Measured]
    ) -> tuple[Fitted, list[str]]:
        """What each of its layers changes where it belongs, and why some belong nowhere."""
        self._places = self._places or Places(self._pipeline)
        found: Fitted = {}
        strays, numbers = [], 0
        card = self._pipeline._execution_device  # asked once: it looks at every module
        for layer, size, scale in layers:
            places = self._places.of(layer)
            if why := misfit(layer, size, places):
                strays.append(why)
                continue
            pieces = {piece: tensors[name].float() for piece, name in layer.pieces.items()}
            here = [self._layer(place) for place in places]
            try:
                one = fitted(layer, places, here, pieces, scale)
            except ValueError as error:
                raise unfit(file, f"cannot be used: {error}") from error
            if found.keys() & one.keys():
                raise unfit(file, f"holds {layer.place} twice")
            found |= {
                place: self._ready(number, place, at, one[place], card)
                for place, at in zip(places, here, strict=True)
            }
            numbers += sum(each.numel() for place in places for each in found[place].tensors())
            if 2 * numbers > MOST_BYTES:
                most = f"more than {MOST_BYTES / GIB:.0f} GiB"
                raise unfit(file, f"cannot be used: unpacked it takes {most}")
        return found, strays

    def _ready(
        self, number: int, place: Place, layer: nn.Module, change: Change, card: torch.device
    ) -> Change:
        """In the format that is computed in, and where its layer computes."""
        weight = self._weights.setdefault((number, place.component), torch.zeros(()))
        where: torch.device = next(layer.parameters()).device
        if where.type in ("cpu", "meta"):  # it may be moved to the card to paint
            where = card
        return change.to(weight, where, self._dtype)

    def _hang(self, layer: nn.Module, change: Change) -> None:
        before = self._beside.pop(layer, None)
        if before:
            before.take_off()
        self._beside[layer] = Beside(layer, [*(before.changes if before else ()), change])

    def _layer(self, place: Place) -> nn.Module:
        part: nn.Module = getattr(self._pipeline, place.component)
        return part.get_submodule(place.name)


def _measured(file: Path) -> tuple[Tensors, list[Measured]]:
    tensors, says = read(file)
    try:
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        sizes = [(layer, size_of(layer, shapes)) for layer in layers_of(tensors)]
        return tensors, [(one, size, scale_of(one, size, tensors, says)) for one, size in sizes]
    except ValueError as error:
        raise unfit(file, f"cannot be used: {error}") from error
