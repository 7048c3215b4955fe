"""JSON in and out: bodies read strictly, answers in one form, every error a sentence with a status.

The only place that shapes an error for HTTP. It knows nothing of jobs or pictures.
"""

import functools
import json
import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from studio.errors import DarkroomError, Refused, sayable

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
    """Lets a handler raise; the error is answered in the shape of its face."""

    def dress(handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def dressed(request: Request) -> Response:
            try:
                return await handler(request)
            except DarkroomError as error:
                return shape(error.status, error.code, str(error), error.field)
            except Exception:  # noqa: BLE001 - one bad answer must not become a server's stack trace
                log.exception("%s %s failed", request.method, request.url.path)
                sentence = "Something broke here; the log of the studio says what."
                return shape(500, "internal", sentence, None)

        return dressed

    return dress


async def read_object(request: Request) -> dict[str, object]:
    """The body as one JSON object, by the letter: no NaN, no Infinity, no trailing text."""
    try:
        value = json.loads(await request.body(), parse_constant=_no_constant)
    except RecursionError:
        raise BadBody("The body is nested too deeply.") from None
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
    if not text.isascii() or not text.isdigit() or not least <= int(text[:20]) <= most:
        sentence = f"{name}: {text[:40]!r} is not a whole number from {least} to {most}."
        raise Refused(sentence, field=name)
    return int(text)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number in JSON")


def _kind(value: object) -> str:
    return {list: "a list", str: "text", type(None): "null"}.get(type(value), "a number")
