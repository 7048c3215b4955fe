"""Tools that need little: NovelAI, Draw Things, Easy Diffusion, Midjourney."""

import re
from collections.abc import Mapping

from studio.formats.foreign.notes import (
    Named,
    Notes,
    Reading,
    Values,
    list_of,
    mapping_of,
    number_of,
    stem_of,
    text_of,
    told,
    whole_of,
)
from studio.formats.foreign.weighting import Grammar, compel, novelai, plain, translated

Texts = Mapping[str, str]
LONGEST = 40_000  # letters of a line of Midjourney's
_SWITCH = re.compile(r"\s--(?P<key>[a-z]{1,20})(?P<value>(?:\s+(?!--)[^\s]{1,200}){0,60})")
_JOB = re.compile(r"Job ID: ?[\w-]{1,60}")
NOVELAI = {
    *("prompt", "uc", "steps", "seed", "scale", "sampler", "width", "height", "noise_schedule"),
    *("v4_prompt", "v4_negative_prompt", "n_samples", "request_type", "signed_hash", "strength"),
    *("version", "hide_debug_overlay", "prefer_brownian", "lora_unet_weights", "negative_prompt"),
    *("lora_clip_weights", "deliberate_euler_ancestral_bug", "legacy", "legacy_v3_extend"),
    *("stream", "explike_fine_detail", "minimize_sigma_inf", "dynamic_thresholding_mimic_scale"),
    *(
        "dynamic_thresholding_percentile",
        "uncond_per_vibe",
        "wonky_vibe_correlation",
        "cfg_rescale",
    ),
    *("noise", "extra_noise_seed", "legacy_uc", "qualityToggle", "ucPreset", "params_version"),
    *("controlnet_strength", "add_original_image", "skip_cfg_below_sigma", "lora_names"),
}


def read_novelai(texts: Texts) -> Reading | None:
    given = mapping_of(texts.get("Comment", ""))
    if not given:
        return None
    notes = Notes()
    caption, against = (
        mapping_of(mapping_of(given.get(key)).get("caption"))
        for key in ("v4_prompt", "v4_negative_prompt")
    )
    prompt = text_of(caption.get("base_caption")) or text_of(given.get("prompt"))
    negative = text_of(against.get("base_caption")) or text_of(given.get("uc"))
    _words(notes, "prompt", prompt or texts.get("Description", ""), novelai, "NovelAI")
    _words(notes, "negative_prompt", negative, novelai, "NovelAI")
    people = [mapping_of(one) for one in list_of(caption.get("char_captions"))]
    for one in people[:20]:
        notes.lack(
            "A figure with words and a place of its own is not done here "
            f"({told([('char_caption', one.get('char_caption'))])})."
        )
    for field in ("seed", "steps"):
        notes.whole(field, given.get(field))
    notes.number("guidance", given.get("scale"))
    notes.size(given.get("width"), given.get("height"))
    notes.sampler = text_of(given.get("sampler"))
    notes.schedule = text_of(given.get("noise_schedule"))
    if source := texts.get("Source", ""):
        notes.model = Named(source[:200])
    if number_of(given.get("strength")) is not None and "Img2Img" in text_of(
        given.get("request_type")
    ):
        notes.lack("It was painted from a picture that its file does not hold.")
    if number_of(given.get("cfg_rescale")):
        notes.lack(f"Rescaled guidance is not done here (cfg_rescale: {given['cfg_rescale']}).")
    for key, value in given.items():
        if key not in NOVELAI and value not in (None, "", False, 0, [], {}):
            notes.leave(key, value)
    notes.lack("How NovelAI draws its noise is not known; the same seed is another picture here.")
    return notes.reading("NovelAI", given.get("version"))


