"""Pictures handed in: `/inputs` over HTTP, and inside a wish as an id, a data URL or base64.

What is handed in passes the gate and is kept under the hash of its pixels, however it came. A
picture of the history is handed in by its id.
"""

import asyncio
import base64
import binascii
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from studio.canvas import Input
from studio.errors import NotFound, Refused
from studio.jobs.studio import Studio
from studio.request import HASH, MAX_REFERENCES
from studio.store.gate import AT_ONCE
from studio.store.store import Store
from studio.web.answers import error_response, read_object, speaks
from studio.web.telling import Told

PICTURE_ID = r"[0-9a-f]{32}"  # of the history
DATA_URL = re.compile(r"data:image/[a-z.+-]{1,20};base64,", re.I)
MOST_HANDED = 32  # each takes a process a moment
# A picture never changes under its id, so a browser may keep it for good.
FOREVER = "private, max-age=31536000, immutable"
FORMS = "the id of one that was handed in, the id of one of the history, or a data URL"


@dataclass(slots=True)
class Hands:
    """Takes what is handed in for one call: what is said twice is read once, and passes the gate
    once."""

    store: Store
    _taken: dict[tuple[str, bool], tuple[Input, tuple[str, ...]]] = field(default_factory=dict)

    def settle(self, fields: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
        """The wish with ids in place of pictures, and what there is to say of those."""
        done, notes = dict(fields), list[str]()
        if done.get("start_image") is not None:
            done["start_image"] = self._id(done["start_image"], "start_image", notes)
        mask = done.get("mask")
        if isinstance(mask, dict) and set(mask) == {"transparent"}:  # as OpenAI has it
            done["mask"] = self._id(mask["transparent"], "mask", notes, holes=True)
        elif mask is not None:
            done["mask"] = self._id(mask, "mask", notes)
        references = done.get("references")
        if isinstance(references, list | tuple):
            done["references"] = [
                self._reference(one, f"references.{place}", notes)
                for place, one in enumerate(references[: MAX_REFERENCES + 1])  # one is too many
            ]
        return done, notes

    def _reference(self, given: object, name: str, notes: list[str]) -> dict[str, object]:
        """An id or a picture; or an object with one of them and a weight."""
        if not isinstance(given, dict):
            return {"id": self._id(given, name, notes)}
        ways = [way for way in ("id", "picture", "image") if way in given]
        if len(ways) != 1:
            raise Refused(f"{name}: give one of id, picture and image.", field=name)
        (way,) = ways
        more = {key: value for key, value in given.items() if key != way}
        handed = {"picture": given[way]} if way == "picture" else given[way]
        return {"id": self._id(handed, f"{name}.{way}", notes), **more}

    def _id(self, given: object, name: str, notes: list[str], *, holes: bool = False) -> str:
        """`holes` asks for a mask that is white where the picture is transparent."""
        said = _said(given, name)
        if re.fullmatch(HASH, said) and not holes:
            return said
        if (said, holes) not in self._taken:
            if len(self._taken) == MOST_HANDED:
                sentence = f"more than {MOST_HANDED} pictures in one call; hand them in first."
                raise Refused(f"{name}: {sentence}", field=name)
            of = said if re.fullmatch(PICTURE_ID, said) else None
            taken = self.store.take(self._raw(said, name), name, holes=holes, of=of)
            self._taken[said, holes] = taken
        kept, about = self._taken[said, holes]
        notes += [f"{name}: {sentence}" for sentence in about]
        return kept.id

    def _raw(self, given: str, name: str) -> bytes:
        try:
            if re.fullmatch(HASH, given):
                return self.store.input(given)
            if re.fullmatch(PICTURE_ID, given):
                return self.store.file(self.store.picture(given)).read_bytes()
        except NotFound as error:
            raise Refused(f"{name}: {error}", field=name) from None
        return bytes_of(given, name)


def _said(given: object, name: str) -> str:
    if isinstance(given, dict) and set(given) == {"picture"}:
        given = given["picture"]
        if not (isinstance(given, str) and re.fullmatch(PICTURE_ID, given)):
            raise Refused(f"{name}: {str(given)[:40]!r} is no id of the history.", field=name)
    if not isinstance(given, str):
        raise Refused(f"{name}: give {FORMS}.", field=name)
    return given


def bytes_of(text: str, name: str) -> bytes:
    head = DATA_URL.match(text)
    try:
        data = base64.b64decode(text[head.end() if head else 0 :], validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        shown = text if len(text) <= 40 else f"{text[:37]}..."
        raise Refused(f"{name}: {shown!r} is no picture; give {FORMS}.", field=name)
    return data


def is_picture(request: Request) -> bool:
    """Whether the body is the file itself."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind.startswith("image/") or kind == "application/octet-stream"


def input_routes(studio: Studio) -> list[Route]:
    readers = ThreadPoolExecutor(AT_ONCE, "gate")  # here any number may wait and hold up nobody

    @speaks(error_response)
    async def hand_in(request: Request) -> Response:
        """Hand a picture in: its file as the body, or {"image": a data URL}. Wishes name its id."""
        if is_picture(request):
            data = await request.body()
        else:
            data = _of_json(await read_object(request))
        here = asyncio.get_running_loop()
        kept, notes = await here.run_in_executor(readers, studio.store.take, data, "image")
        return JSONResponse(tell_input(kept, notes), 201, {"Location": f"/inputs/{kept.id}"})

    @speaks(error_response)
    async def look(request: Request) -> Response:
        """A picture that was handed in, as it was kept."""
        kept = await asyncio.to_thread(studio.store.look, request.path_params["id"])
        answer = FileResponse(studio.store.input_file(kept.id), media_type="image/png")
        answer.headers["Cache-Control"] = FOREVER
        return answer

    return [
        Route("/api/inputs", hand_in, methods=["POST"]),
        Route("/inputs/{id}", look, methods=["GET"]),
    ]


def _of_json(body: Mapping[str, object]) -> bytes:
    image = body.get("image")
    if set(body) != {"image"} or not isinstance(image, str):
        raise Refused("image: give the picture as a data URL, and nothing else.", field="image")
    return bytes_of(image, "image")


def tell_input(kept: Input, notes: tuple[str, ...]) -> Told:
    return {
        "id": kept.id,
        "url": f"/inputs/{kept.id}",
        "width": kept.width,
        "height": kept.height,
        "warnings": list(notes),
    }
