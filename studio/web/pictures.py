"""Finished pictures over HTTP, by their id in the database; no path ever comes from outside."""

import asyncio
import re
from pathlib import Path
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from studio.formats.filename import check_template
from studio.jobs.studio import Studio
from studio.store.giving import given_out, said_of
from studio.store.naming import ending_of, stem_of
from studio.store.rows import Picture
from studio.web.answers import error_response, speaks
from studio.web.described import asks
from studio.web.handed import FOREVER


def picture_routes(studio: Studio) -> list[Route]:
    @speaks(error_response)
    @asks("metadata", "download", "name")
    async def picture(request: Request) -> Response:
        """A picture. `metadata` is what it says of itself: all, parameters or none; `download=1`
        gives it a name."""
        found, path = await asyncio.to_thread(_find, request.path_params["id"])
        asked = request.query_params.get("metadata")
        said = said_of(asked, studio.settings.metadata)
        kind = f"image/{found.format}"
        if said == "all":
            answer: Response = FileResponse(path, media_type=kind)
        else:
            data = await asyncio.to_thread(given_out, studio.store, found, said)
            answer = Response(data, media_type=kind)
        # What is usual may be another tomorrow.
        answer.headers["Cache-Control"] = FOREVER if asked or said == "all" else "private, no-cache"
        if request.query_params.get("download"):
            name = template_of(request.query_params.get("name"))
            stem = await asyncio.to_thread(stem_of, studio.store, found, name)
            answer.headers["Content-Disposition"] = attachment(stem, ending_of(found))
        return answer

    @speaks(error_response)
    async def thumb(request: Request) -> Response:
        found = await asyncio.to_thread(studio.store.picture, request.path_params["id"])
        answer = FileResponse(
            await asyncio.to_thread(studio.store.thumb, found), media_type="image/webp"
        )
        answer.headers["Cache-Control"] = FOREVER
        return answer

    def _find(picture_id: str) -> tuple[Picture, Path]:
        found = studio.store.picture(picture_id)
        return found, studio.store.file(found)

    return [Route("/pictures/{id}", picture), Route("/thumbs/{id}", thumb)]


def template_of(given: str | None) -> str:
    if given:
        check_template(given, "name")
    return given or ""


def attachment(stem: str, ending: str) -> str:
    """For Content-Disposition: in letters that every browser takes, and before them as it is."""
    flat = stem.replace("/", "_")
    plain = re.sub(r"[^A-Za-z0-9._ -]+", "_", flat)
    return f"attachment; filename*=UTF-8''{quote(flat + ending)}; filename=\"{plain}{ending}\""
