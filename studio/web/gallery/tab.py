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
from studio.store.history import MOST, MOST_MARKED, Page
from studio.store.pages import sort_of
from studio.store.together import Together, together_of
from studio.web import frame, readout
from studio.web.gallery import one, side, winning
from studio.web.history import tell_page
from studio.web.holding import title_of

HERE = Path(__file__).parent
PARTS = ("wall", "choosing", "arranging", "alike", "acting", "looking", "reading")
SCRIPT = "".join((HERE / f"{part}.js").read_text(encoding="utf-8") for part in PARTS)
SHELL = (HERE / "shell.html").read_text(encoding="utf-8").replace("<!-- help -->", side.help_())
NONE_DIFFER = "Among those found there are no two more that differ in a setting."
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
                rooms.those,
                rooms.kin,
                rooms.wins,
                rooms.pair,
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
        found = history.search(
            q, sort=sort, after=_text(asked, "after") or None, limit=MOST, as_one=_as_one(asked)
        )
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
            + side.filters(facets, parts, now, self._title),
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

    def those(self, asked: object) -> Told:
        """All that one picture stands for, where those that are alike are one."""
        q, sort, as_one = _text(asked, "q"), sort_of(_text(asked, "sort")), _as_one(asked)
        history, key = self.studio.store.history, _text(asked, "id")
        if as_one is None:
            return tell_page(Page((history.one(key),), None, 1))
        return tell_page(history.those_of_one(key, q, as_one=as_one, sort=sort))

    def kin(self, asked: object) -> Told:
        """The ids of all that look like a picture, or have its words; itself among them."""
        key, history = _text(asked, "id"), self.studio.store.history
        by_looks = _text(asked, "kin") == "looks"
        found = (history.near if by_looks else history.variants)(key, limit=MOST_MARKED)
        return {"ids": list(dict.fromkeys((key, *(one.picture.id for one in found.pictures))))}

    def wins(self, asked: object) -> Told:
        """Which settings win among what a search finds, and what that rests on."""
        q, history = _text(asked, "q"), self.studio.store.history
        return {"html": winning.draw(history.wins(q), history.basis(q), self._title)}

    def pair(self, asked: object) -> Told:
        """Two to choose between, among what a search finds."""
        pair = self.studio.store.history.pair(_text(asked, "q"))
        return {"html": winning.duel(pair, self._title)} if pair else {"none": NONE_DIFFER}

    def _title(self, model: str) -> str:
        return title_of(self.studio, model)

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


def _as_one(asked: object) -> Together | None:
    word = _text(asked, "together")
    return together_of(word) if word else None


def _text(asked: object, name: str) -> str:
    return str(asked.get(name) or "") if isinstance(asked, Mapping) else ""


def _capital(sentence: str) -> str:
    sentence = sentence.removeprefix("q, ")
    return sentence[:1].upper() + sentence[1:]
