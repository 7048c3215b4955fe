"""What a picture says about how it was painted, read out of its file, whichever tool wrote it.

`own_recipe` asks only for a recipe of this studio, `read_picture` for that of any tool. A foreign
file never raises: what cannot be read is left with its text. Which tool it was is told here, how
each writes stands in `foreign`; what this studio makes of it is not known here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from html import unescape
from json import dumps
from re import sub
from typing import Any

from studio.errors import Refused
from studio.formats.carried import COMMENT, XML, Carried, carried
from studio.formats.foreign.a1111 import read_a1111
from studio.formats.foreign.comfy import read_comfy
from studio.formats.foreign.fooocus import read_fooocus
from studio.formats.foreign.invoke import read_dream, read_invoke, read_old
from studio.formats.foreign.notes import (
    Named,
    Reading,
    Unread,
    mapping_of,
    number_of,
    shown,
    text_of,
)
from studio.formats.foreign.others import (
    read_drawthings,
    read_easy,
    read_midjourney,
    read_novelai,
)
from studio.formats.foreign.swarm import read_swarm
from studio.formats.metadata import PARAMETERS, RECIPE, read_recipe
from studio.formats.template import plain

FORMATS = ("PNG", "JPEG", "WEBP")
USER = "exif:UserComment"
MAKER = "exif:MakerNote"
SAID_IN = ("Description", "exif:ImageDescription", "exif:XPComment")
WORDS = ("prompt", "negative_prompt")
MOST_LEFT = 20  # texts of nobody that are shown
# What no pixel depends on, and no other wish needs.
BESIDE = ("version", "count", "owner", "priority", "upload_urls", "filename", "tags")
SPENT = (*BESIDE, "expand", "nth")  # where no choices are left to be made
DEEPEST = 32
NO_PICTURE = Reading("", unread=(Unread("file", "this is no PNG, JPEG or WebP"),))
Texts = Mapping[str, str]


def own_recipe(data: bytes) -> dict[str, Any]:
    """The recipe that a studio of ours wrote into it. Nothing behind the pixels is looked at."""
    found = carried(data)
    if not found.form or found.size is None:
        raise Refused("This is no whole PNG, JPEG or WebP.")
    text = _own_text(found)
    if not text:
        raise Refused("There is no recipe of this studio in it.")
    return _sound_recipe(text)


def read_picture(data: bytes) -> Reading:
    """Without a tool there is nothing about its painting in it that anybody here knows."""
    found = carried(data)
    if not found.form:
        return NO_PICTURE
    left = [Unread(*sentence.partition(": ")[::2]) for sentence in found.left]
    for reading in _readings(found, left):
        if reading is not None:
            sized = replace(reading, fields=_sized(reading, found), unread=(*reading.unread, *left))
            return sized
    texts = list(found.texts.items())[:MOST_LEFT]
    return Reading("", unread=(*left, *(Unread(name, shown(text)) for name, text in texts)))


def read_ours(recipe: Mapping[str, Any]) -> Reading:
    """One picture of it: a count of one with its own seed, and the words as they were typed; where
    they were a template, as they were drawn for this picture."""
    marks, wish = mapping_of(recipe.get("fingerprint")), mapping_of(recipe.get("wish"))
    drawn = bool(wish.keys() & {"expand", "nth"})
    request = {**recipe["request"], **({} if drawn else wish)}
    beside = BESIDE if any(not plain(text_of(request.get(name))) for name in WORDS) else SPENT
    fields = {k: v for k, v in request.items() if k not in beside and v not in (None, "", [])}
    hashes = {mark["name"]: mark for mark in _marks(marks.get("loras"))}
    loras = tuple(
        Named(name, text_of(hashes.get(name, {}).get("sha256")), number_of(use.get("weight")) or 0)
        for use in _marks(recipe["request"].get("loras"))
        if (name := text_of(use.get("name")))
    )
    templates = [text_of(wish.get(name)) for name in WORDS if drawn]
    return Reading(
        "Darkroom",
        text_of(marks.get("darkroom")),
        fields | {"seed": recipe["seed"]},
        Named(text_of(request.get("model")), text_of(marks.get("model_hash"))),
        loras,
        text_of(request.get("sampler")),
        translated=tuple(f"It was made from a template: {text}" for text in templates if text),
        own=recipe,
    )


def _readings(found: Carried, left: list[Unread]) -> Iterator[Reading | None]:
    """Those who may have written it, the surest sign first."""
    texts = found.texts
    if own := _own_text(found):
        try:
            yield read_ours(_sound_recipe(own))
        except Refused as why:
            left.append(Unread(RECIPE, str(why)))
    yield read_invoke(texts.get("invokeai_metadata", ""))
    yield read_old(texts.get("sd-metadata", ""))
    yield read_dream(texts.get("Dream", "") or texts.get("dream", ""))
    if "NovelAI" in (texts.get("Software", ""), texts.get("exif:Software", "")):
        yield read_novelai(texts)
    inside = _inside(texts.get(XML, ""), "exif:UserComment")
    sent, page = _graphs(texts)
    for name in (PARAMETERS, USER, COMMENT):
        if text := texts.get(name, ""):
            yield from _one_text(text)
    yield read_comfy(sent, page)
    yield read_drawthings(inside)
    yield read_easy(texts)
    for text in (
        *(texts.get(name, "") for name in SAID_IN),
        _inside(texts.get(XML, ""), "dc:description"),
    ):
        yield read_midjourney(text)


def _one_text(text: str) -> Iterator[Reading | None]:
    """Several tools use the same places: what begins as JSON is none of A1111's."""
    if text.lstrip()[:1] != "{":
        yield read_a1111(text)
        return
    whole = mapping_of(text)
    yield read_swarm(text)
    if "prompt" in whole and isinstance(whole["prompt"], dict):
        yield read_comfy(dumps(whole["prompt"]), "")
    elif any(isinstance(one, dict) and "class_type" in one for one in whole.values()):
        yield read_comfy(text, "")
    yield read_drawthings(text)
    if "use_stable_diffusion_model" not in whole and "v4_prompt" not in whole:
        yield read_fooocus(text)


