"""`/api/pictures`: the history searched, counted and marked over plain HTTP.

Thin: `store.history` does it, and here it is read and told. Each docstring is what `/docs` shows.
"""

import asyncio
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.errors import Refused
from studio.jobs.studio import Studio
from studio.store.history import Counted, Kept, Page
from studio.store.marks import read_marks
from studio.store.pages import sort_of
from studio.web.answers import error_response, number, read_object, speaks
from studio.web.telling import Told, tell_picture

faced = speaks(error_response)


def history_routes(studio: Studio) -> list[Route]:
    here = Rest(studio)
    return [
        Route("/api/pictures", faced(here.search), methods=["GET"]),
        Route("/api/pictures/facets", faced(here.facets), methods=["GET"]),
        Route("/api/pictures/mark", faced(here.mark), methods=["POST"]),
        Route("/api/pictures/trash/empty", faced(here.empty_trash), methods=["POST"]),
        Route("/api/pictures/{id}", faced(here.one), methods=["GET"]),
        Route("/api/pictures/{id}", faced(here.change), methods=["PATCH"]),
        Route("/api/pictures/{id}", faced(here.throw_away), methods=["DELETE"]),
    ]


class Rest:
    def __init__(self, studio: Studio) -> None:
        self.history = studio.store.history

    async def search(self, request: Request) -> Response:
        """Search the history: `q` as in docs/search.md, `sort` newest, oldest, rating or relevance,
        `limit`, and `after` with the `next` of the last answer."""
        asked = request.query_params
        found = await asyncio.to_thread(
            self.history.search,
            asked.get("q", ""),
            sort=sort_of(asked.get("sort", "newest")),
            after=asked.get("after"),
            limit=number(asked, "limit", 50, 1, 200),
        )
        return JSONResponse(tell_page(found))

    async def facets(self, request: Request) -> Response:
        """How many of what `q` finds have which model, look, LoRA, size, day, rating, tag..."""
        q = request.query_params.get("q", "")
        return JSONResponse(tell_counted(await asyncio.to_thread(self.history.facets, q)))

    async def one(self, request: Request) -> Response:
        """One picture, with its recipe and what was said of it; also from the trash."""
        kept = await asyncio.to_thread(self.history.one, request.path_params["id"])
        return JSONResponse(tell_kept(kept) | {"recipe": kept.picture.recipe})

    async def change(self, request: Request) -> Response:
        """Mark a picture: `star`, `rating` 0 to 5, `add_tags`, `remove_tags`, `trash`."""
        return await self._mark_one(request, await read_object(request))

    async def throw_away(self, request: Request) -> Response:
        """Into the trash. PATCH with {"trash": false} takes it out again."""
        return await self._mark_one(request, {"trash": True})

    async def mark(self, request: Request) -> Response:
        """Mark many: `ids`, or `q` for all that a search finds, with what PATCH of one takes.
        All of them or none."""
        fields = await read_object(request)
        ids, q = ids_of(fields), text_of(fields, "q")
        what = read_marks({k: v for k, v in fields.items() if k not in ("ids", "q")})
        changed = await asyncio.to_thread(self.history.mark, ids, what, q=q)
        return JSONResponse({"changed": changed})

    async def empty_trash(self, request: Request) -> Response:
        """End for good what lies in the trash: all of it, or `ids`. Their files go, too."""
        fields = await read_object(request) if await request.body() else {}
        known_only(fields, ("ids",))
        ended = await asyncio.to_thread(self.history.empty_trash, ids_of(fields))
        return JSONResponse({"ended": ended})

    async def _mark_one(self, request: Request, fields: Mapping[str, object]) -> Response:
        picture, what = request.path_params["id"], read_marks(fields)
        await asyncio.to_thread(self.history.mark, [picture], what)
        return JSONResponse(tell_kept(await asyncio.to_thread(self.history.one, picture)))


def tell_kept(kept: Kept) -> Told:
    return tell_picture(kept.picture) | {
        "star": kept.star,
        "rating": kept.rating,
        "tags": list(kept.tags),
        "trashed_at": kept.trashed_at,
    }


def tell_page(page: Page) -> Told:
    told = [tell_kept(kept) for kept in page.pictures]
    return {"pictures": told, "next": page.next, "total": page.total, "notes": list(page.notes)}


def tell_counted(counted: Counted) -> Told:
    told = {
        name: {
            "values": [{"value": value, "count": count} for value, count in facet.values],
            "more": facet.more,
        }
        for name, facet in counted.facets.items()
    }
    return {"total": counted.total, "facets": told, "notes": list(counted.notes)}


def ids_of(fields: Mapping[str, object]) -> Sequence[str] | None:
    ids = fields.get("ids")
    if ids is None:
        return None
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise Refused("ids: give a list of the ids of pictures.", field="ids")
    return ids


def text_of(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise Refused(f"{name}: {str(value)[:40]!r} is not text.", field=name)
    return value


def known_only(fields: Mapping[str, object], names: Sequence[str]) -> None:
    for name in fields:
        if name not in names:
            raise Refused(f"{name} is not known here; there are {', '.join(names)}.", field=name)
