"""The site: one Gradio server with the page, its endpoints, `/api`, `/v1` and the pictures.

One way of serving, on this machine, on a network and through a share link alike.
"""

import asyncio
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware

from studio.errors import CannotStart
from studio.jobs.studio import Studio
from studio.web.albums import album_routes
from studio.web.bulk_rest import bulk_routes
from studio.web.described import described_route
from studio.web.docs import docs_route
from studio.web.foreign import foreign_routes
from studio.web.front import Front
from studio.web.guard import Guard, Welcome
from studio.web.handed import input_routes
from studio.web.history import history_routes
from studio.web.importing import import_routes
from studio.web.library_rest import library_routes
from studio.web.listed import listed_routes
from studio.web.openai import openai_routes
from studio.web.page import build_page
from studio.web.pictures import picture_routes
from studio.web.quiet import sweep
from studio.web.rest import api_routes
from studio.web.scripts import gather
from studio.web.theme import darkroom_theme, named_colours
from studio.web.zipping import zip_routes

STYLES = [Path(__file__).parent / name for name in ("darkroom.css", "gallery/gallery.css")]
HEAD = '<meta name="color-scheme" content="light dark">'
MOST_EVENTS = 10_000  # of Gradio, all groups together; the line itself has its own limit


@dataclass(frozen=True, slots=True)
class Site:
    url: str
    port: int
    page: gr.Blocks

    def close(self) -> None:
        self.page.close(verbose=False)


def serve(studio: Studio, *, block: bool = True) -> Site:
    sweep(studio.settings)
    site = asyncio.run(_open(studio))
    if block:
        threading.Event().wait()
    return site


async def _open(studio: Studio) -> Site:
    """Async only because Gradio makes a loop, never closed, for each lock it builds outside one."""
    settings = studio.settings
    page = build_page(studio)
    routes = [*input_routes(studio), *listed_routes(studio), *zip_routes(studio)]
    routes += [*import_routes(studio), *library_routes(studio)]
    routes += [*foreign_routes(studio), *history_routes(studio), *album_routes(studio)]
    routes += [*bulk_routes(studio), *api_routes(studio), *openai_routes(studio)]
    routes += picture_routes(studio)
    try:
        _, url, share_url = page.queue(api_open=False, max_size=MOST_EVENTS).launch(
            server_name=f"[{settings.host}]" if ":" in settings.host else settings.host,
            server_port=settings.port or _free_port(settings.host),
            share=settings.share,
            prevent_thread_lock=True,
            quiet=True,
            max_threads=32,  # any number but 40, or Gradio shares its threads with everything else
            show_error=False,
            run_history=False,
            footer_links=[],
            enable_monitoring=False,
            max_file_size="32mb",
            allowed_paths=[],
            state_session_capacity=1000,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            theme=darkroom_theme(),
            css=named_colours(),
            css_paths=STYLES,
            head=HEAD,
            app_kwargs={
                "routes": [*routes, docs_route(routes), described_route(routes)],
                "middleware": [
                    Middleware(Guard, settings=settings),
                    Middleware(Front, script=gather(page)),
                ],
                "openapi_url": None,
                "title": "Darkroom",
            },
        )
    except OSError:
        where = f"{settings.host}, port {settings.port}"
        sentence = f"Cannot listen on {where}; something else is there. Choose another with --port."
        raise CannotStart(sentence) from None
    if settings.origins and page.app.middleware_stack:  # built when it began to serve
        page.app.middleware_stack = Welcome(page.app.middleware_stack, settings.origins)
    return Site(share_url or url.rstrip("/"), page.server_port, page)


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
