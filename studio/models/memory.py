"""How much memory a model takes, in each number format: whole, in turns, layer by layer.

What a card says of its weights becomes gigabytes here, for the schedule and for the engine's plan
alike. It looks at no machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from studio.models.card import ModelCard
from studio.models.precision import Dtype, Quant
from studio.request import Precision

DENOISERS = ("transformer", "unet", "refiner", "prior", "decoder")
UNKNOWN = {"unet": 0.45, "text_encoder": 0.35, "vae": 0.05}  # where a card names no parts
READING_GB = 1.0  # what a text encoder takes beside its weights
STEP = 0.5  # of what a picture takes; decoding takes all of it
LAYER_GB = 1.7  # one layer: the vocabulary of a language model; or SDXL's encoders, never cut
BITS: dict[Quant, float] = {"fp8": 8 / 16, "int8": 8 / 16, "nf4": 4.5 / 16}  # with their scales
# What of a denoiser keeps its half precision: norms where diffusers stores in fp8, and with them
# the modulation of some families; convolutions where a library knows linear layers alone. Counted
# by `python -m bench memory --count`.
KEPT_FP8 = {"flux": 0.27, "sd3": 0.33, "hunyuan": 0.07, "lumina": 0.13}
KEPT_LINEAR = {"sdxl": 0.13, "sana": 0.47}
KEPT = 0.02
KEPT_ENCODERS = 0.25  # vocabularies, and a third of T5


@dataclass(frozen=True, slots=True)
class Amounts:
    """GB of each component as it lies in memory, and what one picture takes beside them."""

    parts: Mapping[str, float]
    picture: float

    @property
    def weights(self) -> float:
        return sum(self.parts.values())

    @property
    def whole(self) -> float:
        return self.weights + self.picture

    @property
    def turns(self) -> float:
        """Only one component at a time is there, with what it takes at its work."""
        return max(gb + self._work(name) for name, gb in self.parts.items())

    def _work(self, name: str) -> float:
        if name.startswith("text_encoder"):
            return min(READING_GB, self.picture)
        return self.picture * (STEP if name in DENOISERS else 1.0)

    @property
    def layers(self) -> float:
        """Only one layer at a time is there."""
        return min(LAYER_GB, self.weights) + self.picture


def amounts(
    card: ModelCard, dtype: Dtype = "bf16", quant: Quant = "none", *, encoders: bool = False
) -> Amounts:
    """`quant` is how the denoiser's weights are stored; with `encoders` the text encoders' too."""
    known = card.weights or {name: card.memory_gb * share for name, share in UNKNOWN.items()}
    wide = 2.0 if dtype == "fp32" else 1.0
    kept = KEPT_FP8 if quant == "fp8" else KEPT_LINEAR
    stays = dict.fromkeys(DENOISERS, kept.get(card.family, KEPT))
    if encoders:
        stays |= {name: KEPT_ENCODERS for name in known if name.startswith("text_encoder")}
    parts = {name: gb * wide for name, gb in known.items()}
    if quant in BITS:
        parts |= {
            name: gb * (wide * stays[name] + BITS[quant] * (1 - stays[name]))
            for name, gb in known.items()
            if name in stays
        }
    return Amounts(parts, (card.memory_gb - sum(known.values())) * wide)


def picture_gb(card: ModelCard, dtype: Dtype, pixels: int) -> float:
    """What one of so many pixels takes beside the weights, most of it while it is decoded."""
    return amounts(card, dtype).picture * max(1.0, pixels / card.usual_pixels)


def tiles(card: ModelCard) -> bool:
    """Whether its pixels can be made piece by piece, as a VAE of diffusers does."""
    return not card.weights or "vae" in card.weights


def needed_gb(card: ModelCard, precision: Precision) -> float:
    """All of it and one picture, where a person or a setting wants this precision."""
    if card.stored != "none":
        return card.memory_gb
    match precision:
        case "fp32":
            return amounts(card, "fp32").whole
        case "fp8" | "int8" | "nf4":
            return amounts(card, quant=precision).whole
    return card.memory_gb
