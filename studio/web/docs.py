"""`/docs`: one plain page that lists every address, made from the routes themselves.

Not FastAPI's, which loads its scripts from elsewhere.
"""

from collections.abc import Sequence
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from studio.request import ImageRequest

LOOK = (
    "body{font:15px/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color-scheme:light dark;background:Canvas;color:CanvasText}code{font-size:14px}"
    "td{padding:4px 24px 4px 0;vertical-align:top}h2{font-size:20px;margin-top:2rem}"
)


def docs_route(routes: Sequence[Route]) -> Route:
    page = _page(routes)

    async def docs(request: Request) -> Response:
        return HTMLResponse(page)

    return Route("/docs", docs)


def _page(routes: Sequence[Route]) -> str:
    addresses = "".join(
        f"<tr><td><code>{method} {escape(route.path)}</code></td><td>{_said(route)}</td></tr>"
        for route in routes
        if ":path}" not in route.path
        for method in sorted((route.methods or set()) - {"HEAD"})
    )
    fields = "".join(
        f"<tr><td><code>{name}</code></td><td>{escape(field.description or '')}</td></tr>"
        for name, field in ImageRequest.model_fields.items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Darkroom: addresses</title>'
        f"<style>{LOOK}</style><h1>Addresses</h1><table>{addresses}</table>"
        '<p>For programs there is <a href="/openapi.json">openapi.json</a>.</p>'
        "<p>Bodies are JSON objects. An error is <code>{&quot;error&quot;: {&quot;code&quot;, "
        "&quot;message&quot;, &quot;field&quot;}}</code>; under <code>/v1</code> it has OpenAI's "
        f"form.</p><h2>Fields of a wish</h2><table>{fields}</table></html>"
    )


def _said(route: Route) -> str:
    return escape(" ".join((route.endpoint.__doc__ or "").split()))
