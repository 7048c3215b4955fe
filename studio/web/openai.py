"""`/v1`: the images API of OpenAI, so that its own clients paint here by changing one address.

Fields this studio cannot honour are refused by name, never swallowed.
"""

import asyncio
import base64
import re
import time
from collections.abc import Mapping, Sequence
from typing import get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.errors import NotFound, Refused, sayable
from studio.jobs.studio import Studio
from studio.jobs.view import View
from studio.models.card import ModelCard
from studio.request import ImageRequest, Quality
from studio.store.giving import given_out
from studio.store.rows import Picture
from studio.web.answers import read_object, speaks
from studio.web.asking import OUTSIDE
from studio.web.described import TEXT, Schema, takes, wish_schema
from studio.web.edits import as_wish, in_its_words, read_edit
from studio.web.telling import Told
from studio.web.waiting import paint, those_painted, warnings_of
from studio.wishes.catalog import Catalog

QUALITY = {"low": "draft", "medium": "balanced", "high": "best", "standard": None, "hd": "best"}
# Fields of OpenAI's that mean nothing here, with the values that ask for nothing.
ONLY = {
    "background": ("auto", "opaque"),
    "moderation": ("auto", "low"),
    "input_fidelity": ("low",),
    "stream": (False,),
    "partial_images": (0,),
    "output_compression": (100,),
}
FORMS = ["b64_json", "url"]
WHY = {
    "stream": "this version answers once, when the picture is done; leave stream out.",
    "partial_images": "this version sends no partial pictures; leave it out.",
}


def openai_error(status: int, code: str, sentence: str, field: str | None = None) -> Response:
    status = 400 if status == 422 else status
    kind = "invalid_request_error" if status < 500 else "server_error"
    told = {
        "message": sayable(sentence),
        "type": kind,
        "param": field and sayable(field),
        "code": code,
    }
    # Its client sends again what ended with 409 or 500: a stopped picture would be painted yet.
    once = {} if status in (429, 503) else {"x-should-retry": "false"}
    return JSONResponse({"error": told}, status, once)


def _asked() -> Schema:
    """The fields of a wish, and OpenAI's own."""
    schema = wish_schema()
    fields = schema["properties"]
    qualities = [*QUALITY, *get_args(Quality), "auto", None]
    fields |= {name: {"enum": [*harmless, None]} for name, harmless in ONLY.items()}
    fields |= {"n": fields["count"], "size": TEXT, "quality": {"enum": qualities}}
    return schema | {"properties": fields | {"user": TEXT, "response_format": {"enum": FORMS}}}


faced = speaks(openai_error)


def openai_routes(studio: Studio) -> list[Route]:
    here = OpenAI(studio)
    return [
        Route("/v1/models", faced(here.models), methods=["GET"]),
        Route("/v1/models/{id:path}", faced(here.model), methods=["GET"]),
        Route("/v1/images/generations", faced(here.generations), methods=["POST"]),
        Route("/v1/images/edits", faced(here.edits), methods=["POST"]),
        Route("/v1/{rest:path}", faced(_unknown), methods=["GET", "POST", "PUT", "DELETE"]),
    ]


class OpenAI:
    """The handlers; each docstring is what `/docs` shows."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    async def models(self, request: Request) -> Response:
        """Every model, in OpenAI's form."""
        cards = self.studio.catalog.cards.values()
        return JSONResponse({"object": "list", "data": [_model(card) for card in cards]})

    async def model(self, request: Request) -> Response:
        """One model by name or alias."""
        try:
            return JSONResponse(_model(self.studio.catalog.find(request.path_params["id"])))
        except Refused as error:
            raise NotFound(str(error), field="model") from None

    @takes(_asked(), {"prompt": "a red car", "size": "auto", "n": 1})
    async def generations(self, request: Request) -> Response:
        """Paint and wait, as `/api/generate` does, whose fields it takes beside OpenAI's."""
        body = await read_object(request)
        return await self._painted(body, body, request)

    async def edits(self, request: Request) -> Response:
        """Paint from `image`, a form with files or JSON with data URLs; `mask` is transparent where
        it may change."""
        body = await read_edit(request)
        try:
            return await self._painted(as_wish(body, self.studio.catalog), body, request)
        except Refused as error:
            raise in_its_words(error) from None

    async def _painted(
        self, wish: Mapping[str, object], body: Mapping[str, object], request: Request
    ) -> Response:
        fields, url = _wish(wish, self.studio.catalog)
        views, lost = those_painted(await paint(self.studio.line, [fields], request))
        base = str(request.base_url) if url else None
        told = await asyncio.to_thread(self._answer, views, body, base)
        return JSONResponse(told | {"warnings": warnings_of(views, lost)})

    def _answer(self, views: Sequence[View], body: Mapping[str, object], base: str | None) -> Told:
        pictures = [picture for view in views for picture in view.pictures]
        first, job = pictures[0], views[0].job
        return {
            "created": int(job.finished_at or time.time()),
            "data": [self._datum(picture, base) for picture in pictures],
            "size": f"{first.width}x{first.height}",
            "output_format": first.format,
            "quality": body.get("quality") or "auto",
            "background": "opaque",
            # Beyond OpenAI's own, so that nothing is lost on the way.
            "model": job.model,
            "job_id": job.id,
            "jobs": [view.job.id for view in views],
        }

    def _datum(self, picture: Picture, base: str | None) -> Told:
        told: Told = {"seed": picture.seed, "revised_prompt": picture.prompt}
        if base:
            return told | {"url": f"{base}pictures/{picture.id}"}
        data = given_out(self.studio.store, picture, self.studio.settings.metadata)
        return told | {"b64_json": base64.b64encode(data).decode()}