def _graphs(texts: Texts) -> tuple[str, str]:
    """ComfyUI's two forms: PNG has a keyword for each, WebP a place of Exif with it in front."""
    found = {name: texts.get(name, "") for name in ("prompt", "workflow")}
    for text in texts.values():
        name, mark, graph = text[:40].partition(":")
        if mark and name.lower() in found and graph.lstrip()[:1] in ("{", '"'):
            found[name.lower()] = found[name.lower()] or text[len(name) + 1 :]
    return found["prompt"], found["workflow"]


def _own_text(found: Carried) -> str:
    if found.form == "PNG":
        return found.texts.get(RECIPE, "")
    name, _, text = found.texts.get(MAKER, "").partition("\0")
    return text if name == RECIPE else ""


def _sound_recipe(text: str) -> dict[str, Any]:
    """Each part of its kind, for whoever paints from it or compares with it relies on that."""
    recipe = read_recipe(text)
    marks = mapping_of(recipe.get("fingerprint"))
    sound = {
        "request": isinstance(recipe.get("request"), dict),
        "fingerprint": isinstance(recipe.get("fingerprint"), dict),
        "seed": isinstance(recipe.get("seed"), int),
        "wish": isinstance(recipe.get("wish", {}), dict),
        "model_hash": isinstance(marks.get("model_hash", ""), str),
        "upscaler_hash": isinstance(marks.get("upscaler_hash", ""), str),
        "loras": _are_loras(marks.get("loras", [])),
    }
    for name, whole in sound.items():
        if not whole:
            raise Refused(f"The recipe in this picture is not whole: its {name} was changed.")
    if _depth(recipe) > DEEPEST:
        raise Refused("The recipe in this picture is not whole: it is nested too deeply.")
    try:
        dumps(recipe, allow_nan=False)  # which no answer could repeat, and PostgreSQL not hold
    except ValueError as why:
        sentence = "The recipe in this picture is not whole: it holds a number that is too large."
        raise Refused(sentence) from why
    return recipe


def _are_loras(given: object) -> bool:
    return isinstance(given, list) and all(
        isinstance(one, dict)
        and isinstance(one.get("name"), str)
        and isinstance(one.get("sha256", ""), str)
        for one in given
    )


def _depth(value: object) -> int:
    level, depth = [value], 0
    while level and depth <= DEEPEST:
        depth += 1
        inner = [one for one in level if isinstance(one, dict | list)]
        level = [v for one in inner for v in (one.values() if isinstance(one, dict) else one)]
    return depth


def _marks(given: object) -> list[Mapping[str, Any]]:
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


def _sized(reading: Reading, found: Carried) -> Mapping[str, object]:
    """Where no size is told, it is that of the file."""
    if reading.own is not None or found.size is None or "width" in reading.fields:
        return reading.fields
    return {**reading.fields, "width": found.size[0], "height": found.size[1]}


def _inside(xmp: str, name: str) -> str:
    """The text in an element of XMP, or of its attribute."""
    begins, ends = xmp.find(f"<{name}"), xmp.find(f"</{name}>")
    if 0 <= begins < ends:
        return unescape(sub(r"<[^<>]*>", "", xmp[begins:ends])).strip()
    _, mark, rest = xmp.partition(f'{name}="')
    return unescape(rest.partition('"')[0]) if mark else ""
