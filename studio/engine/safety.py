"""Looks at finished pictures with a classifier, and hides those that are not safe.

It stays on the CPU in fp32: there it takes nothing from the card, and says the same everywhere.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError
from transformers import AutoModelForImageClassification
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from studio.engine.failures import PaintError
from studio.engine.weights import LOCAL
from studio.models.hashes import file_hash
from studio.models.safety import Safety

HIDDEN = 16  # pixels of the longer side: all that is left of a picture


@dataclass(frozen=True, slots=True)
class Finding:
    """What there is to say against a picture."""

    score: float
    words: str
    withhold: bool


class Checker:
    """`marks` is what the fingerprint of a picture says of it."""

    def __init__(self, safety: Safety) -> None:
        self._safety = safety
        folder = Path(safety.folder)
        try:
            # The one of Pillow: the other needs torchvision.
            self._processor = ViTImageProcessorPil.from_pretrained(folder, local_files_only=True)
            self._network = AutoModelForImageClassification.from_pretrained(folder, **LOCAL).eval()
            self.marks = {
                "safety": safety.mode,
                "checker": safety.title,
                "checker_hash": file_hash(folder / "model.safetensors"),
            }
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            why = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise PaintError(
                "model_invalid", f"safety: {safety.title} in {folder} cannot be loaded: {why}"
            ) from error
        labels = self._network.config.id2label
        self._unsafe = [place for place, label in labels.items() if label in safety.unsafe]
        if {labels[place] for place in self._unsafe} != set(safety.unsafe):
            raise PaintError(
                "model_invalid",
                f"safety: {safety.title} has the labels {', '.join(labels.values())}; its card "
                f"calls unsafe {', '.join(safety.unsafe)}.",
            )

    @torch.inference_mode()
    def score(self, image: Image.Image) -> float:
        """How unsafe it is, from 0 to 1."""
        pixels = self._processor(image, return_tensors="pt")["pixel_values"]
        return float(self._network(pixels).logits[0].softmax(0)[self._unsafe].sum())

    def look(self, image: Image.Image) -> Finding | None:
        """None where there is nothing to say against it."""
        score, limit = self.score(image), self._safety.limit
        if score < limit:
            return None
        words = f"{self._safety.title} takes it for unsafe ({score:.2f}; the limit is {limit:g})."
        return Finding(round(score, 4), words, self._safety.mode == "refuse")


def blurred(image: Image.Image) -> Image.Image:
    """Of the same size, with nothing left in it but where it was light and dark."""
    small = image.copy()
    small.thumbnail((HIDDEN, HIDDEN), Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.BICUBIC)
