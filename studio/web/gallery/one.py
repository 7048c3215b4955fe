"""One picture of the Gallery: large, with its recipe, its marks, and where it came from.

The frame is that of Create, with what only a history has around it.
"""

import json
from collections.abc import Sequence
from html import escape

from studio.jobs.studio import Studio
from studio.store.history import History, Page
from studio.store.kept import Kept
from studio.store.marks import MAX_RATING
from studio.web import frame
from studio.web.frame import WAYS
from studio.web.holding import held_up

WORDS = {**WAYS, "reuse": "Load into Create"}
SAYS = {
    "all": "its whole recipe",
    "parameters": "what other tools read",
    "none": "nothing of itself",
}
SOME = 12  # of a row
WAY = (
    '<nav class="way"><button type="button" data-pick="">Back to all</button>'
    '<button type="button" data-step="-1" aria-label="The picture before">←</button>'
    '<button type="button" data-step="1" aria-label="The next picture">→</button></nav>'
)


def draw(studio: Studio, picture_id: str) -> str:
    kept = studio.store.history.one(picture_id)
    view = studio.line.view(kept.picture.job)
    held = frame.render(held_up(studio, view, kept.picture, back=False, words=WORDS))
    prompt = escape(kept.picture.prompt)
    around = f"{_family(studio.store.history, picture_id)}{_giving(picture_id)}"
    return f'{WAY}<h2 class="prompt">{prompt}</h2>{held}{marks(kept)}{around}'


def marks(kept: Kept) -> str:
    trashed = kept.trashed_at is not None
    bin_ = _mark("Take out of the trash" if trashed else "Into the trash", {"trash": not trashed})
    return (
        f'<section class="marks" data-one="{escape(kept.picture.id)}" aria-label="Your marks">'
        f'<div>{_star(kept.star)}<span class="rating">{_rating(kept.rating)}</span>{bin_}</div>'
        f'<div class="tags">{"".join(map(_tag, kept.tags))}'
        '<form data-tag><input aria-label="Add a tag" placeholder="add a tag" maxlength="64">'
        "</form></div></section>"
    )


def _giving(picture_id: str) -> str:
    """What a file says of itself is chosen when it is given out."""
    where = f"/pictures/{escape(picture_id)}?download=1&amp;metadata="
    links = " · ".join(
        f'<a href="{where}{what}" download>{words}</a>' for what, words in SAYS.items()
    )
    return f'<p class="giving">Download it saying {links}</p>'


def _family(history: History, picture_id: str) -> str:
    """Pictures that hang together with it, each a click away."""
    links = history.lineage(picture_id).links
    sources = [link.source for link in links if link.picture == picture_id]
    children = [link.picture for link in links if link.source == picture_id]
    variants = history.variants(picture_id, limit=SOME + 1)
    others = [one for one in variants.pictures if one.picture.id != picture_id][:SOME]
    near = history.near(picture_id, limit=SOME)
    return (
        _row("Painted from", history.those(sources), len(sources))
        + _row("Painted into", history.those(children[:SOME]), len(children))
        + _row("Looks nearly the same", near.pictures, near.total, _all(picture_id, "looks", near))
        + _row(
            "The same words and settings",
            others,
            variants.total - 1,
            _all(picture_id, "words", variants),
        )
    )


def _all(picture_id: str, kin: str, found: Page) -> str:
    """It and all of them at once, to be compared, kept or thrown away."""
    return (
        f'<button type="button" data-one="{escape(picture_id)}" data-kin="{kin}">Choose them all'
        "</button>"
        if found.total
        else ""
    )


def _row(heading: str, shown: Sequence[Kept], count: int, act: str = "") -> str:
    if not shown:
        return ""
    more = f' <span class="mono">{len(shown)} of {count:,}</span>' if count > len(shown) else ""
    thumbs = frame.thumbs([one.picture for one in shown])
    return (
        f'<section class="family"><h3>{heading}{more}{act}</h3><div class="thumbs">{thumbs}</div>'
        "</section>"
    )


def _star(on: bool) -> str:
    return _mark("★ Starred" if on else "☆ Star", {"star": not on}, pressed=on)


def _rating(rating: int) -> str:
    return "".join(
        _mark(
            "★" if number <= rating else "☆",
            {"rating": 0 if number == rating else number},
            label=f"Rate it {number} of {MAX_RATING}",
            pressed=number == rating,
        )
        for number in range(1, MAX_RATING + 1)
    )


def _tag(tag: str) -> str:
    away = _mark("×", {"remove_tags": [tag]}, label=f"Take the tag {tag} away")
    return f"<span>{escape(tag)}{away}</span>"


def _mark(words: str, change: dict[str, object], *, label: str = "", pressed: bool = False) -> str:
    said = f' aria-label="{escape(label)}" title="{escape(label)}"' if label else ""
    on = ' aria-pressed="true"' if pressed else ""
    return (
        f'<button type="button" data-mark="{escape(json.dumps(change))}"{said}{on}>{words}</button>'
    )
