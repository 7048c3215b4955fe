"""SwarmUI: JSON under `sui_image_params`, names in small letters, values often as texts."""

import re
from collections.abc import Sequence

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
    whole_of,
)
from studio.formats.foreign.weighting import comfy, translated
from studio.formats.prompt import take_loras
from studio.request import MAX_PROMPT

WROTE = "SwarmUI's marks in the {} are written in ours, so that they weigh the same."
DONE = {
    *("prompt", "negativeprompt", "model", "seed", "steps", "cfgscale", "width", "height", "loras"),
    *("sampler", "scheduler", "swarm_version", "loraweights", "fluxguidancescale", "aspectratio"),
    *("lorasectionconfinement", "loratencweights", "rawresolution", "sidelength"),
}
# What painted nothing.
SILENT = {
    *("images", "batchsize", "nopreviews", "imageformat", "automaticvae", "date", "wildcardseed"),
    *("generation_time", "prep_time", "presets", "donotsave", "savemetadata", "personalnote"),
    *("internalbackendtype", "webhooks", "wildcardseedbehavior", "batchid", "exactbackendid"),
    *("original_prompt", "original_negativeprompt", "used_wildcards", "used_loras", "colordepth"),
    *("preferreddtype", "automatic_vae", "resolution", "model_added"),
}
GROUPS = (
    ("The refiner", "refiner"),
    ("Painting from a picture", "initimage"),
    ("Painting from a picture", "mask"),
    ("ControlNet", "controlnet"),
    ("A variation seed", "variationseed"),
    ("Another VAE", "vae"),
    ("Clip skip", "clipstop"),
    ("FreeU", "freeu"),
    ("Segments", "segment"),
    ("Tiling", "seamless"),
    ("Settings of the sampler", "sigma"),
    ("Regions", "region"),
)
_TAG = re.compile(r"<(?!lora:)[a-z]+(?:\[[^\]<>]{0,80}\])?(?::[^<>]{0,200})?>")


def read_swarm(text: str) -> Reading | None:
    whole = mapping_of(text)
    given = mapping_of(whole.get("sui_image_params"))
    if not given:
        return None
    notes, extra = Notes(), mapping_of(whole.get("sui_extra_data"))
    hashes = _hashes(whole)
    _words(given, extra, notes)
    for field, key in (("seed", "seed"), ("steps", "steps")):
        notes.whole(field, given.get(key))
    scale, distilled = given.get("cfgscale"), given.get("fluxguidancescale")
    notes.number("guidance", scale if distilled is None else distilled)
    notes.size(given.get("width"), given.get("height"))
    notes.sampler, notes.schedule = text_of(given.get("sampler")), text_of(given.get("scheduler"))
    if name := stem_of(given.get("model")):
        notes.model = Named(name, hashes.get(name, ""))
    _loras(given, hashes, notes)
    _rest(given, notes)
    return notes.reading("SwarmUI", given.get("swarm_version"))


def _words(given: Values, extra: Values, notes: Notes) -> None:
    for field, key in (("prompt", "prompt"), ("negative_prompt", "negativeprompt")):
        theirs = text_of(given.get(key))
        if len(theirs) > MAX_PROMPT:  # no wish can hold it
            notes.fields[field] = theirs
            continue
        words, tags = take_loras(theirs)
        for name, weights in tags:  # the network that paints comes first here
            reading = weights[1] if len(weights) > 1 and weights[1] != weights[0] else None
            notes.wear(Named(stem_of(name), "", weights[0], reading))
        for tag in dict.fromkeys(_TAG.findall(words)):
            notes.lack(f"What SwarmUI does with {tag[:80]} is not done here; it was left out.")
        words = _TAG.sub("", words).strip()
        ours = translated(words, comfy)
        if ours != words:
            notes.translated.append(WROTE.format(field.replace("_", " ")))
        if ours or field == "prompt":
            notes.fields[field] = ours
        written = text_of(given.get(f"original_{key}")) or text_of(extra.get(f"original_{key}"))
        if written and written != theirs:
            notes.translated.append(f"It was made from a template. {key}: {written[:2000]}")


def _hashes(whole: Values) -> dict[str, str]:
    models = [mapping_of(one) for one in list_of(whole.get("sui_models"))]
    return {stem_of(one.get("name")): hash_of(one.get("hash")) for one in models}


def _loras(given: Values, hashes: dict[str, str], notes: Notes) -> None:
    names, weights, reading = (
        _listed(given.get(key)) for key in ("loras", "loraweights", "loratencweights")
    )
    for place, name in enumerate(names):
        one = _at(weights, place)
        weight, two = 1.0 if one is None else one, _at(reading, place)
        stem = stem_of(name)
        notes.wear(Named(stem, hashes.get(stem, ""), weight, None if two == weight else two))


def _listed(value: object) -> Sequence[object]:
    return value.split(",") if isinstance(value, str) and value else list_of(value)


def _at(values: Sequence[object], place: int) -> float | None:
    return number_of(values[place]) if place < len(values) else None


def _rest(given: Values, notes: Notes) -> None:
    rest = (
        (key, value)
        for key, value in given.items()
        if key not in DONE | SILENT and value not in (None, "", [], False)
        if not (key == "clipstopatlayer" and whole_of(value) in (-1, -2))
    )
    notes.sort(rest, GROUPS)