def _wish(body: Mapping[str, object], catalog: Catalog) -> tuple[dict[str, object], bool]:
    """The fields of a wish, and whether the answer is to hold addresses instead of pictures."""
    fields = {name: value for name, value in body.items() if value is not None}
    for name, harmless in ONLY.items():
        value = fields.pop(name, harmless[0])
        if value not in harmless:
            why = WHY.get(name, f"{value!r} is not done here; leave it out.")
            raise Refused(f"{name}: {why}", field=name)
    form = fields.pop("response_format", "b64_json")
    if form not in FORMS:
        raise Refused(
            f"response_format: {form!r} is not one of b64_json, url.", field="response_format"
        )
    user = fields.pop("user", None)
    if user is not None:
        tags = fields.setdefault("tags", [])
        if isinstance(tags, list):  # anything else is refused with its own sentence
            fields["tags"] = [*tags, user]
    if "n" in fields:
        if "count" in fields:
            raise Refused("n: count is given already; say it once.", field="n")
        fields["count"] = fields.pop("n")
    _take_size(fields, catalog)
    _take_quality(fields)
    known = {*ImageRequest.model_fields, *OUTSIDE}
    for name in fields:
        if name not in known:
            raise Refused(f"{name} is not known here.", field=name)
    return fields, form == "url"


def _take_size(fields: dict[str, object], catalog: Catalog) -> None:
    """A size is that of the finished picture: what will be enlarged is painted smaller."""
    size = fields.pop("size", "auto")
    if size == "auto":
        return
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size) if isinstance(size, str) else None
    if found is None:
        raise Refused(f"size: {str(size)[:40]!r} is not auto, nor like 1024x1024.", field="size")
    if "width" in fields or "height" in fields:
        raise Refused("size: give either size or width and height, not both.", field="size")
    width, height = int(found[1]), int(found[2])
    card = catalog.find(str(fields.get("model") or fields.get("model_mode") or ""))
    asked = fields.get("upscale")
    # Unasked, as the card does it, or else in any way that gives this size.
    ways = (card.upscale, 1, 2, 4) if asked is None else [n for n in (1, 2, 4) if n == asked]
    for times in ways:
        small = (width // times, height // times)
        if card.size_objection(*small) is None and (width % times, height % times) == (0, 0):
            fields |= {"width": small[0], "height": small[1], "upscale": times}
            return
    if asked is not None and ways:
        raise Refused(
            f"size: {size} is not {asked} times a size that {card.title} paints.", field="size"
        )
    raise Refused(
        f"size: {size} is not what {card.title} paints. A side is {card.min_side} to "
        f"{card.max_side} in steps of {card.size_step}, or enlarged 2 or 4 times.",
        field="size",
    )


def _take_quality(fields: dict[str, object]) -> None:
    quality = fields.get("quality")
    if quality == "auto":
        del fields["quality"]
    elif isinstance(quality, str) and quality in QUALITY:
        fields["quality"] = QUALITY[quality]


def _model(card: ModelCard) -> Told:
    return {"id": card.name, "object": "model", "created": 0, "owned_by": "darkroom"}


async def _unknown(request: Request) -> Response:
    raise NotFound(f"There is no {request.method} {request.url.path[:200]} here; see /docs.")
