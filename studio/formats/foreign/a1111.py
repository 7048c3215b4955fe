"""A1111, and who writes as it does: Forge, SD.Next, Fooocus' second scheme, Civitai, Darkroom.

Which of them it was is told by keys of their own. What a key means stands here once; those of
extensions and of settings that this studio has not are said together, by what they belong to.
"""

import re
from collections.abc import Iterator, Mapping

from studio.formats.foreign.infotext import Infotext, read_infotext
from studio.formats.foreign.notes import (
    LONGEST_NAME,
    Named,
    Notes,
    Reading,
    hash_of,
    list_of,
    mapping_of,
    number_of,
    read_json,
    stem_of,
    text_of,
    whole_of,
)
from studio.formats.prompt import take_loras

OURS, FOOOCUS, SDNEXT, CIVITAI = "Darkroom", "Fooocus", "SD.Next", "Civitai"
ON_CARD = ("A1111", "Forge", SDNEXT, CIVITAI)  # their noise is drawn there unless they say CPU
ADDED = ("lora", "locon", "lycoris", "dora")
USUAL = ("", "None", "none", "False", "Automatic", "Default", "Default (model)")
# What painted nothing.
SILENT = {
    *(
        "Version",
        "App",
        "User",
        "Created Date",
        "Date",
        "Time taken",
        "Batch",
        "Batch size",
        "Index",
    ),
    *("Batch pos", "Operations", "Pipeline", "Backend", "Comment", "Raw prompt", "Mask mode"),
    *(
        "Raw negative prompt",
        "Civitai metadata",
        "Performance",
        "Refine",
        "Prompt2",
        "Memory",
        "Lib",
    ),
    *("Original prompt", "Original negative", "workflow", "Workflow", "baseModel", "quantity"),
}
# What is not done here, by how its keys begin; the first that fits.
GROUPS = (
    ("Hires fix", ("Hires", "HiRes", "First pass size", "Denoising strength")),
    ("ADetailer", ("ADetailer",)),
    ("The detailer", ("Detailer",)),
    ("ControlNet", ("ControlNet", "Control")),
    ("A variation seed", ("Variation", "Seed resize")),
    ("The refiner", ("Refiner",)),
    ("Textual inversion", ("TI hashes", "TI", "Embeddings", "Textual inversion")),
    ("A hypernetwork", ("Hypernet",)),
    ("Another VAE", ("VAE",)),
    ("Clip skip", ("Clip skip", "CLIP skip")),
    ("Another noise offset of the sampler", ("ENSD", "Eta", "Sigma", "Noise multiplier")),
    ("Settings of the sampler", ("Sampler ", "Schedule ", "Discard", "Shift", "Solver", "Beta")),
    ("Another way of guidance", ("CFG ", "Skip Early CFG", "NGMS", "PAG", "SAG", "Dynamic thr")),
    ("Another way of guidance", ("dynthres", "DynThres", "Thresholding", "Adaptive CFG", "ADM")),
    ("Another way of weighing words", ("Emphasis", "Parser", "Prompt attention", "Pad conds")),
    ("Painting from a picture", ("Init image", "Mask", "Inpaint", "Resize", "Image CFG", "Denois")),
    ("Face restoration", ("Face restoration", "CodeFormer", "GFPGAN")),
    ("Tiling", ("Tiling", "Tiled", "MultiDiffusion")),
    ("Token merging", ("Token merging", "ToMe", "ToDo")),
    ("FreeU", ("FreeU",)),
    ("Regions", ("RP ", "Regional", "Latent Couple")),
    ("A script", ("Script", "X ", "Y ", "Z ", "Fixed X", "Fixed Y")),
    ("A style of its own", ("Styles", "Style")),
    ("Sharpness", ("Sharpness",)),
    ("Another precision or other parts", ("FP8", "Diffusion in Low Bits", "Module ", "TE", "UNet")),
    ("Postprocessing", ("Postprocess", "Color correction")),
)
_TAG = re.compile(r" <lora:[^<>]{1,300}>", re.IGNORECASE)


def read_a1111(text: str) -> Reading | None:
    found = read_infotext(text)
    return interpret(found) if found else None


def interpret(found: Infotext) -> Reading:
    given, notes = dict(found.pairs), Notes()
    tool, version = _tool(given)
    _words(found, given, tool, notes)
    _settings(given, notes)
    _model(given, notes)
    _hashes(given, notes)
    for key, value in found.behind:
        if value:
            notes.translated.append(f"It was made from a template. {key}: {value[:2000]}")
    drawn = given.get("RNG", "GPU")[:20]
    if tool in ON_CARD and drawn.upper() != "CPU":
        notes.lack(
            f"Its noise was drawn on a graphics card (RNG: {drawn}), here it is drawn on the "
            "processor: the same seed is another picture."
        )
    _rest(given, notes)
    return notes.reading(tool, version)


def _tool(given: Mapping[str, str]) -> tuple[str, str]:
    version = given.get("Version", "")
    for tool in (OURS, FOOOCUS, "ComfyUI", "EasyReforge", "reForge"):
        if version.startswith(tool):
            return tool, version.removeprefix(tool).strip(" v")
    if given.get("App") == SDNEXT:
        return SDNEXT, version
    if re.match(r"f\d|neo|classic", version):
        return "Forge", version
    if not version and ("Civitai resources" in given or "Created Date" in given):
        return CIVITAI, ""
    return "A1111", version.removeprefix("v")


