"""The page as it is sent: made and packed once, and not at all to who has it already.

Gradio makes it anew for each who asks, and packs only what has an ending in its address. There are
no accounts, so it differs by the address it was asked for alone. Files of Gradio's that carry the
hash of their content in their names are kept by browsers for good.
"""

import gzip
import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.web.scripts import address_of

HASHED = re.compile(r"/assets/[\w.-]+-[\w-]{8}\.\w+")
FOR_GOOD = "public, max-age=31536000, immutable"
# What Gradio reads the page's own address from.
ADDRESS = ("host", "x-forwarded-host", "x-forwarded-proto", "x-gradio-server")
REMEMBERED = 8  # addresses; half a megabyte each


@dataclass(frozen=True, slots=True)
class Made:
    plain: bytes
    packed: bytes
    tag: str


class Front:
    """`script` is what the parts of the page do; the page loads it before anything of itself."""

    def __init__(self, app: ASGIApp, script: str) -> None:
        self.app = app
        self.address, plain = address_of(script), script.encode()
        self.script = Made(plain, gzip.compress(plain, mtime=0), _tag(plain))
        self._made: OrderedDict[tuple[str, ...], Made] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self.app(scope, receive, send)
        elif scope["path"] == self.address:
            answer = _told(self.script, Headers(scope=scope), "text/javascript", FOR_GOOD)
            await answer(scope, receive, send)
        elif HASHED.fullmatch(scope["path"]):
            await self.app(scope, receive, _for_good(send))
        elif scope["path"] == "/":
            await self._page(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        key = (scope["scheme"], scope.get("root_path", ""), *(headers.get(n, "") for n in ADDRESS))
        made = self._made.get(key)
        if made is None:
            answer = await _asked(self.app, scope, receive)
            if answer.status_code != 200:
                await answer(scope, receive, send)
                return
            made = self._keep(key, self._with_script(bytes(answer.body)))
        self._made.move_to_end(key)
        await _told(made, headers, "text/html", "no-cache")(scope, receive, send)

    def _with_script(self, page: bytes) -> bytes:
        return page.replace(
            b"<script>", f'<script src="{self.address}"></script><script>'.encode(), 1
        )

    def _keep(self, key: tuple[str, ...], plain: bytes) -> Made:
        made = self._made[key] = Made(plain, gzip.compress(plain, mtime=0), _tag(plain))
        while len(self._made) > REMEMBERED:
            self._made.popitem(last=False)
        return made


def _tag(plain: bytes) -> str:
    return f'W/"{hashlib.sha256(plain).hexdigest()[:32]}"'


def _told(made: Made, asked: Headers, media_type: str, keep: str) -> Response:
    """What is the same as who asks has it already is not sent again."""
    headers = {"ETag": made.tag, "Cache-Control": keep, "Vary": "Accept-Encoding"}
    if made.tag in asked.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" not in asked.get("accept-encoding", ""):
        return Response(made.plain, headers=headers, media_type=media_type)
    headers["Content-Encoding"] = "gzip"
    return Response(made.packed, headers=headers, media_type=media_type)


async def _asked(app: ASGIApp, scope: Scope, receive: Receive) -> Response:
    """The whole answer of a GET, whichever way it was asked: Gradio's `?all_endpoints` and
    `?deep_link` would choose what all others are told after it."""
    answer, body = Response(), bytearray()

    async def hear(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status_code, answer.raw_headers = message["status"], message["headers"]
        elif message["type"] == "http.response.body":
            body.extend(message.get("body", b""))

    await app({**scope, "method": "GET", "query_string": b""}, receive, hear)
    answer.body = bytes(body)
    return answer


def _for_good(send: Send) -> Send:
    async def kept(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] in (200, 304):
            MutableHeaders(scope=message)["Cache-Control"] = FOR_GOOD
        await send(message)

    return kept
