"""`/api/collections`, `/api/searches` and `/api/reference-sets`: what is worth keeping by a name.

Thin, as all of `/api`: `store.albums` does it. Each docstring is what `/docs` shows.
"""

import asyncio
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.errors import Refused, field_sentence
from studio.jobs.studio import Studio
from studio.request import InputPicture
from studio.store.albums import ReferenceSet
from studio.store.store import Store
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
from studio.web.handed import Hands
from studio.web.history import tell_page
from studio.web.telling import Told

faced = speaks(error_response)
REFERENCES = TypeAdapter(tuple[InputPicture, ...])


def album_routes(studio: Studio) -> list[Route]:
    here = Rest(studio)
    kinds = {
        "collections": (here.collections, here.make_collection),
        "searches": (here.searches, here.make_search),
        "reference-sets": (here.sets, here.make_set),
    }
    each = {
        "collections": (here.collection, here.change_collection, here.drop_collection),
        "searches": (here.search, here.change_search, here.drop_search),
        "reference-sets": (here.one_set, here.change_set, here.drop_set),
    }
    routes = []
    for kind in kinds:
        acts = zip(("GET", "POST"), kinds[kind], strict=True)
        routes += [Route(f"/api/{kind}", faced(act), methods=[way]) for way, act in acts]
        acts_on_one = zip(("GET", "PATCH", "DELETE"), each[kind], strict=True)
        where = f"/api/{kind}/{{id}}"
        routes += [Route(where, faced(act), methods=[way]) for way, act in acts_on_one]
    return routes


