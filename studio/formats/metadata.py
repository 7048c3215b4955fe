"""What is written into a picture about itself: A1111 infotext for other tools, our recipe in JSON.

Pure text; where in a PNG, JPEG or WebP it goes is the business of `engine.encode`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from studio.catalog import ModelCard
from studio.enlarging import FAMILY
from studio.errors import Refused
from studio.request import ImageRequest

PARAMETERS = "parameters"  # the PNG keyword that every tool reads
RECIPE = "darkroom"

_SAMPLERS = {
    "euler": ("Euler", None),
    "euler a": ("Euler a", None),
    "dpm++ 2m": ("DPM++ 2M", None),
    "dpm++ 2m karras": ("DPM++ 2M", "Karras"),
    "dpm++ sde": ("DPM++ 2M SDE", None),  # what `engine.samplers` really runs under this name
    "ddim": ("DDIM", None),
    "unipc": ("UniPC", None),
}


def parameters_text(
    request: ImageRequest, card: ModelCard, fingerprint: dict[str, Any], seed: int
) -> str:
    """A1111 infotext of one picture of a settled request."""
    sampler, schedule = _SAMPLERS.get(request.sampler or "", (request.sampler, None))
    painted = {
        "Steps": request.steps,
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": f"{request.guidance:g}",
        "Seed": seed,
    }
    alone = card.family == FAMILY
    rows = {
        **({} if alone else painted),
        "Size": f"{request.width}x{request.height}",
        "Denoising strength": None
        if alone or request.strength is None
        else f"{request.strength:g}",
        "Model hash": str(fingerprint.get("model_hash", ""))[:10] or None,
        "Model": None if alone else card.name,
        "Lora hashes": _lora_hashes(fingerprint.get("loras", ())),
        "Postprocess upscale by": request.upscale if "upscaler" in fingerprint else None,
        "Postprocess upscaler": fingerprint.get("upscaler"),
        "Version": f"Darkroom {fingerprint.get('darkroom', '')}".strip(),
    }
    negative = [f"Negative prompt: {request.negative_prompt}"] if request.negative_prompt else []
    settings = ", ".join(f"{key}: {_quoted(v)}" for key, v in rows.items() if v is not None)
    return "\n".join([request.prompt, *negative, settings])


def _lora_hashes(loras: Sequence[Mapping[str, Any]]) -> str | None:
    return ", ".join(f"{lora['name']}: {lora['autov3']}" for lora in loras) or None


def recipe_text(recipe: dict[str, Any]) -> str:
    """One JSON text for one recipe."""
    return json.dumps(recipe, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def read_recipe(text: str) -> dict[str, Any]:
    try:
        recipe = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("The recipe in this picture is not JSON; it was cut or changed.") from None
    if not isinstance(recipe, dict) or recipe.get("version") != 1:
        raise Refused("The recipe in this picture is not one that this version reads.")
    return recipe


def _quoted(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",:\n") else text
