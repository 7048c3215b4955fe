"""The Gallery: the history searched, looked at and marked. HTML of ours, filled by our script.

Marks go over `/api/pictures`, as for any program; what is found and what is drawn in words comes
from here. It stays in the page while other tabs are shown, and looks again when it is back.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from studio.errors import DarkroomError
from studio.formats.filters import apart, clause, is_on, switched
from studio.formats.query import BadQuery, Piece, Words, leaves, pieces
from studio.jobs.studio import Studio
from studio.store.facets import Facet
from studio.store.history import MOST
from studio.store.pages import sort_of
from studio.web import frame, readout
from studio.web.gallery import one, side
from studio.web.history import tell_page
from studio.web.holding import title_of

HERE = Path(__file__).parent
PARTS = ("wall", "choosing", "arranging", "acting", "looking", "reading")
SCRIPT = "".join((HERE / f"{part}.js").read_text(encoding="utf-8") for part in PARTS)
SHELL = (HERE / "shell.html").read_text(encoding="utf-8").replace("<!-- help -->", side.help_())
FIRST = "What you paint hangs here, and is found again by its words. Try one of these:"
Told = dict[str, Any]  # what the script is told


def gallery(studio: Studio) -> gr.HTML:
    """Not in the page yet; its tab renders it."""
    rooms = Gallery(studio)
    return gr.HTML(
        SHELL,
        elem_id="gallery",
        js_on_load=SCRIPT,
        apply_default_css=False,
        render=False,
        server_functions=[
            spoken(act)
            for act in (
                rooms.pictures,
                rooms.look,
                rooms.switched,
                rooms.one,
                rooms.told,
                rooms.ids,
            )
        ],
    )


@dataclass(frozen=True, slots=True)
class Gallery:
    """What the script asks for. Each takes what the browser sent, of whatever kind."""

    studio: Studio

    def pictures(self, asked: object) -> Told:
        """A page of them, as programs are told it, in the order asked for or else the usual one."""
        q, history = _text(asked, "q"), self.studio.store.history
        usual, collection = history.usual(q)
        sort = sort_of(_text(asked, "sort") or usual)
        found = history.search(q, sort=sort, after=_text(asked, "after") or None, limit=MOST)
        return tell_page(found) | {"sort": sort, "usual": usual, "collection": collection}

    def look(self, asked: object) -> Told:
        """Of a search: its filters, whether it has words, and whether it is the trash."""
        q, now, history = _text(asked, "q"), time.time(), self.studio.store.history
        parts = pieces(q, now)
        albums, counted = self.studio.store.albums, history.facets(q)
        collections = albums.collections()
        facets = dict(counted.facets)
        for kind, facet in facets.items():  # where one is chosen, the others stay to choose from
            if chosen := _chosen(kind, facet, parts, now):
                facets[kind] = history.facets(apart(parts, chosen, now)).facets[kind]
        words = any(isinstance(leaf, Words) for part in parts for leaf in leaves(part.node))
        return {
            "filters": side.asked(parts)
            + side.albums(collections, albums.searches(), parts)
            + side.filters(facets, parts, now, lambda name: title_of(self.studio, name)),
            "collections": {one.name: one.id for one in collections},
            "notes": list(counted.notes),
            "words": words,
            "trash": is_on(parts, side.TRASH, now),
            "first": "" if q or counted.total else frame.empty(self._examples(), FIRST),
        }

    def switched(self, asked: object) -> Told:
        """The search with that filter, or without it if it has it."""
        now = time.time()
        return {"q": switched(pieces(_text(asked, "q"), now), _text(asked, "filter"), now)}

    def one(self, asked: object) -> Told:
        return {"html": one.draw(self.studio, _text(asked, "id"))}

    def told(self, asked: object) -> Told:
        """What a picture of any tool says, as `/api/read` answered it to the script."""
        told = asked.get("told") if isinstance(asked, Mapping) else None
        name = _text(asked, "name")
        return {"html": readout.draw(told if isinstance(told, dict) else {}, name)}

    def ids(self, asked: object) -> Told:
        """Of all that a search finds."""
        return {"ids": self.studio.store.history.ids(_text(asked, "q"))}

    def _examples(self) -> tuple[str, ...]:
        return tuple(self.studio.catalog.default.examples)[:3]


def spoken(act: Callable[[object], Told]) -> Callable[[object], Told]:
    """A refusal is told as its sentence."""

    def told(asked: object) -> Told:
        try:
            return act(asked)
        except BadQuery as error:
            return {"error": _capital(str(error)), "instead": error.instead}
        except DarkroomError as error:
            return {"error": _capital(str(error))}

    told.__name__ = act.__name__
    return told


def _chosen(kind: str, facet: Facet, parts: list[Piece], now: float) -> str:
    """The filter of this kind that is on."""
    filters = (clause(kind, value) for value, _ in facet.values)
    return next((one for one in filters if one and is_on(parts, one, now)), "")


def _text(asked: object, name: str) -> str:
    return str(asked.get(name) or "") if isinstance(asked, Mapping) else ""


def _capital(sentence: str) -> str:
    sentence = sentence.removeprefix("q, ")
    return sentence[:1].upper() + sentence[1:]