class Rest:
    def __init__(self, studio: Studio) -> None:
        self.albums, self.store = studio.store.albums, studio.store

    async def collections(self, request: Request) -> Response:
        """All collections, by their names."""
        found = await asyncio.to_thread(self.albums.collections)
        return JSONResponse({"collections": [asdict(one) for one in found]})

    async def make_collection(self, request: Request) -> Response:
        """A new collection: a `name`, and `ids` of pictures in their order."""
        fields = await read_object(request)
        known_only(fields, ("name", "ids"))
        name, ids = needed(fields, "name"), ids_of(fields, "ids")
        made = await asyncio.to_thread(self.albums.collect, name, ids or ())
        return JSONResponse(asdict(made), 201, {"Location": f"/api/collections/{made.id}"})

    @asks("limit", "after")
    async def collection(self, request: Request) -> Response:
        """A collection and its pictures in their order; `limit`, and `after` with the `next` of the
        last answer."""
        asked, key = request.query_params, request.path_params["id"]
        after = number(asked, "after", 0, 0, 2**31) if asked.get("after") else -1
        limit = number(asked, "limit", 50, 1, 200)
        its = await asyncio.to_thread(self.albums.collection, key)
        page = await asyncio.to_thread(self.albums.pictures, key, after=after, limit=limit)
        return JSONResponse(asdict(its) | tell_page(page))

    async def change_collection(self, request: Request) -> Response:
        """Another `name`; `add` ids at the end, `remove` some; `order`: those come first; `move`
        ids, in their order, `before` or `after` another, or to the end."""
        fields = await read_object(request)
        known_only(fields, ("name", "add", "remove", "order", "move", "before", "after"))
        its = await asyncio.to_thread(
            self.albums.change,
            request.path_params["id"],
            name=text_of(fields, "name"),
            add=ids_of(fields, "add") or (),
            remove=ids_of(fields, "remove") or (),
            order=ids_of(fields, "order"),
            move=ids_of(fields, "move") or (),
            before=text_of(fields, "before"),
            after=text_of(fields, "after"),
        )
        return JSONResponse(asdict(its))

    async def drop_collection(self, request: Request) -> Response:
        """The collection ends; its pictures stay in the history."""
        await asyncio.to_thread(self.albums.drop, request.path_params["id"])
        return Response(status_code=204)

    async def searches(self, request: Request) -> Response:
        """All saved searches, by their names."""
        found = await asyncio.to_thread(self.albums.searches)
        return JSONResponse({"searches": [asdict(one) for one in found]})

    async def make_search(self, request: Request) -> Response:
        """Save a search: `name`, `q` and `sort`. One that is not understood is refused."""
        fields = await read_object(request)
        known_only(fields, ("name", "q", "sort"))
        name, q, sort = needed(fields, "name"), needed(fields, "q"), text_of(fields, "sort")
        made = await asyncio.to_thread(self.albums.save_search, name, q, sort or "newest")
        return JSONResponse(asdict(made), 201, {"Location": f"/api/searches/{made.id}"})

    async def search(self, request: Request) -> Response:
        """One saved search; /api/pictures takes its `q` and `sort`."""
        found = await asyncio.to_thread(self.albums.search, request.path_params["id"])
        return JSONResponse(asdict(found))

    async def change_search(self, request: Request) -> Response:
        """Another `name`, `q` or `sort`."""
        fields = await read_object(request)
        known_only(fields, ("name", "q", "sort"))
        what = {name: value for name in fields if (value := text_of(fields, name)) is not None}
        key = request.path_params["id"]
        return JSONResponse(asdict(await asyncio.to_thread(self.albums.change_search, key, what)))

    async def drop_search(self, request: Request) -> Response:
        """Keep it no longer."""
        await asyncio.to_thread(self.albums.drop_search, request.path_params["id"])
        return Response(status_code=204)

    async def sets(self, request: Request) -> Response:
        """All reference sets; a wish takes the `references` of one as they are."""
        found = await asyncio.to_thread(self.albums.reference_sets)
        return JSONResponse({"reference_sets": [tell_set(one) for one in found]})

    async def make_set(self, request: Request) -> Response:
        """A new set: a `name`, and `references` as a wish takes them: ids, pictures of the history
        or data URLs, each with its weight. Plain copies are kept."""
        fields = await read_object(request)
        known_only(fields, ("name", "references"))
        name, given = needed(fields, "name"), fields.get("references")
        made = await asyncio.to_thread(
            lambda: self.albums.keep_set(name, _references(given, self.store))
        )
        return JSONResponse(tell_set(made), 201, {"Location": f"/api/reference-sets/{made.id}"})

    async def one_set(self, request: Request) -> Response:
        """One reference set."""
        found = await asyncio.to_thread(self.albums.reference_set, request.path_params["id"])
        return JSONResponse(tell_set(found))

    async def change_set(self, request: Request) -> Response:
        """Another `name`, or other `references` in place of all."""
        fields = await read_object(request)
        known_only(fields, ("name", "references"))
        key, given, name = request.path_params["id"], fields.get("references"), fields.get("name")
        text_of(fields, "name")

        def change() -> ReferenceSet:
            references = None if given is None else _references(given, self.store)
            return self.albums.change_set(key, name=name, references=references)  # type: ignore[arg-type]

        return JSONResponse(tell_set(await asyncio.to_thread(change)))

    async def drop_set(self, request: Request) -> Response:
        """Keep it no longer. The inputs in it stay."""
        await asyncio.to_thread(self.albums.drop_set, request.path_params["id"])
        return Response(status_code=204)


def tell_set(one: ReferenceSet) -> Told:
    references = [each.model_dump() for each in one.references]
    told: dict[str, Any] = asdict(one) | {"references": references}
    return told | {"urls": [f"/inputs/{each.id}" for each in one.references]}


def _references(given: object, store: Store) -> tuple[InputPicture, ...]:
    """What is handed in is kept first, as for a wish."""
    if not isinstance(given, list):
        raise Refused("references: give a list, as a wish takes it.", field="references")
    settled, _ = Hands(store).settle({"references": given})
    try:
        return REFERENCES.validate_python(settled["references"])
    except ValidationError as error:
        path, sentence = field_sentence(error)
        raise Refused(f"references.{sentence}", field=f"references.{path}") from None
