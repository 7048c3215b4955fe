"""What other tools are told about a picture: A1111's text, of a settled request and its card."""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from studio.formats.foreign.samplers import WRITTEN
from studio.models.card import ModelCard
from studio.models.enlarge import FAMILY
from studio.request import ImageRequest, LoraUse

SHORT = 10  # hexadecimal digits of AutoV2, by which Civitai knows a file
Marks = Mapping[str, Any]


def parameters_text(request: ImageRequest, card: ModelCard, fingerprint: Marks, seed: int) -> str:
    """A1111 infotext of one picture of a settled request."""
    alone = card.family == FAMILY
    rows = {
        **({} if alone else _painted(request, card, seed)),
        "Size": f"{request.width}x{request.height}",
        "Denoising strength": None
        if alone or request.strength is None
        else _number(request.strength),
        "Model hash": str(fingerprint.get("model_hash", ""))[:SHORT] or None,
        "Model": None if alone else _model(card),
        "Lora hashes": _lora_hashes(fingerprint),
        "RNG": None if alone else "CPU",
        "Postprocess upscale by": request.upscale if "upscaler" in fingerprint else None,
        "Postprocess upscaler": fingerprint.get("upscaler"),
        "Version": f"Darkroom {fingerprint.get('darkroom', '')}".strip(),
    }
    negative = [f"Negative prompt: {request.negative_prompt}"] if request.negative_prompt else []
    settings = ", ".join(f"{key}: {_quoted(v)}" for key, v in rows.items() if v is not None)
    words = request.prompt + "".join(f" {tag}" for tag in _tags(request))
    return "\n".join([words, *negative, settings + _hashes(card, fingerprint)])


def _painted(request: ImageRequest, card: ModelCard, seed: int) -> dict[str, object]:
    sampler, schedule = WRITTEN.get(request.sampler or "", (request.sampler, None))
    guidance = None if request.guidance is None else _number(request.guidance)
    distilled = "guidance" in card.can and "negative" not in card.can  # a number, no second pass
    return {
        "Steps": request.steps,
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": 1 if distilled else guidance,
        "Distilled CFG Scale": guidance if distilled else None,
        "Seed": seed,
    }


def _model(card: ModelCard) -> str:
    """A checkpoint in one file goes by the name of that file, as it does elsewhere."""
    if card.beside and card.parts:
        return PurePath(next(iter(card.parts.values())).file).stem
    return card.name


def _tags(request: ImageRequest) -> Iterator[str]:
    """LoRAs as A1111 asks for them, at the end of the prompt."""
    for use in request.loras:
        if not set("<>:") & set(use.name):
            yield f"<lora:{use.name}:{_weights(use)}>"


def _weights(use: LoraUse) -> str:
    reading, painting = (_weight(use.weight_of(reading=reading)) for reading in (True, False))
    return painting if reading == painting else f"{reading}:{painting}"


def _lora_hashes(fingerprint: Marks) -> str | None:
    loras = fingerprint.get("loras", ())
    return ", ".join(f"{lora['name']}: {lora['autov3']}" for lora in loras) or None


def _hashes(card: ModelCard, fingerprint: Marks) -> str:
    """Of whole files, in JSON and last, where Civitai looks for them."""
    found = {"model": str(fingerprint["model_hash"])} if card.beside and fingerprint else {}
    found |= {f"lora:{one['name']}": one["sha256"] for one in fingerprint.get("loras", ())}
    short = {name: whole[:SHORT] for name, whole in found.items()}
    return f", Hashes: {json.dumps(short, ensure_ascii=False)}" if short else ""


def _number(number: float) -> str:
    """To the last digit, the short way where that is the same."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def _weight(number: float) -> str:
    """In a tag a number has no exponent."""
    return f"{number:.8f}".rstrip("0").rstrip(".")


def _quoted(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",:\n") else text
