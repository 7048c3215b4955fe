"""JSON in and out: bodies read strictly, answers in one form, every error a sentence with a status.

The only place that shapes an error for HTTP. It knows nothing of jobs or pictures.
"""

import functools
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from studio.errors import DarkroomError, Refused, sayable

LONGEST_NUMBER = 20  # digits
YES = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
NO_TEXT = (
    "The body is no text, so no JSON. Where a picture is taken, it is the whole body, with its "
    "kind in the header: content-type: image/png."
)
Word = TypeVar("Word", bound=str)
Handler = Callable[[Request], Awaitable[Response]]
ErrorShape = Callable[[int, str, str, str | None], Response]

log = logging.getLogger("darkroom.web")


class BadBody(Refused):
    status = 400
    code = "bad_body"


def error_response(status: int, code: str, sentence: str, field: str | None = None) -> Response:
    told = {"code": code, "message": sayable(sentence), "field": field and sayable(field)}
    return JSONResponse({"error": told}, status)


def speaks(shape: ErrorShape) -> Callable[[Handler], Handler]:
    """Lets a handler raise; the error is answered in the shape of its face. What it does not say
    that it `asks` of the query of its address is refused."""

    def dress(handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def dressed(request: Request) -> Response:
            try:
                if "rest" not in request.path_params:  # else there is no such address
                    known_only(request.query_params, getattr(handler, "asks", ()))
                return await handler(request)
            except DarkroomError as error:
                return shape(error.status, error.code, str(error), error.field)
            except HTTPException as error:  # Starlette's, of a form
                sentence = f"The form cannot be read: {error.detail}"
                return shape(error.status_code, BadBody.code, sentence, None)
            except Exception:  # noqa: BLE001 - one bad answer must not become a server's stack trace
                log.exception("%s %s failed", request.method, request.url.path)
                sentence = "Something broke here; the log of the studio says what."
                return shape(500, "internal", sentence, None)

        return dressed

    return dress


async def read_object(request: Request) -> dict[str, object]:
    """The body as one JSON object, by the letter: no NaN, no Infinity, no trailing text."""
    try:
        value = json.loads(
            await request.body(), parse_constant=_no_constant, object_pairs_hook=_once
        )
    except RecursionError:
        raise BadBody("The body is nested too deeply.") from None
    except UnicodeDecodeError:
        raise BadBody(NO_TEXT) from None
    except ValueError as error:
        raise BadBody(f"The body is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise BadBody(f"The body must be a JSON object, not {_kind(value)}.")
    return value


def number(given: Mapping[str, str], name: str, usual: int, least: int, most: int) -> int:
    """Of the query of an address."""
    text = given.get(name)
    if text is None:
        return usual
    digits = text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER
    if not digits or not least <= int(text) <= most:
        sentence = f"{name}: {text[:40]!r} is not a whole number from {least} to {most}."
        raise Refused(sentence, field=name)
    return int(text)


def some_of(given: QueryParams, name: str, known: Sequence[Word]) -> list[Word]:
    """Of the query of an address: those of the known that are named, each with a comma or anew."""
    said = [one for text in given.getlist(name) for one in text.split(",") if one]
    for one in said:
        if one not in known:
            sentence = f"{name}: {one[:40]!r} is none of {', '.join(known)}."
            raise Refused(sentence, field=name)
    return [one for one in known if one in said]


def yes_or_no(value: object, name: str) -> bool:
    """As JSON has it, or as an address does."""
    said = value if isinstance(value, bool) else YES.get(value) if isinstance(value, str) else None
    if said is None:
        raise Refused(f"{name}: {str(value)[:40]!r} is not true or false.", field=name)
    return said


def known_only(fields: Mapping[str, object], names: Collection[str]) -> None:
    for name in fields:
        if name not in names:
            known = f"there are {', '.join(names)}" if names else "nothing is asked in the address"
            sentence = f"{name[:64]} is not known here; {known}."
            raise Refused(sentence, field=name[:64])


def ids_of(fields: Mapping[str, object], name: str = "ids") -> Sequence[str] | None:
    ids = fields.get(name)
    if ids is None:
        return None
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise Refused(f"{name}: give a list of the ids of pictures.", field=name)
    return ids


def text_of(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise Refused(f"{name}: {str(value)[:40]!r} is not text.", field=name)
    return value


def needed(fields: Mapping[str, object], name: str) -> str:
    value = text_of(fields, name)
    if value is None:
        raise Refused(f"{name} is missing.", field=name)
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number in JSON")


def _once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in pairs:
        if name in fields:
            raise BadBody(f"{name[:64]} is given twice in the body.", field=name[:64])
        fields[name] = value
    return fields


def _kind(value: object) -> str:
    return {list: "a list", str: "text", type(None): "null"}.get(type(value), "a number")
