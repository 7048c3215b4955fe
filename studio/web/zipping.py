"""Many pictures as one ZIP over HTTP: sent as fast as it is taken, and no further than that.

Whoever hangs up ends it. What is in the ZIP is the business of the store.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from threading import Lock
from typing import Any

from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from studio.errors import Refused
from studio.jobs.studio import Studio
from studio.store.giving import said_of
from studio.store.packing import pack
from studio.store.selecting import selected
from studio.web.answers import error_response, known_only, read_object, speaks
from studio.web.described import asks
from studio.web.pictures import attachment, template_of

ENOUGH = 1 << 18  # bytes that are worth a turn of the loop
READERS = 2  # a slow client holds none: each is asked for one piece at a time
FIELDS = ("ids", "job", "batch", "q", "name", "metadata")


def zip_routes(studio: Studio) -> list[Route]:
    readers = ThreadPoolExecutor(READERS, "zip")

    async def zip_of(given: Mapping[str, object]) -> Response:
        asked = _read(given)
        name = template_of(asked.pop("name", ""))
        said = said_of(asked.pop("metadata", None), studio.settings.metadata)
        ids = await asyncio.to_thread(lambda: selected(studio.store, **asked))
        stem = f"darkroom-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
        return Stream(pack(studio.store, ids, name, said), readers, attachment(stem, ".zip"))

    @speaks(error_response)
    @asks(*FIELDS)
    async def get(request: Request) -> Response:
        """Pictures as one ZIP with their recipes in a manifest: of `ids` with commas, a `job`, a
        `batch`, or all that `q` finds; `name` is a template for the files in it, `metadata` what
        they say."""
        return await zip_of(_several(request.query_params))

    @speaks(error_response)
    async def post(request: Request) -> Response:
        """The same, of a form or of JSON, for more `ids` than an address has room for."""
        kind = request.headers.get("content-type", "")
        form = kind.startswith("application/x-www-form-urlencoded")
        return await zip_of(_several(await request.form()) if form else await read_object(request))

    return [
        Route("/api/pictures/zip", get, methods=["GET"]),
        Route("/api/pictures/zip", post, methods=["POST"]),
    ]


class Stream(StreamingResponse):
    """Its source is closed with it, whoever ends it."""

    def __init__(
        self, source: Iterator[bytes], readers: ThreadPoolExecutor, disposition: str
    ) -> None:
        self._source, self._readers, self._turn = source, readers, Lock()
        headers = {"Content-Disposition": disposition, "Cache-Control": "no-store"}
        super().__init__(self._sent(), headers=headers, media_type="application/zip")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self.body_iterator):  # type: ignore[type-var]
            await super().__call__(scope, receive, send)

    async def _sent(self) -> AsyncIterator[bytes]:
        here = asyncio.get_running_loop()
        try:
            while piece := await here.run_in_executor(self._readers, self._next):
                yield piece
        finally:
            self._readers.submit(self._close)

    def _next(self) -> bytes:
        """A piece worth sending; nothing at the end."""
        piece = bytearray()
        with self._turn:
            for more in self._source:
                piece += more
                if len(piece) >= ENOUGH:
                    break
        return bytes(piece)

    def _close(self) -> None:
        with self._turn:  # a piece may still be on its way
            close = getattr(self._source, "close", None)
            if close:
                close()


def _several(given: ImmutableMultiDict[str, Any]) -> dict[str, object]:
    """Ids may be given one by one, by the same name."""
    return {**given, "ids": given.getlist("ids")} if "ids" in given else dict(given)


def _read(given: Mapping[str, object]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    known_only(given, FIELDS)
    for field, value in given.items():
        if field == "ids":
            found["ids"] = _ids(value)
        elif not isinstance(value, str):
            raise Refused(f"{field}: give text.", field=field)
        elif value or field == "q":
            found["job_id" if field == "job" else field] = value
    return found


def _ids(value: object) -> list[str]:
    """A list, or the text of one with commas, as forms and addresses have it."""
    ids = [value] if isinstance(value, str) else value
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise Refused("ids: give a list of ids, or one text with commas.", field="ids")
    return [one for text in ids for one in text.split(",") if one]
