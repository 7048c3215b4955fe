"""`/api/wildcards` and `/api/looks`: what a prompt may call and wear.

With what is wrong with one; looks are taken in and given out as styles of A1111.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.errors import Unavailable, sayable
from studio.jobs.studio import Studio
from studio.web.answers import error_response, speaks, yes_or_no
from studio.web.described import asks, brings
from studio.web.telling import Told
from studio.wishes.look_folder import give_styles, remove_look, survey, take_styles
from studio.wishes.looks import Look
from studio.wishes.wildcards import find_wildcards

SOME, LONGEST = 5, 100  # values of a wildcard that are shown, and letters of each
Answer = TypeVar("Answer")
faced = speaks(error_response)


def listed_routes(studio: Studio) -> list[Route]:
    here = Listed(studio)
    return [
        Route("/api/wildcards", faced(here.wildcards), methods=["GET"]),
        Route("/api/looks", faced(here.looks), methods=["GET"]),
        Route("/api/looks", faced(here.take), methods=["POST"]),
        Route("/api/looks.csv", faced(here.give), methods=["GET"]),
        Route("/api/looks/{name}", faced(here.remove), methods=["DELETE"]),
    ]


class Listed:
    """The handlers; each docstring is what `/docs` shows."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    async def wildcards(self, request: Request) -> Response:
        """The lists that a prompt calls by __name__: how many values, the first, or its problem."""
        return JSONResponse({"wildcards": await asyncio.to_thread(tell_wildcards, self.studio)})

    async def looks(self, request: Request) -> Response:
        """Every look: its words, LoRAs and settings, or its problem."""
        return JSONResponse({"looks": await asyncio.to_thread(tell_looks, self.studio)})

    @brings("text/csv")
    @asks("replace")
    async def take(self, request: Request) -> Response:
        """Take in a styles.csv, the body, as looks of your own; `replace=yes` where it may change
        those of the same names. All of it or none."""
        replace = yes_or_no(request.query_params.get("replace") or "no", "replace")
        data, folder = await request.body(), self.studio.settings.look_folder
        taken = await self._writing(lambda: take_styles(data, folder, replace=replace))
        return JSONResponse(asdict(taken))

    async def give(self, request: Request) -> Response:
        """All looks as styles.csv. What a style cannot hold is left out of it."""
        data, _ = await asyncio.to_thread(give_styles, self.studio.catalog.looks.values())
        headers = {"Content-Disposition": 'attachment; filename="styles.csv"'}
        return Response(data, media_type="text/csv; charset=utf-8", headers=headers)

    async def remove(self, request: Request) -> Response:
        """Remove a look of your own."""
        name, folder = request.path_params["name"], self.studio.settings.look_folder
        await self._writing(lambda: remove_look(name, folder))
        return await self.looks(request)

    async def _writing(self, act: Callable[[], Answer]) -> Answer:
        if self.studio.store.reading:
            raise Unavailable(self.studio.store.reading)
        return await asyncio.to_thread(act)


def tell_wildcards(studio: Studio) -> list[Told]:
    own = studio.settings.wildcard_folder
    return [
        {
            "name": found.wildcard.name,
            "values": len(found.wildcard.values),
            "first": [value[:LONGEST] for value in found.wildcard.values[:SOME]],
            "file": sayable(found.file.name),
            "own": own in found.file.parents,
            "problem": found.wildcard.refused or None,
        }
        for found in find_wildcards(studio.settings).values()
    ]


def tell_looks(studio: Studio) -> list[Told]:
    """Those that can be worn, and then what lies in the folder and cannot."""
    own = survey(studio.settings.look_folder)
    told = [
        {
            "name": name,
            "title": look.title,
            "prompt": look.prompt,
            "negative": look.negative,
            "simple": look.simple or None,
            "loras": [use.model_dump() for use in look.loras],
            "settings": look.settings,
            "own": name in own,
            "problem": None,
        }
        for name, look in studio.catalog.looks.items()
    ]
    broken = {name: why for name, why in own.items() if not isinstance(why, Look)}
    return told + [{"name": name, "own": True, "problem": why} for name, why in broken.items()]
