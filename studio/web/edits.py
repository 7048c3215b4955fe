"""OpenAI's `images/edits` as a wish: its form or its JSON read, its pictures put where they belong.

A mask of OpenAI's is transparent where the picture may change; ours are white there.
"""

import base64
from collections.abc import Mapping

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from studio.errors import Refused
from studio.request import MAX_REFERENCES
from studio.web.answers import BadBody, read_object
from studio.wishes.catalog import Catalog

MOST_FIELDS = 100
# A form holds text alone; these fields are numbers.
NUMBERS = {
    *("n", "count", "num_images", "seed", "steps", "num_inference_steps", "guidance"),
    *("guidance_scale", "strength", "width", "height", "upscale"),
    *("partial_images", "output_compression"),
}
TRUTHS = {"true": True, "false": False}
GIVE = "give at least one picture, as a file or a data URL"


async def read_edit(request: Request) -> dict[str, object]:
    """The body as JSON would have it, pictures as data URLs."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await read_object(request)
    try:
        async with request.form(max_files=MAX_REFERENCES + 2, max_fields=MOST_FIELDS) as form:
            return await _fields(form)
    except HTTPException as error:
        raise BadBody(f"The form cannot be read: {error.detail}") from None


async def _fields(form: FormData) -> dict[str, object]:
    body: dict[str, object] = {}
    for name, value in form.multi_items():
        read = await _url(value) if isinstance(value, UploadFile) else _value(name, value)
        if name.endswith("[]"):
            several = body.setdefault(name.removesuffix("[]"), [])
            if isinstance(several, list):
                several.append(read)
                continue
        elif name not in body:
            body[name] = read
            continue
        raise Refused(f"{name}: it is given already; say it once.", field=name)
    return body


async def _url(file: UploadFile) -> str:
    return f"data:image/any;base64,{base64.b64encode(await file.read()).decode()}"


def _value(name: str, text: str) -> object:
    if name == "stream":
        return TRUTHS.get(text.lower(), text)
    if name not in NUMBERS:
        return text
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text  # refused with its own sentence


def as_wish(body: Mapping[str, object], catalog: Catalog) -> dict[str, object]:
    """Its first picture is begun from; all are references where the model takes those and nothing
    is masked."""
    fields = dict(body)
    for name in ("start_image", "references"):
        if fields.get(name) is not None:
            sentence = f"image: pictures are given here and nowhere else; leave {name} out."
            raise Refused(sentence, field="image")
    images, mask = _images(fields), fields.pop("mask", None)
    card = catalog.find(str(fields.get("model") or fields.get("model_mode") or ""))
    if not {"start_image", "mask", "references"} & card.can:
        raise Refused(f"model: {card.title} edits no pictures. Choose another.", field="model")
    if "references" in card.can and mask is None:
        return fields | {"references": images}
    fields["start_image"], *more = images
    if more and "references" not in card.can:
        sentence = f"image: {card.title} takes one picture; {len(images)} were given."
        raise Refused(sentence, field="image")
    if more:
        fields["references"] = more
    if mask is not None:
        fields["mask"] = {"transparent": _picture(mask, "mask")}
    return fields


def _images(fields: dict[str, object]) -> list[object]:
    """From `image`, one or several, or `images`, as OpenAI's JSON has it."""
    given, name = fields.pop("image", None), "image"
    if given is None:
        given, name = fields.pop("images", None), "images"
    images = given if isinstance(given, list) else [given]
    if not images or images == [None]:
        raise Refused(f"{name}: {GIVE}.", field=name)
    if len(images) > MAX_REFERENCES:
        raise Refused(
            f"{name}: {len(images)} are too many; the most is {MAX_REFERENCES}.", field=name
        )
    return [_picture(one, name) for one in images]


def _picture(given: object, name: str) -> object:
    if isinstance(given, dict):
        if set(given) != {"image_url"}:
            raise Refused(f"{name}: give it as {{image_url: a data URL}}.", field=name)
        return given["image_url"]
    return given


def in_its_words(error: Refused) -> Refused:
    """OpenAI knows no start images and no references, only images."""
    ours = error.field or ""
    if ours != "start_image" and not ours.startswith("references"):
        return error
    return Refused("image" + str(error).removeprefix(ours), field="image")
