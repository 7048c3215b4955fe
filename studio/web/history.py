"""`/api/pictures`: the history searched, counted and marked over plain HTTP.

Thin: `store.history` does it, and here it is read and told. Each docstring is what `/docs` shows.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.jobs.studio import Studio
from studio.store.history import Counted, Page
from studio.store.kept import Kept
from studio.store.marks import read_marks
from studio.store.pages import sort_of
from studio.store.pairing import Pair
from studio.store.together import together_of
from studio.web.answers import (
    error_response,
    ids_of,
    known_only,
    needed,
    number,
    read_object,
    speaks,
    text_of,
)
from studio.web.described import asks
from studio.web.telling import Told, tell_picture

faced = speaks(error_response)


def history_routes(studio: Studio) -> list[Route]:
    here = Rest(studio)
    return [
        Route("/api/pictures", faced(here.search), methods=["GET"]),
        Route("/api/pictures/facets", faced(here.facets), methods=["GET"]),
        Route("/api/pictures/mark", faced(here.mark), methods=["POST"]),
        Route("/api/pictures/trash/empty", faced(here.empty_trash), methods=["POST"]),
        Route("/api/pictures/duplicates", faced(here.duplicates), methods=["GET"]),
        Route("/api/pictures/{id}", faced(here.one), methods=["GET"]),
        Route("/api/pictures/{id}", faced(here.change), methods=["PATCH"]),
        Route("/api/pictures/{id}", faced(here.throw_away), methods=["DELETE"]),
        Route("/api/pictures/{id}/lineage", faced(here.lineage), methods=["GET"]),
        Route("/api/pictures/{id}/variants", faced(here.variants), methods=["GET"]),
        Route("/api/pictures/{id}/near", faced(here.near), methods=["GET"]),
        Route("/api/choices", faced(here.choose), methods=["POST"]),
        Route("/api/choices/next", faced(here.pair), methods=["GET"]),
        Route("/api/choices/{id}", faced(here.take_back), methods=["DELETE"]),
        Route("/api/wins", faced(here.wins), methods=["GET"]),
    ]


class Rest:
    def __init__(self, studio: Studio) -> None:
        self.history = studio.store.history

    @asks("q", "sort", "after", "limit", "together")
    async def search(self, request: Request) -> Response:
        """Search the history: `q` as in docs/search.md, `sort` newest, oldest, rating, relevance
        or collection, `limit`, and `after` with the `next` of the last answer. `together=looks`
        tells those that look nearly alike as the first of them, `together=words` those of the same
        words and settings; `stands_for` says how many each is."""
        asked = request.query_params
        found = await asyncio.to_thread(
            self.history.search,
            asked.get("q", ""),
            sort=sort_of(asked.get("sort", "newest")),
            after=asked.get("after"),
            limit=number(asked, "limit", 50, 1, 200),
            as_one=together_of(asked["together"]) if asked.get("together") else None,
        )
        return JSONResponse(tell_page(found))

    @asks("q")
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

    async def lineage(self, request: Request) -> Response:
        """From what a picture was painted and what was painted from it: `pictures`, and `links`
        from each to its source by its role. A source that is no picture is an input's hash."""
        told = await asyncio.to_thread(self._lineage, request.path_params["id"])
        return JSONResponse(told)

    @asks("limit")
    async def variants(self, request: Request) -> Response:
        """Pictures of the same words and settings but the seed, the newest first; `limit`."""
        return await self._alike(request, self.history.variants)

    @asks("limit")
    async def near(self, request: Request) -> Response:
        """Pictures that look nearly like this one, the nearest first; `limit`."""
        return await self._alike(request, self.history.near)

    async def duplicates(self, request: Request) -> Response:
        """Groups of pictures that are the same file, or look the same, with 20 of each at most and
        the `total`."""
        groups = await asyncio.to_thread(self.history.duplicates)
        told = [
            {"why": why, "pictures": [tell_kept(one) for one in its], "total": total}
            for why, its, total in groups
        ]
        return JSONResponse({"groups": told})

    async def choose(self, request: Request) -> Response:
        """Of two pictures one is better: `winner` and `loser`, by their ids. See /api/wins."""
        fields = await read_object(request)
        known_only(fields, ("winner", "loser"))
        winner, loser = (needed(fields, name) for name in ("winner", "loser"))
        key = await asyncio.to_thread(self.history.choose, winner, loser)
        return JSONResponse({"id": key, "winner": winner, "loser": loser}, 201)

    async def take_back(self, request: Request) -> Response:
        """The choice was never made."""
        await asyncio.to_thread(self.history.take_back, request.path_params["id"])
        return Response(status_code=204)

    @asks("q")
    async def pair(self, request: Request) -> Response:
        """Two `pictures` to choose between, among what `q` finds: of the same words where there are
        such, never chosen between, and what they differ in (`differs`, by setting, the first one's
        before the other's). None at all where no two differ."""
        q = request.query_params.get("q", "")
        return JSONResponse(tell_pair(await asyncio.to_thread(self.history.pair, q)))

    @asks("q")
    async def wins(self, request: Request) -> Response:
        """Which settings win for you, among what `q` finds: of each model, sampler, look, LoRA,
        size, steps and guidance how many were liked or chosen, and between what that share lies."""
        told = await asyncio.to_thread(self.history.wins, request.query_params.get("q", ""))
        return JSONResponse({name: [asdict(one) for one in its] for name, its in told.items()})

    def _lineage(self, picture: str) -> Told:
        found = self.history.lineage(picture)
        there = self.history.those(found.pictures)
        links = [asdict(link) for link in found.links]
        return {"pictures": [tell_kept(one) for one in there], "links": links, "more": found.more}

    async def _alike(self, request: Request, which: Callable[..., Page]) -> Response:
        limit = number(request.query_params, "limit", 50, 1, 200)
        page = await asyncio.to_thread(which, request.path_params["id"], limit=limit)
        return JSONResponse(tell_page(page))

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
        "variants": kept.variants,
    }


def tell_pair(pair: tuple[Kept, Kept, Pair] | None) -> Told:
    if pair is None:
        return {"pictures": [], "differs": {}, "same_words": False}
    left, right, told = pair
    differs = {name: list(both) for name, both in told.differs.items()}
    return {
        "pictures": [tell_kept(left), tell_kept(right)],
        "differs": differs,
        "same_words": told.same_words,
    }


def tell_page(page: Page) -> Told:
    told = [tell_kept(kept) for kept in page.pictures]
    for one, count in zip(told, page.stands_for, strict=False):
        one["stands_for"] = count
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