def _words(found: Infotext, given: Mapping[str, str], tool: str, notes: Notes) -> None:
    """Tags of LoRAs are taken out: they are matched by their hashes, too."""
    ends = _tags_at_end(found.prompt)
    prompt, tags = take_loras(found.prompt[:ends])
    notes.fields["prompt"] = prompt
    tags += take_loras(found.prompt[ends:])[1]
    if found.negative:
        notes.fields["negative_prompt"] = found.negative
    for name, weights in tags:
        reading = weights[0] if weights[0] != weights[-1] else None
        notes.wear(Named(name, weight=weights[-1], reading=reading))
    if tool != FOOOCUS:
        return
    if (raw := given.get("Raw prompt", found.prompt)) != found.prompt:
        notes.translated.append(f"Fooocus' styles are written into the prompt; typed was: {raw}")
    for name, number in _listed(given.get("Lora weights", "")):
        notes.wear(Named(name, weight=number_of(number) or 0.0))


def _listed(text: str) -> Iterator[tuple[str, str]]:
    """`name: value, name: value`."""
    for part in text.split(","):
        name, colon, value = part.partition(":")
        if colon:
            yield name.strip()[:LONGEST_NAME], value.strip()


def _tags_at_end(prompt: str) -> int:
    """Where the tags begin that nothing stands behind. From the end, so that each is met once."""
    ends = len(prompt)
    while (begins := prompt.rfind(" <", 0, ends)) >= 0 and _TAG.fullmatch(prompt, begins, ends):
        ends = begins
    return ends


def _settings(given: Mapping[str, str], notes: Notes) -> None:
    notes.whole("steps", given.get("Steps"))
    notes.whole("seed", given.get("Seed"))
    guidance, distilled = given.get("CFG scale"), given.get("Distilled CFG Scale")
    if distilled and (number_of(guidance or "1") or 1.0) == 1:
        guidance = distilled  # what a distilled model takes as a number
    notes.number("guidance", guidance)
    if size := given.get("Size"):
        width, _, height = size.partition("x")
        notes.size(width, height)
    notes.sampler = given.get("Sampler", "")
    notes.schedule = given.get("Schedule type") or given.get("Scheduler") or ""
    skip = whole_of(given.get("Clip skip", "1"))
    if skip is None or skip > 1:
        notes.lack(
            f"Clip skip {given['Clip skip'][:20]} is not done here; a model reads its text "
            "encoders as it was taught."
        )
    if "Denoising strength" in given and not any(key.startswith("Hires") for key in given):
        notes.lack(
            "It was painted from a picture that its file does not hold (denoising strength "
            f"{given['Denoising strength'][:20]})."
        )
    by, upscaler = given.get("Postprocess upscale by"), given.get("Postprocess upscaler", "")
    if whole_of(by) in (2, 4):
        notes.fields |= {"upscale": whole_of(by), "upscaler": upscaler[:128]}
    elif by or upscaler:
        notes.lack(f"It was enlarged in another way afterwards ({by or '?'} by {upscaler[:60]}).")


def _model(given: Mapping[str, str], notes: Notes) -> None:
    name, known = stem_of(given.get("Model", "")), hash_of(given.get("Model hash", ""))
    listed = _resources(given, notes)
    name = name or listed
    if name or known:
        notes.model = Named(name, known)


def _resources(given: Mapping[str, str], notes: Notes) -> str:
    """Civitai's list of what was used; the name of the model in it. Its LoRAs count where the
    prompt has no tags of them, for there they have other names."""
    model, tagged = "", bool(notes.loras)
    for resource in list_of(read_json(given.get("Civitai resources", "[]"))):
        one = mapping_of(resource)
        kind, weight = text_of(one.get("type")).lower(), number_of(one.get("weight"))
        title = text_of(one.get("modelName")) or text_of(one.get("air"))
        title = (title or f"version {text_of(one.get('modelVersionId'))}")[:LONGEST_NAME]
        if kind in ("checkpoint", "model"):
            model = f"{title} {text_of(one.get('modelVersionName'))}".strip()
        elif kind not in ADDED:
            notes.lack(f"{title} of Civitai ({kind[:20]}) is not used here.")
        elif not tagged:
            notes.wear(Named(title, weight=1.0 if weight is None else weight))
    return model


def _hashes(given: Mapping[str, str], notes: Notes) -> None:
    """Those of the LoRAs that are worn, and of the model where nothing else says it."""
    known = dict(_listed(given.get("Lora hashes", "")))
    for key, value in mapping_of(given.get("Hashes", "")).items():
        kind, _, name = key.partition(":")
        if kind.lower() == "lora":
            known.setdefault(name, text_of(value))
        elif kind == "model" and not (notes.model and notes.model.hash):
            notes.model = Named(notes.model.name if notes.model else "", hash_of(value))
    notes.loras = [
        lora._replace(hash=lora.hash or hash_of(known.get(lora.name, ""))) for lora in notes.loras
    ]


def _rest(given: Mapping[str, str], notes: Notes) -> None:
    done = {
        *("Steps", "Seed", "CFG scale", "Distilled CFG Scale", "Size", "Sampler", "Schedule type"),
        *("Scheduler", "Model", "Model hash", "Lora hashes", "Lora weights", "Hashes", "RNG"),
        *("Civitai resources", "Clip skip", "Postprocess upscale by", "Postprocess upscaler"),
        *SILENT,
    }
    if not any(key.startswith("Hires") for key in given):
        done.add("Denoising strength")
    rest = ((key, value) for key, value in given.items() if key not in done and value not in USUAL)
    notes.sort(rest, GROUPS)
