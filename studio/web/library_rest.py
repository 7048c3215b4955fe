"""`/api/models`, `/api/upscalers`, `/api/checkers`, `/api/loras`: what there is to paint with,
how it comes, enters the memory of a slot and leaves it.
"""

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.jobs.fetching import find_parcel
from studio.jobs.studio import Studio
from studio.models.parcels import Parcel
from studio.web.answers import error_response, speaks
from studio.web.telling import (
    tell_checkers,
    tell_loras,
    tell_model,
    tell_models,
    tell_parcel,
    tell_upscalers,
)

faced = speaks(error_response)


def library_routes(studio: Studio) -> list[Route]:
    here = Library(studio)
    return [
        Route("/api/models", faced(here.models), methods=["GET"]),
        Route("/api/models/{name}/pull", faced(here.pull), methods=["POST"]),
        Route("/api/models/{name}/pull", faced(here.stop_pull), methods=["DELETE"]),
        Route("/api/models/{name}/load", faced(here.load), methods=["POST"]),
        Route("/api/models/{name}/release", faced(here.release), methods=["POST"]),
        Route("/api/upscalers", faced(here.upscalers), methods=["GET"]),
        Route("/api/checkers", faced(here.checkers), methods=["GET"]),
        Route("/api/loras", faced(here.loras), methods=["GET"]),
    ]


class Library:
    """The handlers; each docstring is what `/docs` shows."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    async def models(self, request: Request) -> Response:
        """Every model: what it can do, its sizes, and whether it is on this machine."""
        return JSONResponse({"models": await asyncio.to_thread(tell_models, self.studio)})

    async def upscalers(self, request: Request) -> Response:
        """What can enlarge pictures, the best that is on this machine first."""
        return JSONResponse({"upscalers": await asyncio.to_thread(tell_upscalers, self.studio)})

    async def checkers(self, request: Request) -> Response:
        """What can look for unsafe pictures, and whether it is on this machine."""
        return JSONResponse({"checkers": await asyncio.to_thread(tell_checkers, self.studio)})

    async def loras(self, request: Request) -> Response:
        """Every LoRA on this machine: the models it fits, its words and hashes, or its problem."""
        return JSONResponse({"loras": await asyncio.to_thread(tell_loras, self.studio)})

    async def pull(self, request: Request) -> Response:
        """Fetch a model, an upscaler or a checker. Answers at once; its `fetching` tells how far it
        is."""
        return await self._of_parcel(request, self.studio.fetching.begin)

    async def stop_pull(self, request: Request) -> Response:
        """Fetch it no further. What has come is kept for the next time."""
        return await self._of_parcel(request, self.studio.fetching.stop)

    async def load(self, request: Request) -> Response:
        """Load a model into an idle slot before a picture asks for it."""
        return await self._kept(request, here=True)

    async def release(self, request: Request) -> Response:
        """Let a model out of every slot's memory."""
        return await self._kept(request, here=False)

    async def _of_parcel(self, request: Request, act: Callable[[Parcel], None]) -> Response:
        studio, name = self.studio, request.path_params["name"]
        parcel = await asyncio.to_thread(find_parcel, name, studio.catalog, studio.settings)
        await asyncio.to_thread(act, parcel)
        return JSONResponse(await asyncio.to_thread(tell_parcel, studio, parcel), 202)

    async def _kept(self, request: Request, *, here: bool) -> Response:
        card = self.studio.catalog.find(request.path_params["name"])
        await asyncio.to_thread(self.studio.line.keep_loaded, card.name, here=here)
        return JSONResponse(await asyncio.to_thread(tell_model, self.studio, card), 202)
