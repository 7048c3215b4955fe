"""The LoRAs on a loaded pipeline: put on for one picture, kept while the next wants the same.

diffusers' own loader does it, beside the weights and never into them: when they are taken off, the
model is what it was, bit by bit.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from studio.engine.failures import PaintError, is_the_devices
from studio.engine.quantise import in_full_width
from studio.engine.weights import LOCAL, there
from studio.hashes import file_hash
from studio.request import LoraUse

COMPONENTS = ("unet", "transformer", "text_encoder", "text_encoder_2")
# The first half of each layer, as peft, kohya, and older and oldest diffusers name it.
_LAYER = re.compile(r"lora_A\.|lora_down\.|lora\.down\.|lora_linear_layer\.down\.")


class Loras:
    """`title` names the model in sentences."""

    def __init__(self, pipeline: Any, title: str) -> None:
        self._pipeline = pipeline
        self._title = title
        self._worn: list[tuple[str, str]] = []
        self._partial: list[str] = []

    def wear(self, uses: Sequence[LoraUse], files: Mapping[str, str]) -> list[str]:
        """From now on the pipeline paints with these and no others. Says which fit only in part."""
        chosen = [use for use in uses if use.weight != 0]
        wanted = [(use.name, file_hash(there(Path(files[use.name])))) for use in chosen]
        if wanted != self._worn:
            self._take_off()
            try:
                self._partial = [
                    sentence
                    for number, use in enumerate(chosen)
                    for sentence in self._put_on(_adapter(number), Path(files[use.name]))
                ]
            except BaseException:
                self._take_off()
                raise
            self._worn = wanted
        if chosen:
            adapters = [_adapter(number) for number in range(len(chosen))]
            self._pipeline.set_adapters(adapters, [use.weight for use in chosen])
        return self._partial

    def _take_off(self) -> None:
        self._worn, self._partial = [], []
        self._pipeline.unload_lora_weights()

    def _put_on(self, adapter: str, file: Path) -> list[str]:
        names = _checked(file)
        layers = sum(bool(_LAYER.search(name)) for name in names)
        try:
            with warnings.catch_warnings(), in_full_width(self._pipeline):
                warnings.simplefilter("ignore")  # what does not fit is counted below
                self._pipeline.load_lora_weights(
                    file.parent, weight_name=file.name, adapter_name=adapter, **LOCAL
                )
        except (OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            if is_the_devices(error):
                raise
            why = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise _unfit(file, f"does not fit {self._title}: {why}") from error
        fitting = self._count(adapter)
        if not fitting:
            raise _unfit(
                file, f"does not fit {self._title}: none of its {layers} layers has a place"
            )
        sentences = []
        if fitting < layers:
            sentences.append(
                f"The LoRA {file.stem!r} fits in part: {fitting} of its {layers} layers have a "
                f"place in {self._title}."
            )
        if any("dora_scale" in name for name in names):
            sentences.append(
                f"The LoRA {file.stem!r} is a DoRA; it is painted without its magnitudes."
            )
        return sentences

    def _count(self, adapter: str) -> int:
        modules = (
            module
            for component in COMPONENTS
            if (part := getattr(self._pipeline, component, None)) is not None
            for module in part.modules()
        )
        return sum(
            adapter in getattr(module, half, ())
            for module in modules
            for half in ("lora_A", "lora_embedding_A")
        )


def marks(uses: Sequence[LoraUse], files: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the fingerprint of a picture says of its LoRAs."""
    return [
        {"name": use.name, "weight": use.weight, "sha256": file_hash(Path(files[use.name]))}
        for use in uses
        if use.weight != 0
    ]


def _adapter(number: int) -> str:
    return f"lora{number}"


def _checked(file: Path) -> list[str]:
    """The names of its tensors, all of which hold numbers."""
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise _unfit(file, f"cannot be read: {error}") from error
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise _unfit(file, f"is spoilt: {name} holds no numbers")
    return list(tensors)


def _unfit(file: Path, why: str) -> PaintError:
    return PaintError("model_invalid", f"loras: {file.name} {why}. Take it off, or pick another.")
