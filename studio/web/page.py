"""The whole page: the header with its status, the tabs, and the endpoints behind them."""

import secrets

import gradio as gr

from studio.jobs.studio import Studio
from studio.web.bulk import bulk_page
from studio.web.create import CLICKS, LIGHT, create
from studio.web.desk import FRESH, status_of
from studio.web.endpoints import endpoints
from studio.web.gallery.tab import gallery
from studio.web.library import library

HOUR = 3600


def build_page(studio: Studio) -> gr.Blocks:
    """No side effects but the secret file. Gradio's copies of pictures live for a day."""
    page: gr.Blocks = gr.Blocks(
        title="Darkroom", analytics_enabled=False, fill_width=True, delete_cache=(HOUR, 24 * HOUR)
    )
    with page:
        painting = endpoints(studio)  # first, so that their names are theirs
        # A fixed key and secret, or every restart would forget what the browser remembers.
        state = gr.BrowserState(FRESH, storage_key="darkroom", secret=_secret(studio))
        with gr.Row(elem_id="head", equal_height=True):
            gr.HTML("<h1>Darkroom</h1>", elem_id="brand", apply_default_css=False)
            status = gr.HTML(
                status_of(studio),
                elem_id="status",
                js_on_load=CLICKS,
                apply_default_css=False,
            )
        shown = gallery(studio)
        with gr.Tabs(elem_id="rooms") as rooms:
            with gr.Tab("Create", id="create"):
                for opened in create(studio, state, status, painting, shown):
                    page.load(**opened)
            with gr.Tab("Bulk") as bulk:
                bulk_page(studio, bulk)
            with gr.Tab("Gallery", id="gallery"):
                shown.render()  # type: ignore[no-untyped-call]
            with gr.Tab("Models") as models:
                library(studio, models)
        leads = (shown.reuse, shown.begin, shown.rerun, shown.enlarge, shown.example)
        for lead in (*leads, shown.take, shown.begun):
            lead(lambda: gr.Tabs(selected="create"), [], rooms, **LIGHT)
        page.load(room_of_address, [], rooms, **LIGHT)
    return page


def room_of_address(request: gr.Request) -> object:
    """A link to a search opens where it is found."""
    return gr.Tabs(selected="gallery") if "q" in request.query_params else gr.skip()


def _secret(studio: Studio) -> str:
    if studio.store.reading:
        return secrets.token_hex(16)
    file = studio.settings.data / "page-secret"
    try:
        return file.read_text(encoding="ascii")
    except FileNotFoundError:
        secret = secrets.token_hex(16)
        file.touch(mode=0o600)
        file.write_text(secret, encoding="ascii")
        return secret
