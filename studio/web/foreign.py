"""Pictures of any tool over HTTP: read, and painted again.

A picture comes as the body itself, as a data URL, or by its id in the history. What it says is
answered as `Honoured.told` has it; nothing is kept of a picture that is only read.
"""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.errors import Refused
from studio.jobs.studio import Studio
from studio.request import PICTURE
from studio.store.rows import Job
from studio.web.answers import error_response, known_only, read_object, speaks, yes_or_no
from studio.web.described import asks
from studio.web.handed import bytes_of, is_picture
from studio.web.telling import Told, tell_job
from studio.web.waiting import key_of

AT_ONCE = 2  # who reads or compares holds up nobody who looks on


def foreign_routes(studio: Studio) -> list[Route]:
    patient = ThreadPoolExecutor(AT_ONCE, "foreign")

    @speaks(error_response)
    @asks("hashes")
    async def read(request: Request) -> Response:
        """What a picture of any tool says: its file as the body, {"image": a data URL} or
        {"picture": an id}. Answers the tool and its version, the `wish` it is here, the `model` and
        `loras` found again, and what is `not_understood` and `not_honoured`, each in a sentence.
        With "hashes": true (or ?hashes=1) large models are read for theirs."""
        given = await _given(request, ("hashes",))
        deep = yes_or_no(given.pop("hashes", False), "hashes")
        here = asyncio.get_running_loop()
        told = await here.run_in_executor(patient, read_told, studio, _one_of(given), deep)
        return JSONResponse(told)

    @speaks(error_response)
    @asks("model")
    async def rerun(request: Request) -> Response:
        """Paint a picture of any tool again, as near as can be: its file as the body, an `image` or
        a `picture`; `model` paints it where its own is not here. `rerun` of the job says at its end
        what came of it, and what could not be honoured."""
        given, key = await _given(request, ("model",)), key_of(request)
        model = given.pop("model", "")
        if not isinstance(model, str):
            raise Refused("model: give its name.", field="model")
        here = asyncio.get_running_loop()
        job = await here.run_in_executor(
            patient, lambda: rerun_of(studio, _one_of(given), model, key)
        )
        told = tell_job(await asyncio.to_thread(studio.line.view, job.id))
        return JSONResponse(told, 202, {"Location": f"/api/jobs/{job.id}"})

    return [
        Route("/api/read", read, methods=["POST"]),
        Route("/api/rerun", rerun, methods=["POST"]),
    ]


def read_told(studio: Studio, given: bytes | str, deep: bool) -> Told:
    """Of one of the history, what the history knows of it."""
    if isinstance(given, str) and re.fullmatch(PICTURE, given):
        return studio.line.read(studio.store.picture(given), deep=deep).told()
    return studio.line.read(_data(given), deep=deep).told()


def rerun_of(studio: Studio, given: bytes | str, model: str, key: str | None) -> Job:
    if isinstance(given, str) and re.fullmatch(PICTURE, given):
        return studio.line.rerun(given, model=model, key=key)
    return studio.line.rerun_file(_data(given), model=model, key=key)


def _data(given: bytes | str) -> bytes:
    return given if isinstance(given, bytes) else bytes_of(given, "image")


async def _given(request: Request, more: tuple[str, ...]) -> dict[str, object]:
    """The fields, with the body as the `image` where it is one."""
    if is_picture(request):
        known = {name: request.query_params[name] for name in more if name in request.query_params}
        return {**known, "image": await request.body()}
    fields = await read_object(request)
    known_only(fields, ("image", "picture", *more))
    return fields


def _one_of(given: dict[str, object]) -> bytes | str:
    ways = [value for name in ("image", "picture") if (value := given.get(name)) is not None]
    if len(ways) != 1 or not isinstance(ways[0], bytes | str):
        raise Refused("image: give one of image, a data URL, and picture, an id.", field="image")
    return ways[0]
