"""The LoRAs on a loaded pipeline: put on for one picture, kept while the next wants the same.

Each layer of a file is led to its place in the model, and what has none is counted and said. They
lie beside the weights and never in them: taken off, the model is what it was, bit by bit.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from studio.engine.failures import PaintError, is_the_devices
from studio.engine.lora_places import Place, Places, turned
from studio.engine.quantise import in_full_width
from studio.engine.weights import there
from studio.models.hashes import file_hash, tensor_hash
from studio.models.lora_hub import source_of
from studio.models.lora_layers import Layer, layers_of
from studio.models.loras import MOST_RANK
from studio.request import LoraUse

DIFFUSERS = "lora_adapter_metadata"  # where diffusers keeps how its layers are to be scaled
PEFT = "base_model"  # how the names of a file of peft's begin


@dataclass(frozen=True, slots=True)
class Fit:
    """So many of the `layers` of a file have a place. `said` is what a person should know."""

    components: frozenset[str]
    fitting: int
    layers: int
    said: tuple[str, ...] = ()


class Loras:
    """`title` names the model in sentences; `dtype` is what its layers compute in."""

    def __init__(self, pipeline: Any, title: str, dtype: torch.dtype) -> None:
        self._pipeline = pipeline
        self._title = title
        self._dtype = dtype
        self._worn: list[tuple[str, str]] = []
        self._fits: dict[str, Fit] = {}
        self._places: Places | None = None
        # peft freezes what it touches, and for frozen weights torch takes other kernels: frozen
        # from the start, the model paints after a LoRA what it painted before.
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
                    self._fits[use.name] = self._put_on(_adapter(number), Path(files[use.name]))
            except BaseException:
                self._take_off()
                raise
            self._worn = wanted
        if chosen:
            weights = [
                {
                    component: use.weight_of(reading=component.startswith("text_"))
                    for component in self._fits[use.name].components
                }
                for use in chosen
            ]
            names = [_adapter(number) for number in range(len(chosen))]
            self._pipeline.set_adapters(names, weights)
        return [sentence for use in chosen for sentence in self._fits[use.name].said]

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
        self._pipeline.unload_lora_weights()

    def _put_on(self, adapter: str, file: Path) -> Fit:
        tensors, says = _read(file)
        try:
            layers = layers_of(tensors)
            scales = [_scale(layer, tensors, says) for layer in layers]
        except ValueError as error:
            raise _unfit(file, f"cannot be used: {error}") from error
        self._places = self._places or Places(self._pipeline)
        placed: dict[str, torch.Tensor] = {}
        strays = []
        for layer, scale in zip(layers, scales, strict=True):
            places = self._places.of(layer)
            pair = tensors[layer.down], tensors[layer.up]
            if why := _misfit(layer, places, *pair):
                strays.append(why)
                continue
            fitted = _fitted(layer, places, *pair, scale)
            if placed.keys() & fitted.keys():
                raise _unfit(file, f"holds {layer.place} twice")
            placed |= fitted
        placed = {name: tensor.to(self._dtype) for name, tensor in placed.items()}
        fitting = len(layers) - len(strays)
        if not fitting:
            raise _unfit(
                file,
                f"does not fit {self._title}: none of its {len(layers)} layers has a place there; "
                f"{strays[0]}",
            )
        if spoilt := next((n for n, t in placed.items() if not torch.isfinite(t).all()), ""):
            raise _unfit(file, f"is spoilt: {spoilt} holds no numbers")
        self._load(adapter, file, placed)
        sentence = (
            f"The LoRA {file.stem!r} fits in part: {fitting} of its {len(layers)} layers have a "
            f"place in {self._title}; {strays[0]}."
            if strays
            else ""
        )
        components = frozenset(name.partition(".")[0] for name in placed)
        return Fit(components, fitting, len(layers), (sentence,) if sentence else ())

    def _load(self, adapter: str, file: Path, placed: dict[str, torch.Tensor]) -> None:
        try:
            with warnings.catch_warnings(), in_full_width(self._pipeline):
                warnings.simplefilter("ignore")  # of what has no layers here: that is counted
                self._pipeline.load_lora_weights(placed, adapter_name=adapter)
        except (OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            if is_the_devices(error):
                raise
            why = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise _unfit(file, f"does not fit {self._title}: {why}") from error
        worn = sum(
            adapter in getattr(module, "lora_A", ())
            for component in self._pipeline._lora_loadable_modules
            if (part := getattr(self._pipeline, component, None)) is not None
            for module in part.modules()
        )
        if worn != len(placed) // 2:
            raise _unfit(file, f"was put on {worn} of the {len(placed) // 2} places it has")


def _adapter(number: int) -> str:
    return f"lora{number}"


def _read(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Its tensors, and how diffusers says that they are to be scaled."""
    try:
        with safe_open(file, "pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            says = json.loads((opened.metadata() or {}).get(DIFFUSERS, "{}"))
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise _unfit(file, f"cannot be read: {error}") from error
    if (source := source_of(file)) and source.alpha is not None:
        return tensors, {f"{PEFT}.lora_alpha": source.alpha, f"{PEFT}.use_rslora": source.root}
    return tensors, says if isinstance(says, dict) else {}


def _scale(layer: Layer, tensors: Mapping[str, torch.Tensor], says: Mapping[str, Any]) -> float:
    """How much of the product of its halves is meant: alpha by rank, where there is an alpha."""
    if min(tensors[layer.down].ndim, tensors[layer.up].ndim) < 2:
        raise ValueError(f"its layer {layer.place} is no matrix")
    rank = tensors[layer.down].shape[0]
    if rank > MOST_RANK:
        raise ValueError(f"its rank is {rank}; the most is {MOST_RANK}")
    if layer.alpha:
        return float(tensors[layer.alpha].flatten()[0]) / rank
    component = layer.down.partition(".")[0]
    alpha = says.get(f"{component}.lora_alpha")
    path = layer.down.removeprefix(f"{component}.").partition(".lora_")[0]
    alphas = says.get(f"{component}.alpha_pattern") or {}
    alpha = alphas.get(path, alpha)
    if alpha is None:
        return 1.0
    root = bool(says.get(f"{component}.use_rslora"))
    return float(alpha) / (rank**0.5 if root else rank)


def _misfit(layer: Layer, places: list[Place], down: torch.Tensor, up: torch.Tensor) -> str:
    """Why it has no place, in words; empty if it has one."""
    if not places:
        return f"{layer.place} is none of its layers"
    takes, gives, rank = places[0].takes, sum(place.gives for place in places), down.shape[0]
    if (down.shape[1], up.shape[0], up.shape[1]) != (takes, gives, rank):
        return (
            f"{layer.place} there is {takes} wide and {gives} high, here {down.shape[1]} "
            f"and {up.shape[0]}"
        )
    if _kernel(up) or _kernel(down) != places[0].points:
        return f"{layer.place} there looks at another number of points"
    return ""


def _kernel(half: torch.Tensor) -> tuple[int, ...]:
    """Of a convolution; one of a single point is as good as none."""
    return tuple(half.shape[2:]) if half[0, 0].numel() > 1 else ()


def _fitted(
    layer: Layer, places: list[Place], down: torch.Tensor, up: torch.Tensor, scale: float
) -> dict[str, torch.Tensor]:
    """Both halves as peft names them, the scale in the second."""
    up = up.float().flatten(1) * scale
    if turned(layer, places[0]):
        up = torch.cat(up.chunk(2)[::-1])
    fitted = {}
    for place, part in zip(places, torch.split(up, [place.gives for place in places]), strict=True):
        name, points = f"{place.component}.{place.name}", (1,) * len(place.kernel)
        first = down if place.kernel else down.flatten(1)
        if place.kernel and not _kernel(down):
            first = down.reshape(*down.shape[:2], *points)
        fitted[f"{name}.lora_A.weight"] = first.clone()
        fitted[f"{name}.lora_B.weight"] = part.reshape(*part.shape, *points).contiguous()
    return fitted


def _unfit(file: Path, why: str) -> PaintError:
    return PaintError("model_invalid", f"loras: {file.name} {why}. Take it off, or pick another.")
