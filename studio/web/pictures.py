"""Finished pictures over HTTP, by their id in the database; no path ever comes from outside."""

import asyncio
import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from studio.jobs.studio import Studio
from studio.store.rows import Picture
from studio.web.answers import error_response, speaks

# A picture never changes under its id, so a browser may keep it for good.
FOREVER = "private, max-age=31536000, immutable"


def picture_routes(studio: Studio) -> list[Route]:
    @speaks(error_response)
    async def picture(request: Request) -> Response:
        found, path = await asyncio.to_thread(_find, request.path_params["id"])
        answer = FileResponse(path, media_type=f"image/{found.format}")
        answer.headers["Cache-Control"] = FOREVER
        if request.query_params.get("download"):
            answer.headers["Content-Disposition"] = f'attachment; filename="{file_name(found)}"'
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


ENDINGS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}


def file_name(picture: Picture) -> str:
    """What the asker called it, or its model and seed; only characters safe on every system."""
    wished = str(picture.recipe.get("request", {}).get("filename") or "")
    ending = ENDINGS[picture.format]
    stem = re.sub(r"[^A-Za-z0-9._ -]+", "_", re.sub(r"\.(png|jpe?g|webp)$", "", wished, flags=re.I))
    stem = stem.strip(" .") or f"{picture.model}-{picture.seed}"
    return (
        f"{stem[:100]}{ending}" if picture.index == 0 else f"{stem[:100]}-{picture.index}{ending}"
    )
