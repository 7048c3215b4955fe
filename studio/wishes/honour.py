"""What becomes of a foreign recipe here: a wish as near to it as can be, and what is lost.

Each thing that this studio, or the model that is here, does otherwise is a sentence. Nothing is
painted in place of a model that is missing, unless one is named.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from studio.canvas import nearest
from studio.errors import Refused
from studio.formats.foreign.notes import Reading, Unread
from studio.formats.foreign.samplers import meant
from studio.formats.read import NO_PICTURE
from studio.formats.template import plain
from studio.models.card import ModelCard
from studio.request import ImageRequest, read_request
from studio.wishes.catalog import Catalog, Settled
from studio.wishes.matching import Match, find_lora, find_model, reader
from studio.wishes.routing import Here, settle_here

WORDS = ("prompt", "negative_prompt")
NUMBERS = ("seed", "steps", "guidance", "width", "height")
MOST_TRIES = 12  # fields that may be given up, one after the other
NOTHING = "There is nothing in this picture about how it was painted."
NO_FILE = "This is no PNG, JPEG or WebP, so there is nothing to read."
Settle = Callable[[ImageRequest], Settled]


def why_nothing(reading: Reading) -> str:
    return NO_FILE if reading == NO_PICTURE else NOTHING


@dataclass(frozen=True, slots=True)
class Honoured:
    """`wish` holds the fields of a wish. Without a `tool` nobody knows how it was painted."""

    tool: str
    version: str
    wish: dict[str, object]
    model: Match | None
    loras: tuple[Match, ...]
    translated: tuple[str, ...]
    not_understood: tuple[Unread, ...]
    not_honoured: tuple[str, ...]

    def told(self) -> dict[str, object]:
        """JSON-shaped."""
        return {
            "tool": self.tool or None,
            "version": self.version or None,
            "wish": self.wish,
            "model": self.model and asdict(self.model),
            "loras": [asdict(match) for match in self.loras],
            "translated": list(self.translated),
            "not_understood": [one._asdict() for one in self.not_understood],
            "not_honoured": list(self.not_honoured),
        }


def honour(
    reading: Reading,
    catalog: Catalog,
    models: Path,
    *,
    settle: Settle | None = None,
    instead: str = "",
    deep: bool = False,
    here: Here | None = None,
) -> Honoured:
    """`instead` names a model that is to paint it; `deep` reads large files for their hashes;
    `here` is for all pictures of one call."""
    here = here or Here(catalog, models)
    made = _Wish(reading, here, models, instead, deep)
    if not reading.tool:
        made.lost.append(why_nothing(reading))
    elif reading.own is not None:
        made.fields |= dict(reading.fields)
    else:
        made.build()
        made.try_it(settle or (lambda wish: settle_here(wish, here)))
    return Honoured(
        reading.tool,
        reading.version,
        made.fields,
        made.model,
        tuple(made.loras),
        reading.translated,
        reading.unread,
        tuple(dict.fromkeys((*made.lost, *reading.beyond, *made.said))),
    )


def fit(fields: dict[str, object], settle: Settle) -> tuple[Settled | None, list[str]]:
    """What is refused is given up, field by field, with the sentence that refused it; nothing comes
    of it where that is the model or the prompt."""
    lost = list[str]()
    for _ in range(MOST_TRIES):
        try:
            return settle(read_request(fields)), lost
        except Refused as refused:
            lost.append(_sentence(str(refused)))
            name = (refused.field or "").partition(".")[0]
            if name not in fields or name in ("model", "prompt"):
                break
            both = ("width", "height") if name in ("width", "height") else (name,)
            for one in both:
                fields.pop(one, None)
    return None, lost


@dataclass(slots=True)
class _Wish:
    reading: Reading
    here: Here
    models: Path
    instead: str
    deep: bool
    fields: dict[str, object] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)  # by the model that is here
    model: Match | None = None
    loras: list[Match] = field(default_factory=list)

    def build(self) -> None:
        self._words()
        for name in NUMBERS:
            self._number(name)
        if ("width" in self.fields) != ("height" in self.fields):
            self.fields.pop("width", None), self.fields.pop("height", None)
        card = self._card()
        self._sampler(card)
        if card:
            self.fields["model"] = card.name
            self._size(card)
            self._steps(card)
        self._worn(card)
        self._larger()

    def try_it(self, settle: Settle) -> None:
        if "model" not in self.fields or not self.fields.get("prompt"):
            return
        settled, lost = fit(self.fields, settle)
        self.lost += lost
        self.said += settled.warnings if settled else ()

    def _words(self) -> None:
        for name in WORDS:
            text = str(self.reading.fields.get(name, ""))
            sound = text.replace("\0", "").encode(errors="replace").decode()
            if sound != text:
                self.lost.append(f"{name}: what is no text in it was left out.")
            if sound:
                self._keep(name, sound)
            if not plain(sound):
                self.fields["expand"] = "no"  # choices that it had were made
        if not self.fields.get("prompt"):
            self.lost.append("It does not say what it should show.")
        elif not all(plain(str(self.fields.get(name, ""))) for name in WORDS):
            self.fields["expand"] = "no"  # what looks like a choice of ours is text there

    def _number(self, name: str) -> None:
        value = self.reading.fields.get(name)
        if value is None:
            if name == "seed":
                self.lost.append(
                    "It says no seed; a new one is drawn, and with it another picture."
                )
            return
        self._keep(name, value)

    def _keep(self, name: str, value: object) -> None:
        """If it is within the bounds of a wish."""
        try:
            read_request({"prompt": "a", **_beside(name), name: value})
        except Refused as refused:
            self.lost.append(_sentence(str(refused)))
        else:
            self.fields[name] = value

    def _card(self) -> ModelCard | None:
        if self.reading.model:
            self.model = find_model(
                self.reading.model, self.here.catalog, self.models, reader(self.deep)
            )
            self.lost += [self.model.said] if self.model.said else []
        else:
            self.lost.append("It does not say which model painted it.")
        if self.instead:
            card = self.here.catalog.find(self.instead)
            if not (self.model and self.model.here == card.name):
                self.lost.append(f"{card.title} paints it in place of its own model.")
            return card
        return self.here.catalog.find(self.model.here) if self.model and self.model.here else None

    def _sampler(self, card: ModelCard | None) -> None:
        theirs, schedule = self.reading.sampler, self.reading.schedule
        if not theirs:
            return
        ours, undone = meant(theirs, schedule)
        offered = [sampler.name for sampler in card.samplers] if card else []
        usual = f"; {card.title} takes {offered[0]!r}" if card else ""
        if ours is None or (card and ours not in offered):
            if ours == "dpm++ 2m karras" and "dpm++ 2m" in offered:
                ours, undone = "dpm++ 2m", "karras"
            else:
                self.lost.append(f"The sampler {theirs[:60]!r} is not known here{usual}.")
                return
        if undone:
            self.lost.append(
                f"The noise schedule {undone[:60]!r} is not done here with {ours!r}; that of the "
                "model is taken."
            )
        self.fields["sampler"] = ours

    def _size(self, card: ModelCard) -> None:
        width, height = self.fields.get("width"), self.fields.get("height")
        if not isinstance(width, int) or not isinstance(height, int):
            return
        if objection := card.size_objection(width, height):
            sizes = {name: (size.width, size.height) for name, size in card.sizes.items()}
            now = sizes[nearest((width, height), sizes)]
            self.fields |= {"width": now[0], "height": now[1]}
            self.lost.append(
                f"{card.title} does not paint {width}x{height}: {objection[1]} The nearest shape, "
                f"{now[0]}x{now[1]}, is taken."
            )

    def _steps(self, card: ModelCard) -> None:
        steps = self.fields.get("steps")
        if isinstance(steps, int) and steps > card.max_steps:
            self.fields["steps"] = card.max_steps
            self.lost.append(
                f"{steps} steps are too many for {card.title}; it takes {card.max_steps}."
            )

    def _worn(self, card: ModelCard | None) -> None:
        read, uses = reader(self.deep), list[dict[str, object]]()
        there = {lora.name: lora for lora in self.here.loras if not lora.refused}
        for named in self.reading.loras:
            match = find_lora(named, self.models, read)
            self.loras.append(match)
            self.lost += [match.said] if match.said else []
            if not match.here or any(use["name"] == match.here for use in uses):
                continue
            if card and not ("loras" in card.can and there[match.here].fits(card.lora_base)):
                self.lost.append(f"{card.title} cannot wear the LoRA {match.here!r}.")
                continue
            parts = {} if named.reading is None else {"text_encoder": named.reading}
            uses.append({"name": match.here, "weight": named.weight, "components": parts})
        if uses:
            self._keep("loras", uses)

    def _larger(self) -> None:
        """Not enlarged unless it was: a card may enlarge by itself."""
        fields = self.reading.fields
        name, times = str(fields.get("upscaler", "")), fields.get("upscale", 1)
        self.fields["upscale"] = times
        if times == 1:
            return
        if any(name.lower() in one.names for one in self.here.upscalers if one.usable):
            self.fields["upscaler"] = name
        else:
            self.lost.append(f"The upscaler {name[:60]!r} is not here; another one enlarges it.")


def _beside(name: str) -> dict[str, object]:
    """Width and height go together; only the one asked about may be wrong."""
    return {"width": 64, "height": 64} if name in ("width", "height") else {}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
