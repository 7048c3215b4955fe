"""InvokeAI: its JSON of today, `sd-metadata` of version 2, and the line of commands before that."""

import re

from studio.formats.foreign.notes import (
    Named,
    Notes,
    Reading,
    Values,
    hash_of,
    list_of,
    mapping_of,
    number_of,
    stem_of,
    text_of,
    told,
    whole_of,
)
from studio.formats.foreign.weighting import compel, plain, translated

TOOL = "InvokeAI"
# Kinds of model whose words go through compel; the others read them as they stand.
WEIGHED = ("sd-1", "sd-2", "sdxl", "")
SILENT = {
    *("app_version", "rand_device", "generation_mode", "canvas_v2_metadata", "seed", "steps"),
    *(
        "positive_prompt",
        "negative_prompt",
        "width",
        "height",
        "cfg_scale",
        "guidance",
        "scheduler",
    ),
    *("model", "loras", "strength", "init_image", "clip_skip", "z_image_seed_variance_enabled"),
    *("cfg_rescale_multiplier", "seamless_x", "seamless_y", "positive_style_prompt"),
    *("negative_style_prompt", "ref_images", "refiner_model", "upscale_model", "upscale_scale"),
}
ADDED = ("controlnets", "ipAdapters", "ref_images", "t2iAdapters", "control_layers", "regions")
OTHER = ("vae", "t5_encoder", "clip_embed_model", "clip_g_embed_model", "qwen3_encoder")
WROTE = "compel's marks in the {} are written in ours, so that they weigh the same."
_SWITCH = re.compile(r"\s-(?P<key>[A-Za-z])\s?(?P<value>\S{1,80})")
_AGAINST = re.compile(r"\[([^\[\]]*)\]")


def read_invoke(text: str) -> Reading | None:
    given = mapping_of(text)
    if not given:
        return None
    notes = Notes()
    model = mapping_of(given.get("model"))
    base = text_of(model.get("base") or model.get("base_model"))
    _words(notes, "prompt", given.get("positive_prompt"), base)
    _words(notes, "negative_prompt", given.get("negative_prompt"), base)
    _styles(given, notes)
    notes.whole("seed", given.get("seed"))
    notes.whole("steps", given.get("steps"))
    guidance = given.get("guidance")
    notes.number("guidance", given.get("cfg_scale") if guidance is None else guidance)
    notes.size(given.get("width"), given.get("height"))
    notes.sampler = text_of(given.get("scheduler"))
    if name := text_of(model.get("name") or model.get("model_name")):
        notes.model = Named(stem_of(name), _sha(model.get("hash")))
    for one in map(mapping_of, list_of(given.get("loras"))):
        lora = mapping_of(one.get("model") or one.get("lora"))
        weight = number_of(one.get("weight"))
        name = stem_of(lora.get("name") or lora.get("model_name"))
        notes.wear(Named(name, _sha(lora.get("hash")), 1.0 if weight is None else weight))
    _lacking(given, notes)
    for key, value in given.items():
        if key not in SILENT | {*ADDED, *OTHER} and value not in (None, "", [], {}, False):
            notes.leave(key, value)
    return notes.reading(TOOL, given.get("app_version"))


def read_old(text: str) -> Reading | None:
    """`sd-metadata` of version 2."""
    given = mapping_of(text)
    image = mapping_of(given.get("image"))
    if not image:
        return None
    notes = Notes()
    prompt = image.get("prompt")
    parts = [mapping_of(part) for part in list_of(prompt)]
    if parts:
        prompt = " AND ".join(text_of(part.get("prompt")) for part in parts)
        if len(parts) > 1:
            notes.translated.append("Its prompts are mixed by AND.")
    _older(notes, text_of(prompt))
    notes.whole("seed", image.get("seed"))
    notes.whole("steps", image.get("steps"))
    notes.number("guidance", image.get("cfg_scale"))
    notes.size(image.get("width"), image.get("height"))
    notes.sampler = text_of(image.get("sampler"))
    name, known = stem_of(given.get("model_weights")), hash_of(given.get("model_hash"))
    notes.model = Named(name, known) if name or known else None
    if image.get("type", "txt2img") != "txt2img" or image.get("init_image_path"):
        notes.lack("It was painted from a picture that its file does not hold.")
    for key in (
        "hires_fix",
        "seamless",
        "threshold",
        "perlin",
        "facetool",
        "upscale",
        "variations",
    ):
        if image.get(key):
            notes.lack(f"{key.replace('_', ' ')} is not done here ({told([(key, image[key])])}).")
    return notes.reading(TOOL, given.get("app_version"))


