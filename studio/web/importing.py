"""Pictures handed in to stay: `/api/pictures/import` takes one as its body, or several of a form.

How they are read and what becomes of them is the business of the store. `/api/imports` tells of
folders that `app.py import` handed over; no path ever comes from outside.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.errors import Refused
from studio.jobs.studio import Studio
from studio.store import handover
from studio.store.importing import Given, Outcome, take_in
from studio.web.answers import error_response, speaks
from studio.web.described import asks, brings
from studio.web.telling import Told, tell_picture

KINDS = ("image/png", "image/jpeg", "image/webp", "application/octet-stream", "multipart/form-data")
MOST_FILES = 200
MOST_LEFT = 100  # are named


def import_routes(studio: Studio) -> list[Route]:
    one_by_one = ThreadPoolExecutor(1, "import")  # any number may wait here, and hold up nobody

    @speaks(error_response)
    @brings(*KINDS)
    @asks("name")
    async def bring(request: Request) -> Response:
        """Take pictures into the history with what they say of themselves: a file as the body, with
        its `name`, or several files of a form. The same content comes in once."""
        given = await _given(request)
        here = asyncio.get_running_loop()
        outcomes = await here.run_in_executor(
            one_by_one, lambda: list(take_in(studio.store, given))
        )
        told = [await asyncio.to_thread(_told, studio, outcome) for outcome in outcomes]
        return JSONResponse({"pictures": told})

    @speaks(error_response)
    async def imports(request: Request) -> Response:
        """Folders that `app.py import` handed over: how far each is, and what did not come in."""
        told = await asyncio.to_thread(handover.all_told, studio.settings.data)
        return JSONResponse({"imports": [_import(key, one) for key, one in told.items()]})

    @speaks(error_response)
    async def stop(request: Request) -> Response:
        """Take in no more of a folder. What has come in stays; the same import goes on later."""
        key = request.path_params["id"]
        await asyncio.to_thread(handover.stop, studio.settings.data, key)
        return JSONResponse({"id": key, "stopping": True}, 202)

    return [
        Route("/api/pictures/import", bring, methods=["POST"]),
        Route("/api/imports", imports, methods=["GET"]),
        Route("/api/imports/{id}", stop, methods=["DELETE"]),
    ]


async def _given(request: Request) -> Sequence[Given]:
    now, kind = time.time(), request.headers.get("content-type", "").lower()
    if not kind.startswith("multipart/form-data"):
        name = request.query_params.get("name") or "picture"
        return [Given(name[:200], await request.body(), now)]
    async with request.form(max_files=MOST_FILES) as form:
        files = [one for _, one in form.multi_items() if isinstance(one, UploadFile)]
        given = [Given((one.filename or "picture")[:200], await one.read(), now) for one in files]
    if not given:
        raise Refused("There is no file in the form.")
    return given


def _import(key: str, told: handover.Told) -> Told:
    tally = told.tally
    left = [{"name": name, "why": why} for name, why in tally.left[:MOST_LEFT]]
    return {
        "id": key,
        "name": told.name,
        "state": told.state,
        "error": told.said or None,
        "total": told.total,
        "looked": tally.looked,
        "new": tally.new,
        "known": tally.known,
        "failed": len(tally.left),
        "left": left,
    }


def _told(studio: Studio, outcome: Outcome) -> Told:
    told: Told = {"name": outcome.name, "known": outcome.known, "why": outcome.why or None}
    found = studio.store.picture(outcome.picture) if outcome.picture else None
    return told | {"picture": found and tell_picture(found)}
