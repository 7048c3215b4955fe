"""`/api/bulk`: a file of many pictures, checked, run, followed and exported over plain HTTP.

Thin: `jobs.bulk` does it, and here it is read and told. Each docstring is what `/docs` shows.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.errors import Refused
from studio.formats.bulk.read import decode
from studio.jobs.bulk import Unsound, check, once_more, run, stop_rest
from studio.jobs.bulk_export import export, export_bulk
from studio.jobs.studio import Studio
from studio.store.bulks import Bulks
from studio.store.rows import Bulk, State
from studio.web.answers import (
    error_response,
    ids_of,
    known_only,
    number,
    read_object,
    speaks,
    text_of,
    yes_or_no,
)
from studio.web.bulk_telling import cost_of, tell_bulk, tell_plan, tell_remarks
from studio.web.described import asks, takes
from studio.web.pictures import attachment
from studio.web.telling import Told
from studio.web.waiting import key_of

AT_ONCE = 2  # files that are read; 10,000 pictures take a second or two
MOST_ROWS = 10_000
FINAL: dict[str, tuple[State, ...]] = {"failed": ("failed",), "stopped": ("cancelled",)}
Found = TypeVar("Found")
faced = speaks(error_response)


@dataclass(frozen=True, slots=True)
class Asked:
    text: str
    name: str = ""
    form: str | None = None
    dry_run: bool = False
    again: bool = False


BODY = TypeAdapter(Asked).json_schema()


def bulk_routes(studio: Studio) -> list[Route]:
    here = BulkRest(studio)
    return [
        Route("/api/bulk", faced(here.begin), methods=["POST"]),
        Route("/api/bulk", faced(here.newest), methods=["GET"]),
        Route("/api/bulk/export", faced(here.export), methods=["POST"]),
        Route("/api/bulk/{id}", faced(here.one), methods=["GET"]),
        Route("/api/bulk/{id}", faced(here.stop), methods=["DELETE"]),
        Route("/api/bulk/{id}/again", faced(here.again), methods=["POST"]),
        Route("/api/bulk/{id}/export", faced(here.export_one), methods=["GET"]),
    ]


class BulkRest:
    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._readers = ThreadPoolExecutor(AT_ONCE, "bulk")

    @takes(BODY, {"text": "- a red car {seed: 7}\n", "dry_run": True}, "text/markdown")
    @asks("name", "form", "dry_run", "again")
    async def begin(self, request: Request) -> Response:
        """Run a bulk file, all of it or nothing: the file itself as the body, with `name`, `form`,
        `dry_run` and `again` in the address, or JSON with `text`. docs/bulk.md says how it is
        written. `dry_run` writes nothing down and answers with all that is wrong and what it would
        cost; `again` paints also what is painted or waits already."""
        asked = await _asked(request)
        if asked.dry_run:
            return JSONResponse(await self._in_turn(self._check, asked))
        try:
            bulk = await self._in_turn(self._run, asked, key_of(request))
        except Unsound as error:
            told = {"code": error.code, "message": str(error), "field": error.field}
            problems = tell_remarks(error.plan.problems)
            return JSONResponse({"error": told, "problems": problems}, error.status)
        told = await asyncio.to_thread(tell_bulk, self.studio, bulk)
        return JSONResponse(told, 202, {"Location": f"/api/bulk/{bulk.id}"})

    @asks("limit")
    async def newest(self, request: Request) -> Response:
        """The newest bulk files with the states of their pictures; `limit`."""
        limit = number(request.query_params, "limit", 20, 1, 200)

        def told() -> list[Told]:
            found = Bulks(self.studio.store.database).newest(limit)
            return [tell_bulk(self.studio, bulk, MOST_ROWS, 0) for bulk in found]

        return JSONResponse({"bulks": await asyncio.to_thread(told)})

    @asks("limit", "after")
    async def one(self, request: Request) -> Response:
        """One bulk file: each picture with its line and its state, or its error; `limit`, and
        `after` with the `next` of the last answer."""
        asked = request.query_params
        limit = number(asked, "limit", MOST_ROWS, 1, MOST_ROWS)
        after = number(asked, "after", 0, 0, 2**31 - 1) if "after" in asked else -1
        bulk = await self._bulk(request)
        return JSONResponse(await asyncio.to_thread(tell_bulk, self.studio, bulk, after, limit))

    async def stop(self, request: Request) -> Response:
        """Take what waits of it out of the line. What is being painted is finished."""
        bulk = await self._bulk(request)
        await asyncio.to_thread(stop_rest, self.studio.line, bulk.id)
        return JSONResponse(await asyncio.to_thread(tell_bulk, self.studio, bulk))

    async def again(self, request: Request) -> Response:
        """Paint what failed once more, and nothing else of it; `{"what": "stopped"}` does so with
        what was stopped."""
        bulk = await self._bulk(request)
        what = (await read_object(request) if await request.body() else {}).get("what", "failed")
        if what not in FINAL:
            raise Refused(f"what: {what!r} is not failed or stopped.", field="what")
        await asyncio.to_thread(once_more, self.studio.line, bulk.id, FINAL[str(what)])
        return JSONResponse(await asyncio.to_thread(tell_bulk, self.studio, bulk), 202)

    async def export(self, request: Request) -> Response:
        """Pictures of the history, by their `ids` or by a search `q`, as a bulk file that paints
        them again."""
        fields = await read_object(request)
        known_only(fields, ("ids", "q"))
        which = ids_of(fields), text_of(fields, "q")
        return _file(await self._in_turn(export, self.studio.line, *which), "pictures")

    async def export_one(self, request: Request) -> Response:
        """What was painted of a bulk file, as a bulk file with seeds and settings."""
        bulk = await self._bulk(request)
        text = await self._in_turn(export_bulk, self.studio.line, bulk.id)
        return _file(text, bulk.name.rpartition(".")[0] or "pictures")

    def _check(self, asked: Asked) -> Told:
        line = self.studio.line
        plan = check(line, asked.text, asked.name, asked.form, again=asked.again)
        return tell_plan(plan, cost_of(self.studio, plan))

    def _run(self, asked: Asked, key: str | None) -> Bulk:
        line = self.studio.line
        return run(line, asked.text, asked.name, asked.form, key=key, again=asked.again)

    async def _bulk(self, request: Request) -> Bulk:
        find = Bulks(self.studio.store.database).find
        return await asyncio.to_thread(find, request.path_params["id"])

    async def _in_turn(self, act: Callable[..., Found], *given: object) -> Found:
        here = asyncio.get_running_loop()
        return await here.run_in_executor(self._readers, act, *given)


def _file(text: str, stem: str) -> Response:
    headers = {"Content-Disposition": attachment(stem, ".md")}
    return Response(text, media_type="text/markdown; charset=utf-8", headers=headers)


async def _asked(request: Request) -> Asked:
    if request.headers.get("content-type", "").startswith("application/json"):
        fields = await read_object(request)
    else:
        fields = {**request.query_params, "text": decode(await request.body())}
    known = Asked.__dataclass_fields__
    known_only(fields, known)
    for name, value in fields.items():
        if known[name].type is bool:
            fields[name] = yes_or_no(value, name)
        elif not isinstance(value, str) and not (name == "form" and value is None):
            raise Refused(f"{name}: give text.", field=name)
    if "text" not in fields:
        raise Refused("text: it is missing; give the file, or its text.", field="text")
    return Asked(**fields)  # type: ignore[arg-type]