def read_dream(text: str) -> Reading | None:
    """`"a cat [blurry]" -s 50 -S 1 -W 512 -H 512 -C 7.5 -A k_lms`"""
    words, mark, switches = text.removeprefix("dream>").strip().rpartition('" -')
    if not mark:
        words, mark, switches = text.strip().rpartition('"')
        switches = switches.lstrip(" -")
    if not mark:
        return None
    notes = Notes()
    _older(notes, words.lstrip('"'))
    given = {found["key"]: found["value"] for found in _SWITCH.finditer(f" -{switches[:4000]}")}
    notes.whole("steps", given.pop("s", None))
    notes.whole("seed", given.pop("S", None))
    notes.size(given.pop("W", None), given.pop("H", None))
    notes.number("guidance", given.pop("C", None))
    notes.sampler = given.pop("A", "")
    for key, value in given.items():
        notes.leave(f"-{key}", value)
    return notes.reading(TOOL)


def _words(notes: Notes, field: str, value: object, base: str) -> None:
    if not isinstance(value, str):
        notes.text(field, value)
        return
    ours = translated(value, compel if base in WEIGHED else plain)
    if ours != value:
        notes.translated.append(WROTE.format(field.replace("_", " ")))
    if ours or field == "prompt":
        notes.fields[field] = ours


def _older(notes: Notes, text: str) -> None:
    """What stood in square brackets should not be in the picture."""
    against = ", ".join(part.strip() for part in _AGAINST.findall(text) if part.strip())
    _words(notes, "prompt", _AGAINST.sub("", text).strip(), "")
    if against:
        _words(notes, "negative_prompt", against, "")


def _styles(given: Values, notes: Notes) -> None:
    """SDXL's second encoder may have been sent words of its own; empty, it got the same."""
    for key in ("positive_style_prompt", "negative_style_prompt"):
        style = text_of(given.get(key))
        if style and style != text_of(given.get(key.replace("style_", ""))):
            notes.lack(
                f"A text of its own for one encoder is not done here ({told([(key, style)])})."
            )


def _lacking(given: Values, notes: Notes) -> None:
    for key in ADDED:
        if given.get(key):
            count = len(list_of(given[key])) or 1
            notes.lack(f"{key} are not done here ({count} of them: {told([(key, given[key])])}).")
    for key in OTHER:
        if name := text_of(mapping_of(given.get(key)).get("name")):
            notes.lack(f"Another {key.replace('_', ' ')} is not taken here ({name[:100]}).")
    if mapping_of(given.get("refiner_model")):
        name = text_of(mapping_of(given["refiner_model"]).get("name"))
        notes.lack(f"The refiner is not done here ({name[:100]}).")
    if "img2img" in (mode := text_of(given.get("generation_mode"))) or "paint" in mode:
        strength = text_of(given.get("strength"))
        notes.lack(
            f"It was painted from a picture that its file does not hold ({mode}"
            f"{', strength ' + strength if strength else ''})."
        )
    if (skip := whole_of(given.get("clip_skip"))) and skip > 0:
        notes.lack(
            f"Clip skip {skip} is not done here; a model reads its text encoders as it was taught."
        )
    if number_of(given.get("cfg_rescale_multiplier")):
        number = text_of(given["cfg_rescale_multiplier"])
        notes.lack(f"Rescaled guidance is not done here (cfg_rescale_multiplier: {number}).")
    if given.get("seamless_x") is True or given.get("seamless_y") is True:
        notes.lack("Tiling is not done here (seamless).")
    if text_of(given.get("rand_device")) not in ("", "cpu"):
        notes.lack(
            f"Its noise was drawn on {text_of(given['rand_device'])[:20]}, here it is drawn "
            "on the processor: the same seed is another picture."
        )


def _sha(value: object) -> str:
    """BLAKE3, which it takes by itself, is known nowhere else."""
    return "" if text_of(value).startswith("blake3") else hash_of(value)
