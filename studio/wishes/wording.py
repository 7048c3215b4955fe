"""From one wish to those that are painted for it: looks put on, choices made.

Each picture's words are drawn by its own seed, or all there are are painted, or they take turns.
What is painted holds the text alone; what was wished stays with it, so that the same wish with the
same lists gives the same words again.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from studio.errors import Refused
from studio.formats.choices import MOST_COUNTED
from studio.formats.expand import Template
from studio.formats.spoken import counted
from studio.formats.template import plain
from studio.formats.wildcards import Wildcard
from studio.models import enlarge
from studio.request import MAX_SEED, ImageRequest, read_request
from studio.wishes.catalog import Catalog, Settled
from studio.wishes.looks import Dressed, Look

MOST_TEXTS = 1000  # of one wish
EXAMPLES, DRAWS = 3, 12  # that are shown of a wish without a seed, and looked for among so many
Lists = Callable[[], Mapping[str, Wildcard]]


@dataclass(frozen=True, slots=True)
class Worded:
    """What was wished for one job of several, and that with its words as they are painted."""

    wish: ImageRequest
    bare: ImageRequest
    said: tuple[str, ...] = ()
    worn: tuple[Look, ...] = ()

    def made(self, settled: Settled, notes: Sequence[str] = ()) -> Settled:
        """The settled bare wish as that of the whole one."""
        return replace(settled, wish=self.wish, warnings=(*notes, *self.said, *settled.warnings))


class Wording:
    """Of one wish. `texts` is how many it has, with MOST_COUNTED for as many or more."""

    def __init__(
        self, wish: ImageRequest, catalog: Catalog, lists: Lists, most: int = MOST_TEXTS
    ) -> None:
        if wish.nth is not None and wish.expand not in ("all", "cycle"):
            raise Refused("nth: it goes with expand all or cycle.", field="nth")
        self.wish, self._most = wish, most
        alone = wish.model == enlarge.NAME  # its prompt is that of the picture
        self._dressed = Dressed(wish) if alone else catalog.dress(wish)
        bare = self._dressed.wish
        texts = {"prompt": bare.prompt, "negative_prompt": bare.negative_prompt}
        written = alone or wish.expand == "no" or all(map(plain, texts.values()))
        self._templates = () if written else _read(texts, lists)
        self.dynamic = any(template.dynamic for template in self._templates)
        self.texts = 1
        for template in self._templates:
            self.texts = min(self.texts * template.count, MOST_COUNTED)

    @property
    def wildcards(self) -> list[str]:
        """Those that it called."""
        return sorted({name for template in self._templates for name in template.wildcards})

    def each(self) -> Iterator[Worded]:
        """One for each job. Without choices that is one, whatever its count."""
        wish = self.wish
        if not self.dynamic:
            yield self._bare(wish, self._drawn(0))
        elif wish.expand == "all":
            yield from self._all()
        else:
            yield from self._one_by_one(wish)

    def shown(self, most: int) -> list[Worded]:
        """The first of them; without a seed some examples, the same each time."""
        if not self.dynamic or self.wish.seed is not None or self.wish.expand != "random":
            return list(islice(self.each(), most))
        some = self.wish.model_copy(update={"seed": 0, "count": DRAWS})
        unlike: dict[tuple[str, str], Worded] = {}
        for one in self._one_by_one(some):
            unlike.setdefault((one.bare.prompt, one.bare.negative_prompt), one)
        return list(islice(unlike.values(), min(most, EXAMPLES)))

    def _one_by_one(self, wish: ImageRequest) -> Iterator[Worded]:
        """A picture each, with a seed of its own."""
        first = wish.nth or 0
        begin = secrets.randbelow(MAX_SEED + 1) if wish.seed is None else wish.seed
        for number in range(wish.count):
            seed = (begin + number) % (MAX_SEED + 1)
            own: dict[str, object] = {"count": 1, "seed": seed}
            if wish.expand == "cycle":
                own["nth"] = turn = first + number
                said = {one.field: one.turn(turn) for one in self._templates}
            else:
                said = self._drawn(seed)
            yield self._bare(wish.model_copy(update=own), said)

    def _all(self) -> Iterator[Worded]:
        """Each text once, with the same seeds, so that nothing but the words differs."""
        wish = self.wish
        if wish.nth is not None and wish.nth >= self.texts:
            raise Refused(
                f"nth: {wish.nth} is not there; the last of {self.texts:,} is {self.texts - 1}.",
                field="nth",
            )
        if wish.nth is None and self.texts > self._most:
            raise Refused(
                f"expand: {told(self.texts)} are too many to paint at once; the most is "
                f"{self._most}. Take out some choices, or say expand random with a count.",
                field="expand",
            )
        seed = secrets.randbelow(MAX_SEED + 1) if wish.seed is None else wish.seed
        seen: set[tuple[str, ...]] = set()
        for number in range(self.texts) if wish.nth is None else (wish.nth,):
            rest, places = number, list[int]()
            for template in reversed(self._templates):
                rest, place = divmod(rest, template.count)
                places.insert(0, place)
            said = {
                template.field: template.nth(place)
                for template, place in zip(self._templates, places, strict=True)
            }
            if tuple(said.values()) not in seen:
                seen.add(tuple(said.values()))
                yield self._bare(wish.model_copy(update={"seed": seed, "nth": number}), said)

    def _drawn(self, seed: int) -> dict[str, str]:
        return {template.field: template.drawn(seed) for template in self._templates}

    def _bare(self, wish: ImageRequest, said: Mapping[str, str]) -> Worded:
        dressed, spent = self._dressed, {"expand": "no", "nth": None}
        same = all(getattr(dressed.wish, field) == text for field, text in said.items())
        if same and not self.dynamic:
            return Worded(wish, dressed.wish.model_copy(update=spent), dressed.said, dressed.worn)
        own = {"count": wish.count, "seed": wish.seed}
        bare = read_request({**dressed.wish.model_dump(), **own, **said, **spent})
        row = wish.model_copy(update={"seed": self.wish.seed, "count": self.wish.count})
        return Worded(row, bare, dressed.said, dressed.worn)


def told(texts: int) -> str:
    """How many texts, as people say it."""
    if texts >= MOST_COUNTED:
        return f"more than {MOST_COUNTED:,} texts"
    return counted(texts, "text")


def _read(texts: Mapping[str, str], lists: Lists) -> tuple[Template, ...]:
    """Nobody lists folders for a prompt that calls nothing."""
    calls = any("__" in text for text in texts.values())
    wildcards = lists() if calls else {}
    return tuple(Template(text, wildcards, field) for field, text in texts.items())
