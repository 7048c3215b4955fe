"""Which family paints a folder of diffusers, by its index and the names of its files.

And whose card its own is made from: the nearest of the same family.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from studio.models.card import ModelCard

INDEX = "model_index.json"
TRANSFORMER = "transformer/config.json"
WEIGHTS = ".safetensors"
VARIANTS = ("fp16", "bf16", "non_ema")
HALVES = VARIANTS[:2]  # half the size, and painted in half precision anyway
NO_NETWORK = ("Tokenizer", "TokenizerFast", "Scheduler", "Processor", "Extractor")
FAMILIES = {
    "StableDiffusionXLPipeline": "sdxl",
    "FluxPipeline": "flux",
    "Flux2KleinPipeline": "flux2",
    "Flux2KleinKVPipeline": "flux2",
    "ChromaPipeline": "chroma",
    "QwenImagePipeline": "qwen",
    "ZImagePipeline": "zimage",
    "PixArtSigmaPipeline": "pixart",
    "SanaPipeline": "sana",
    "HunyuanDiTPipeline": "hunyuan",
    "LuminaPipeline": "lumina",
    "LuminaText2ImgPipeline": "lumina",  # its name before
    "StableDiffusion3Pipeline": "sd3",
    "StableCascadeDecoderPipeline": "cascade",
}


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`variant` is the one of its files that is loaded; `gb` are those files."""

    family: str
    variant: str | None
    gb: float


def read_pipeline(index: Mapping[str, Any], files: Mapping[str, int]) -> Pipeline:
    """`files` are its files with their bytes. `ValueError` says why it cannot be painted with."""
    kind = index.get("_class_name")
    if not isinstance(kind, str) or kind not in FAMILIES:
        known = ", ".join(name for name in FAMILIES if name != "LuminaText2ImgPipeline")
        raise ValueError(f"it is a {str(kind)[:60]}; this studio paints with {known}")
    parts = networks(index)
    if not parts:
        raise ValueError(f"its {INDEX} names no network")
    variant = next((v for v in HALVES if all(weights(files, part, v) for part in parts)), None)
    loaded = {part: weights(files, part, variant) for part in parts}
    if empty := [part for part, names in loaded.items() if not names]:
        raise ValueError(f"its {empty[0]} has no safetensors, and pickled weights are never loaded")
    gb = sum(files[name] for names in loaded.values() for name in names) / 1e9
    return Pipeline(FAMILIES[kind], variant, gb)


def networks(index: Mapping[str, Any]) -> list[str]:
    """The components that have weights."""
    return [
        name
        for name, kind in index.items()
        if isinstance(kind, list)
        and kind
        and all(isinstance(word, str) for word in kind)
        and not kind[-1].endswith(NO_NETWORK)
    ]


def weights(files: Iterable[str], part: str, variant: str | None) -> list[str]:
    """Its files of a component: those of the variant, or those of none."""
    found = []
    for name in files:
        path = PurePosixPath(name)
        if str(path.parent) == part and path.suffix == WEIGHTS:
            marks = {mark for mark in VARIANTS if f".{mark}" in path.name}
            if marks == ({variant} if variant else set()):
                found.append(name)
    return found


def nearest(
    pipeline: Pipeline,
    transformer: Mapping[str, Any],
    presets: Sequence[ModelCard],
    declared: Collection[str] = (),
) -> ModelCard:
    """Whose sizes, samplers, steps and guidance suit it: the model that it was made from as its
    page declares, else one that takes guidance alike and is about as large."""
    family = [card for card in presets if card.family == pipeline.family and not card.parts]
    if not family:
        raise ValueError(f"the presets have no card of the family {pipeline.family}")
    guided = transformer.get("guidance_embeds")

    def distance(card: ModelCard) -> tuple[bool, bool, float, bool, bool]:
        return (
            card.repo not in declared,
            guided is not None and guided != ("guidance" in card.can),
            abs(card.memory_gb - pipeline.gb),
            not card.architecture or card.architecture != card.lora_base,  # distilled, or tuned
            not card.architecture,
        )

    return min(family, key=distance)
