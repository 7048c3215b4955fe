"""What stands beside the pictures: filters with their counts, and how to search. HTML, no more.

A filter carries a piece of the search's language; a click puts it into the text or takes it out.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape

from studio.formats.filters import clause, is_on
from studio.formats.query import Piece, Words
from studio.formats.query_fields import FIELDS
from studio.store.albums import Collection, SavedSearch
from studio.store.facets import Facet

TITLES = {
    "star": "Stars",
    "rating": "Rating",
    "tag": "Tags",
    "model": "Models",
    "look": "Looks",
    "lora": "LoRAs",
    "kind": "How it came about",
    "size": "Sizes",
    "month": "Months",
    "day": "Days",
    "sampler": "Samplers",
    "format": "Files",
    "owner": "Whose",
}
SHOWN = 6  # values that need no click
TRASH = "is:trash"
MARKS = ("star", "tag", "lora")  # which tell something even where there is only one
WORDS = (
    ("red car", "both words, anywhere"),
    ('"red car"', "side by side"),
    ("blu*", "words that begin so"),
    ("cat OR dog", "one of them"),
    ("-people", "without it"),
)

KEYS = (
    ("arrows", "from one to the next"),
    ("space", "choose it; with shift and arrows, all on the way"),
    ("Ctrl A", "choose all that were found"),
    ("e", "open one that stands for several"),
    ("s", "star"),
    ("1 to 5", "rate; 0 takes it away"),
    ("Delete", "into the trash"),
    ("Enter", "look at it"),
    ("Alt arrow", "move it, in a collection"),
    ("Esc", "back, or choose none"),
    ("g", "those that are alike as one"),
    ("w", "what wins"),
    ("c", "choose between two, by ← and →"),
    ("/", "search"),
)


def albums(
    collections: Sequence[Collection], searches: Sequence[SavedSearch], pieces: Sequence[Piece]
) -> str:
    """What was kept by a name; a search that asks for something can be kept, too."""
    kept = [
        f'<p class="kept"><button type="button" data-q="{escape(one.q)}"'
        f' data-sort="{escape(one.sort)}" title="{escape(one.q)}"><span>{escape(one.name)}</span>'
        f'</button><button type="button" data-forget="{escape(one.id)}"'
        f' aria-label="Forget the search {escape(one.name)}">×</button></p>'
        for one in searches
    ]
    if pieces:
        kept.append(
            '<form data-save><input aria-label="Save this search as" maxlength="100"'
            ' placeholder="save this search as"></form>'
        )
    its = [_value("in", one.name, one.count, pieces, 0.0, one.name) for one in collections]
    return (_group("Searches", kept, 0) if kept else "") + (
        _group("Collections", its, 0) if its else ""
    )


def filters(
    facets: Mapping[str, Facet], pieces: Sequence[Piece], now: float, title: Callable[[str], str]
) -> str:
    """`title` is what a model is called."""
    shown, dated = list[str](), False  # days are for one month
    for kind, heading in TITLES.items():
        values = [(value, count) for value, count in facets[kind].values if _tells(kind, value)]
        drawn = [
            _value(kind, value, count, pieces, now, title(value) if kind == "model" else value)
            for value, count in values
        ]
        on = any("aria-pressed" in one for one in drawn)
        dated = dated or (on and kind == "month")
        if kind == "day" and not dated and len(facets["month"].values) > 1:
            continue
        if on or len(values) > 1 or (values and kind in MARKS):
            shown.append(_group(heading, drawn, facets[kind].more))
    shown.append(f"<section>{_button(TRASH, 'Trash', pieces, now)}</section>")
    return "".join(shown)


def help_() -> str:
    """Every field there is, as an example to click."""
    rows = [*WORDS, *((field.example.split(" or ")[0], field.about) for field in FIELDS.values())]
    told = "".join(
        f'<dt><button type="button" data-add="{escape(example)}">{escape(example)}</button></dt>'
        f"<dd>{escape(about)}</dd>"
        for example, about in rows
    )
    keys = "".join(f"<dt><kbd>{key}</kbd></dt><dd>{what}</dd>" for key, what in KEYS)
    return (
        f'<details class="help"><summary>How to search</summary><dl>{told}</dl>'
        f'<p class="quiet">On the pictures:</p><dl class="keys">{keys}</dl></details>'
    )


def _tells(kind: str, value: str) -> bool:
    """Whether a click on it finds fewer: that it has no star or no stars goes without saying."""
    return (kind, value) not in (("star", "no"), ("rating", "0"))


def asked(pieces: Sequence[Piece]) -> str:
    """What is asked for beside words, each with a way out: also where it finds nothing."""
    drawn = [
        f'<button type="button" data-filter="{escape(piece.text)}"'
        f' aria-label="Without {escape(piece.text)}"><span class="mono">{escape(piece.text)}</span>'
        "<span>×</span></button>"
        for piece in pieces
        if not isinstance(piece.node, Words)
    ]
    return _group("Asked for", drawn, 0) if drawn else ""


def _group(heading: str, drawn: Sequence[str], more: int) -> str:
    first, rest = "".join(drawn[:SHOWN]), "".join(drawn[SHOWN:])
    if rest:
        unlisted = f'<p class="quiet">and {more:,} others</p>' if more else ""
        summary = f"<summary>{len(drawn) - SHOWN} more</summary>"
        rest = f'<details data-open="{escape(heading)}">{summary}{rest}{unlisted}</details>'
    return f"<section><h3>{escape(heading)}</h3>{first}{rest}</section>"


def _value(
    kind: str, value: str, count: int, pieces: Sequence[Piece], now: float, shown: str
) -> str:
    words = "★" * int(value) if kind == "rating" else "starred" if kind == "star" else shown
    said = f'<span>{escape(words)}</span><span class="mono">{count:,}</span>'
    filter_ = clause(kind, value)
    return _button(filter_, said, pieces, now) if filter_ else f"<p>{said}</p>"


def _button(filter_: str, said: str, pieces: Sequence[Piece], now: float) -> str:
    on = ' aria-pressed="true"' if is_on(pieces, filter_, now) else ""
    its = escape(filter_)
    return f'<button type="button" data-filter="{its}"{on} title="{its}">{said}</button>'
