"""What wins, for the search at hand: a line for each value of a setting. HTML, no more.

Each line is drawn from the least to the most that its share may truly be, so that few pictures make
a wide one; what it rests on is said first.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape

from studio.formats.filters import clause
from studio.formats.spoken import counted
from studio.store.kept import Kept
from studio.store.pairing import Pair
from studio.store.wins import WORN, Basis, Share, Standing

TITLES = {
    "model": "Models",
    "look": "Looks",
    "lora": "LoRAs",
    "sampler": "Samplers",
    "steps": "Steps",
    "guidance": "Guidance",
    "size": "Sizes",
}
SAID = {"steps": "{} steps", "guidance": "guidance {}", "lora": "LoRA {}"}
SOME = 5  # of a setting
Title = Callable[[str], str]  # what a model is called


def draw(told: Mapping[str, Sequence[Standing]], basis: Basis, title: Title) -> str:
    shown = [
        _setting(kind, told[kind], basis, title)
        for kind in TITLES
        if len(told[kind]) > (kind not in WORN)
    ]
    if not basis.marked and not basis.choices:
        return f"<p>{_NOTHING}</p>"
    if not shown:
        return f"<p>{_rests_on(basis)} {_SAME}</p>"
    lines = "".join(shown)
    return f'<p class="quiet">{_rests_on(basis)} {_HOW}</p><div class="settings">{lines}</div>'


def says(pair: Pair, title: Title) -> tuple[str, str]:
    """What the left has otherwise than the right, and the right than the left."""
    left, right = list[str](), list[str]()
    for kind, both in pair.differs.items():
        for said, value in zip((left, right), both, strict=True):
            name = title(value) if kind == "model" else value
            said.append(SAID.get(kind, "{}").format(name) if value else f"no {_ONE[kind]}")
    return ", ".join(left), ", ".join(right)


def duel(pair: tuple[Kept, Kept, Pair], title: Title) -> str:
    """Two beside each other, and nothing of how they were painted until one is chosen."""
    left, right, told = pair
    words = f"{escape(left.picture.prompt)}" if told.same_words else "Two wishes, of other words"
    figures = "".join(
        _figure(one, other, side, said, rather, told.same_words)
        for one, other, side, said, rather in zip(
            (left, right), (right, left), ("←", "→"), *_both(says(told, title)), strict=True
        )
    )
    return (
        f'<h2 class="prompt">{words}</h2><div class="pair duel">{figures}</div>'
        '<p class="neither"><button type="button" data-do="duel">Neither '
        "<kbd>space</kbd></button></p>"
    )


_NOTHING = (
    "Nothing to go by yet. Star or rate pictures, or choose between two a few times; then it "
    "stands here which model, look and number of steps you like best."
)
_SAME = "All that was found has the same settings, so none can win. Search for more."
_HOW = "A line reaches from the least to the most that is likely; a short line is well known."
_ONE = {"look": "look", "lora": "LoRA"}  # that one may wear none of


def _both(said: tuple[str, str]) -> tuple[tuple[str, str], tuple[str, str]]:
    return said, (said[1], said[0])


def _figure(one: Kept, other: Kept, side: str, said: str, rather: str, same: bool) -> str:
    picture = one.picture
    alt = "" if same else escape(picture.prompt)
    return (
        f'<figure><img src="/pictures/{escape(picture.id)}" alt="{alt or "One of two"}"'
        f' style="--w:{picture.width};--h:{picture.height}">'
        f'<button type="button" data-winner="{escape(picture.id)}"'
        f' data-loser="{escape(other.picture.id)}" data-said="{escape(said)}"'
        f' data-rather="{escape(rather)}">This one <kbd>{side}</kbd></button></figure>'
    )


def _rests_on(basis: Basis) -> str:
    pictures, choices = counted(basis.pictures, "picture"), counted(basis.choices, "choice")
    stars = f"{basis.marked:,} of {pictures} with a star or a rating"
    return f"This rests on {stars}, and on {choices} between two."


def _setting(kind: str, told: Sequence[Standing], basis: Basis, title: Title) -> str:
    rows = [_value(kind, one, basis, title) for one in told]
    first, rest = "".join(rows[:SOME]), "".join(rows[SOME:])
    if rest:
        rest = f"<details><summary>{len(rows) - SOME} more</summary>{rest}</details>"
    about = " · ".join(filter(None, (_verdict(told, basis), _saying(kind, basis))))
    verdict = f' <span class="quiet">{about}</span>'
    return f"<section><h3>{TITLES[kind]}{verdict}</h3>{first}{rest}</section>"


def _verdict(told: Sequence[Standing], basis: Basis) -> str:
    if len(told) < 2:
        return ""
    ahead = basis.marked and told[0].liked.low > max(one.liked.high for one in told[1:])
    return "the first is ahead" if ahead else "too close to tell"


def _saying(kind: str, basis: Basis) -> str:
    said = basis.saying.get(kind, basis.pictures)
    if said == basis.pictures:
        return ""
    return f"of {said:,} of {counted(basis.pictures, 'picture')}, the others do not say"


def _value(kind: str, one: Standing, basis: Basis, title: Title) -> str:
    name = escape(title(one.value) if kind == "model" else one.value)
    filter_ = f"{kind}:{one.value}" if kind in ("steps", "guidance") else clause(kind, one.value)
    named = (
        f'<button type="button" data-filter="{escape(filter_)}" title="{escape(filter_)}">{name}'
        "</button>"
        if filter_
        else f"<span>{name}</span>"
    )
    told = [f"{one.liked.wins:,} of {one.liked.of:,} liked"] if basis.marked else []
    if one.chosen.of:
        told.append(f"chosen {one.chosen.wins:,} of {one.chosen.of:,}")
    if one.rating is not None:
        told.append(f"★ {one.rating:.1f}")
    share = one.liked if basis.marked else one.chosen
    return f'<p class="value">{named}{_line(share)}<span class="mono">{" · ".join(told)}</span></p>'


def _line(share: Share) -> str:
    if not share.of:
        return '<i class="share"></i>'
    low, high, middle = (round(100 * one) for one in (share.low, share.high, share.wins / share.of))
    said = f"{middle} of 100; in truth probably {low} to {high}"
    return (
        f'<i class="share" role="img" aria-label="{said}" title="{said}"'
        f' style="--low:{low}%;--high:{high}%;--is:{middle}%"></i>'
    )
