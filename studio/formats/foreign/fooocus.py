"""Fooocus' own scheme: flat JSON. Its styles are written out in `full_prompt`, part by part."""

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
)
from studio.formats.foreign.weighting import comfy, translated

# What is not done here, and how it stands where it does nothing.
OTHER = {
    "sharpness": ("0", "0.0"),
    "adm_guidance": ("(1.0, 1.0, 0.0)",),
    "refiner_model": ("", "None"),
    "freeu": ("",),
    "adaptive_cfg": ("", "1", "1.0"),
    "vae": ("", "Default (model)", "Default"),
    "inpaint_method": ("",),
    "clip_skip": ("", "1", "2"),
}
DONE = {
    *("prompt", "negative_prompt", "full_prompt", "full_negative_prompt", "styles", "performance"),
    *("steps", "resolution", "guidance_scale", "base_model", "base_model_hash", "sampler", "seed"),
    *("scheduler", "loras", "version", "metadata_scheme", "created_by", "prompt_expansion"),
    *("refiner_model_hash", "refiner_switch", "refiner_swap_method", "overwrite_switch"),
    *("image_number", "width", "height", "log"),
}
_COMBINED = re.compile(r"(?P<name>.{1,200}?) : (?P<weight>[-\d.]{1,20})\s*$")


def read_fooocus(text: str) -> Reading | None:
    given = mapping_of(text)
    if not given.keys() & {"prompt", "full_prompt"} or not given.keys() & DONE - {"prompt", "seed"}:
        return None
    notes = Notes()
    _words(given, notes)
    notes.whole("seed", given.get("seed"))
    notes.whole("steps", given.get("steps"))
    notes.number("guidance", given.get("guidance_scale"))
    sides = re.findall(r"\d{1,6}", text_of(given.get("resolution")))
    if len(sides) == 2:
        notes.size(*sides)
    notes.sampler, notes.schedule = text_of(given.get("sampler")), text_of(given.get("scheduler"))
    if name := stem_of(given.get("base_model")):
        notes.model = Named(name, hash_of(given.get("base_model_hash")))
    _loras(given, notes)
    for key, usual in OTHER.items():
        if key in given and text_of(given[key]) not in usual:
            words = key.replace("_", " ").capitalize()
            notes.lack(f"{words} is not done here ({told([(key, given[key])])}).")
    for key, value in given.items():
        if key not in DONE | OTHER.keys() and not key.startswith("lora_combined_"):
            notes.leave(key, value)
    return notes.reading(
        "Fooocus", text_of(given.get("version")).removeprefix("Fooocus").strip(" v")
    )


def _words(given: Values, notes: Notes) -> None:
    for field in ("prompt", "negative_prompt"):
        typed, full = text_of(given.get(field)), given.get(f"full_{field}")
        parts = [text_of(part) for part in list_of(full)] or [text_of(full)]
        parts = [part for part in parts if part.strip()] or [typed]
        ours = " BREAK ".join(translated(part, comfy) for part in parts[:16])
        if ours != typed:
            notes.translated.append(
                f"The {field.replace('_', ' ')} is what its styles made of it "
                f"({text_of(given.get('styles'))[:200]}), one part after the other; typed was: "
                f"{typed[:2000]}"
            )
        if ours or field == "prompt":
            notes.fields[field] = ours


def _loras(given: Values, notes: Notes) -> None:
    listed = [list_of(one) for one in list_of(given.get("loras"))]
    for one in listed:
        weight = number_of(one[1]) if len(one) > 1 else None
        known = hash_of(one[2]) if len(one) > 2 else ""
        notes.wear(Named(stem_of(one[0]) if one else "", known, 1.0 if weight is None else weight))
    if listed:
        return
    for key, value in given.items():
        if key.startswith("lora_combined_") and (found := _COMBINED.match(text_of(value))):
            name = found["name"].rpartition(" : ")[2]  # with True before it in later versions
            weight = number_of(found["weight"])
            notes.wear(Named(stem_of(name), weight=1.0 if weight is None else weight))