def read_drawthings(text: str) -> Reading | None:
    """The comment in its XMP."""
    given = mapping_of(text)
    if not given.keys() >= {"c", "model"}:
        return None
    notes, more = Notes(), mapping_of(given.get("v2"))
    _words(notes, "prompt", text_of(given.get("c")), None, "")
    _words(notes, "negative_prompt", text_of(given.get("uc")), None, "")
    notes.whole("seed", given.get("seed"))
    notes.whole("steps", given.get("steps"))
    notes.number("guidance", given.get("scale"))
    width, _, height = text_of(given.get("size")).partition("x")
    notes.size(width or None, height or None)
    notes.sampler = text_of(given.get("sampler"))
    notes.model = Named(_apple(given.get("model")))
    for one in map(mapping_of, list_of(given.get("lora"))):
        weight = number_of(one.get("weight"))
        notes.wear(Named(_apple(one.get("model")), weight=1.0 if weight is None else weight))
    if (part := number_of(given.get("strength"))) is not None and part < 1:
        notes.lack(
            f"It was painted from a picture that its file does not hold (strength {part:g})."
        )
    if (skip := whole_of(more.get("clipSkip"))) and skip > 1:
        notes.lack(
            f"Clip skip {skip} is not done here; a model reads its text encoders as it was taught."
        )
    for key in ("hiresFix", "refinerModel", "controls", "upscaler", "faceRestoration"):
        if more.get(key):
            notes.lack(f"{key} is not done here ({told([(key, more[key])])}).")
    known = {
        "c",
        "uc",
        "seed",
        "steps",
        "scale",
        "size",
        "sampler",
        "model",
        "lora",
        "strength",
        "v2",
    }
    for key, value in given.items():
        if key not in known | {"seed_mode", "profile", "shift", "mask_blur"}:
            notes.leave(key, value)
    notes.lack("How Draw Things draws its noise is its own; the same seed is another picture here.")
    return notes.reading("Draw Things")


def read_easy(texts: Texts) -> Reading | None:
    """Easy Diffusion: a keyword for each field, or one JSON of them."""
    given: Values = mapping_of(texts.get("exif:UserComment", "")) or dict(texts)
    names = {key.lower().replace(" ", "_"): value for key, value in given.items()}
    model = names.get("use_stable_diffusion_model") or names.get("stable_diffusion_model")
    if not model:
        return None
    notes = Notes()
    _words(notes, "prompt", text_of(names.get("prompt")), compel, "compel")
    _words(notes, "negative_prompt", text_of(names.get("negative_prompt")), compel, "compel")
    notes.whole("seed", names.get("seed"))
    notes.whole("steps", names.get("num_inference_steps") or names.get("steps"))
    notes.number("guidance", names.get("guidance_scale"))
    notes.size(names.get("width"), names.get("height"))
    notes.sampler = text_of(names.get("sampler_name") or names.get("sampler"))
    notes.model = Named(stem_of(model))
    loras = names.get("use_lora_model") or names.get("lora_model")
    listed = list_of(loras) or [text_of(loras)]
    weights = names.get("lora_alpha") or names.get("lora_strength")
    numbers = list_of(weights) or [weights]
    for place, name in enumerate(listed):
        weight = number_of(numbers[place]) if place < len(numbers) else None
        notes.wear(Named(stem_of(name), weight=1.0 if weight is None else weight))
    for key in (
        "use_vae_model",
        "use_controlnet_model",
        "use_hypernetwork_model",
        "prompt_strength",
    ):
        if names.get(key) not in (None, "", "None", [], False):
            notes.lack(f"{key.replace('_', ' ')} is not done here ({told([(key, names[key])])}).")
    if text_of(names.get("clip_skip")).lower() == "true" or names.get("clip_skip") is True:
        notes.lack("Clip skip is not done here; a model reads its text encoders as it was taught.")
    return notes.reading("Easy Diffusion")


def read_midjourney(text: str) -> Reading | None:
    """`a koi pond --ar 3:2 --v 6.1 --no people Job ID: …`"""
    text = text[:LONGEST].rstrip()
    begins = text.rfind("Job ID:")
    signed = begins >= 0 and _JOB.fullmatch(text, begins)
    words = text[:begins].rstrip() if signed else text
    if not signed and not re.search(r"\s--(?:ar|v|niji|stylize|s) ", text):
        return None
    notes = Notes()
    given = {one["key"]: one["value"].strip() for one in _SWITCH.finditer(words)}
    version = given.pop("v", "") or given.pop("niji", "")
    _words(notes, "prompt", _SWITCH.sub("", words).strip(), plain, "")
    if against := given.pop("no", ""):
        notes.fields["negative_prompt"] = against
    if seed := given.pop("seed", ""):
        notes.whole("seed", seed)
    given.pop("ar", "")  # the size of the file says it
    for key, value in given.items():
        notes.lack(f"--{key} {value} is Midjourney's own and is not done here.")
    notes.model = Named(f"Midjourney {version}".strip())
    return notes.reading("Midjourney", version)


def _words(notes: Notes, field: str, text: str, grammar: Grammar | None, whose: str) -> None:
    ours = translated(text, grammar) if grammar else text
    if ours != text and whose:
        said = f"{whose}'s marks in the {field.replace('_', ' ')} are written in ours"
        notes.translated.append(f"{said}, so that they weigh the same.")
    if ours or field == "prompt":
        notes.fields[field] = ours


def _apple(value: object) -> str:
    """Without how its weights were stored."""
    return re.sub(r"(_lora)?_(f16|q8p|q6p_q8p|q5p|q4p|svd)$", "", stem_of(value))
