"""What is turned away before any face sees it: foreign hosts and origins, large bodies, bad files.

A page of another site must not reach a studio on this machine, whatever Gradio would allow. Pure
ASGI, so that a disconnect still reaches the handlers. It knows no endpoint but the doors it closes.
"""

import json
import socket
from collections.abc import Sequence
from fnmatch import fnmatchcase
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.settings import LOOPBACK, Settings
from studio.web.answers import error_response

MAX_BODY = 30 * 1024 * 1024
# Gradio would fetch these addresses from here, or keep files that no endpoint takes.
CLOSED = (
    "/gradio_api/proxy=",
    "/gradio_api/file=http",
    "/gradio_api/upload",
    "/gradio_api/deep_link",
)
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    # Gradio compiles the templates of gr.HTML in the browser.
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; font-src 'self' data:; "
    "frame-ancestors 'self'; base-uri 'self'; form-action 'self'"
)


class Guard:
    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.hosts = host_patterns(settings)
        # The page of a share link loads its scripts from Gradio's servers, by Gradio's design.
        self.policy = "" if settings.share else POLICY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # nobody here speaks it
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        body = b""
        if refusal is None and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            body, refusal = await _read_body(scope, receive)
        if refusal is not None:
            await error_response(*refusal)(scope, receive, self._dressed(send))
            return
        await self.app(scope, _replay(body, receive), self._dressed(send))

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if not self._knows(_bare(host)):
            known = "Add it to DARKROOM_HOSTS if it is yours."
            return 400, "unknown_host", f"This studio is not called {host[:80]!r}. {known}"
        origin = headers.get("origin")
        # Not X-Forwarded-Host: a foreign page can send that header too.
        if origin is not None and origin not in self.settings.origins:
            site = urlsplit(origin.lower()).netloc
            if site != host:
                known = "Add it to DARKROOM_ORIGINS if it is yours."
                return 403, "foreign_origin", f"Pages of {origin[:80]!r} may not ask here. {known}"
        if scope["path"].lower().startswith(CLOSED):
            return 403, "closed", "This address of Gradio is closed here."
        return None

    def _knows(self, host: str) -> bool:
        if any(fnmatchcase(host, pattern) for pattern in self.hosts):
            return True
        # A name can be bent to another address by its owner (DNS rebinding); a number cannot.
        return self.settings.host in ("0.0.0.0", "::") and _is_number(host)

    def _dressed(self, send: Send) -> Send:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "same-origin")
                if self.policy:
                    headers.setdefault("Content-Security-Policy", self.policy)
            await send(message)

        return dressed


class Welcome:
    """Lets browsers read the answers that pages of the sites in DARKROOM_ORIGINS get.

    Outermost: Gradio answers what a browser asks beforehand, and on this machine in the negative.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self.app = app
        self.origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        origin = headers.get("origin")
        if origin is None or origin not in self.origins:
            await self.app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = MutableHeaders(scope=message)
                told["Access-Control-Allow-Origin"] = origin
                told.add_vary_header("Origin")
            await send(message)

        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            may = {
                "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, PATCH",
                "Access-Control-Allow-Headers": headers.get("access-control-request-headers", "*"),
                "Access-Control-Max-Age": "600",
            }
            await Response(status_code=204, headers=may)(scope, receive, dressed)
            return
        await self.app(scope, receive, dressed)


def host_patterns(settings: Settings) -> tuple[str, ...]:
    names = [*LOOPBACK, settings.host, *settings.hosts]
    if settings.share:
        names.append("*.gradio.live")
    if settings.host in ("0.0.0.0", "::"):
        names.append(socket.gethostname())
    return tuple(name.lower() for name in names)


def _bare(host: str) -> str:
    """A Host header without its port and without the brackets of IPv6."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def _read_body(scope: Scope, receive: Receive) -> tuple[bytes, tuple[int, str, str] | None]:
    """The whole body; every face takes JSON, and none streams an upload."""
    too_large = (413, "too_large", f"The body is too large; the most is {MAX_BODY >> 20} MB.")
    if int(Headers(scope=scope).get("content-length") or 0) > MAX_BODY:
        return b"", too_large
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"", (400, "gone", "The body ended too early.")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BODY:
            return b"", too_large
        more = message.get("more_body", False)
    body = b"".join(chunks)
    if scope["path"].startswith("/gradio_api/") and _names_an_address(body):
        sentence = "A file must be uploaded; an address in its place is not fetched from here."
        return b"", (400, "no_addresses", sentence)
    return body, None


def _names_an_address(body: bytes) -> bool:
    """Whether a file object in Gradio's JSON is an address, which Gradio would fetch from here."""
    try:
        left = [json.loads(body or b"null")]
    except (ValueError, RecursionError):
        return False  # Gradio refuses it by itself
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            path = value.get("path")
            if isinstance(path, str) and "meta" in value and "://" in path:
                return True
            left += value.values()
    return False


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives the body again, then whatever comes: that is how a handler sees a disconnect."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
