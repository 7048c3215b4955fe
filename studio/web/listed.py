"""`/api/wildcards`: the lists that a prompt may call, with what is wrong with one."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.jobs.studio import Studio
from studio.web.answers import error_response, speaks
from studio.web.telling import Told
from studio.wildcards import find_wildcards

SOME, LONGEST = 5, 100  # values of a wildcard that are shown, and letters of each
faced = speaks(error_response)


def listed_routes(studio: Studio) -> list[Route]:
    here = Listed(studio)
    return [Route("/api/wildcards", faced(here.wildcards), methods=["GET"])]


class Listed:
    """The handlers; each docstring is what `/docs` shows."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    async def wildcards(self, request: Request) -> Response:
        """The lists that a prompt calls by __name__: how many values, the first, or its problem."""
        return JSONResponse({"wildcards": await asyncio.to_thread(tell_wildcards, self.studio)})


def tell_wildcards(studio: Studio) -> list[Told]:
    own = studio.settings.wildcard_folder
    return [
        {
            "name": name,
            "values": len(found.wildcard.values),
            "first": [value[:LONGEST] for value in found.wildcard.values[:SOME]],
            "file": found.file.name,
            "own": own in found.file.parents,
            "problem": found.wildcard.refused or None,
        }
        for name, found in find_wildcards(studio.settings).items()
    ]
