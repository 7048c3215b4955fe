"""Looks: presets that dress a wish in words of a style, a negative prompt, LoRAs and settings.

What the wish says itself counts more than what a look says, and of two looks the later counts more.
A look may say it in other words to a model that keeps a list of what it knows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from studio.errors import Refused
from studio.models.vocabulary import unknown_sentence, words_of
from studio.request import ImageRequest, LoraUse, Part, Quality, Text, Upscale, read_request

PLACE = "{prompt}"
MOST_WORN = 8
# Of each the wish or the look decides as a whole: whoever wishes for a quality wants no steps.
GROUPS = (
    ("model",),
    ("aspect", "width", "height"),
    ("quality", "steps"),
    ("guidance",),
    ("sampler",),
    ("strength",),
    ("upscale",),
)
SETTINGS = tuple(name for group in GROUPS for name in group)
Words = Annotated[Text, Field(max_length=8192)]


class Look(Part):
    """`{prompt}` is where the words go, in `negative` those of the wish, which otherwise stand
    before it. `simple` is all that models are told which know few words."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)
    title: str = Field(min_length=1, max_length=100)
    prompt: Words = PLACE
    negative: Words = ""
    simple: Words = ""
    loras: tuple[LoraUse, ...] = Field((), max_length=8, strict=False)
    model: str | None = Field(None, min_length=1, max_length=128)
    aspect: str | None = Field(None, min_length=1, max_length=32)
    width: int | None = Field(None, ge=1, le=4096)
    height: int | None = Field(None, ge=1, le=4096)
    quality: Quality | None = None
    steps: int | None = Field(None, ge=1, le=200)
    guidance: float | None = Field(None, ge=0, le=30)
    sampler: str | None = Field(None, min_length=1, max_length=32)
    strength: float | None = Field(None, ge=0, le=1)
    upscale: Upscale | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for field in ("prompt", "simple"):
            if getattr(self, field) and PLACE not in getattr(self, field):
                raise ValueError(f"{field} must say where the words go, with {PLACE}.")
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height go together; give both, or an aspect.")
        if self.width is not None and self.aspect is not None:
            raise ValueError("give either an aspect or width and height, not both.")
        return self

    @property
    def settings(self) -> dict[str, Any]:
        return {name: value for name in SETTINGS if (value := getattr(self, name)) is not None}

    def frames(self, known: Sequence[str]) -> tuple[str, str]:
        """Of both prompts, for a model that knows these words, or keeps no list of them."""
        unknown = known and set(words_of(self.prompt.replace(PLACE, " "))) - set(known)
        if self.simple and unknown:
            return self.simple, PLACE
        negative = f"{PLACE}, {self.negative}" if self.negative else PLACE
        return self.prompt, self.negative if PLACE in self.negative else negative


@dataclass(frozen=True, slots=True)
class Dressed:
    """A wish with its looks put on, what they changed in sentences, and which they were."""

    wish: ImageRequest
    said: tuple[str, ...] = ()
    worn: tuple[Look, ...] = ()


def dress(
    wish: ImageRequest, looks: Mapping[str, Look], words: Callable[[str], Sequence[str]]
) -> Dressed:
    """`words` are those that a model of this name knows, if it keeps a list."""
    if wish.look is None:
        return Dressed(wish)
    worn = _named(wish.look, looks)
    settings, said = _settings(wish, worn)
    loras = {use.name: use for look in worn for use in look.loras}
    own = {use.name for use in wish.loras}
    more = [use for name, use in loras.items() if name not in own]
    prompt, negative = wish.prompt, wish.negative_prompt
    known = words(settings.get("model", wish.model))
    for look in worn:
        frame, against = look.frames(known)
        prompt, negative = put(frame, prompt), put(against, negative)
    changed = {"look": None, "prompt": prompt, "negative_prompt": negative, **settings}
    changed["loras"] = [use.model_dump() for use in (*wish.loras, *more)]
    return Dressed(read_request(wish.model_dump() | changed), tuple(said), worn)


def put(frame: str, words: str) -> str:
    """Without a comma beside nothing."""
    if words.strip():
        return frame.replace(PLACE, words)
    return frame.replace(f"{PLACE}, ", "").replace(f", {PLACE}", "").replace(PLACE, "")


def unknown_sentences(title: str, unknown: Sequence[str], worn: Sequence[Look]) -> Iterator[str]:
    """What a model was never taught: the looks as a whole, and the wish's own words."""
    own = list(unknown)
    for look in worn:
        theirs = set(words_of(f"{look.prompt} {look.negative}".replace(PLACE, " ")))
        if theirs & set(own):
            yield f"{title} was not taught the look {look.title}; little of it will show."
        own = [word for word in own if word not in theirs]
    if own:
        yield unknown_sentence(title, own)


def names_of(look: str) -> list[str]:
    """Several are given with commas."""
    return [name for part in look.split(",") if (name := part.strip())]


def _named(asked: str, looks: Mapping[str, Look]) -> tuple[Look, ...]:
    names = names_of(asked)
    if len(names) > MOST_WORN:
        raise Refused(f"look: {len(names)} are too many; the most is {MOST_WORN}.", field="look")
    for name in names:
        if name not in looks:
            near = get_close_matches(name, looks, n=1)
            offered = ", ".join(looks) or "none"
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {offered}."
            raise Refused(f"look: there is no look {name!r}. {hint}", field="look")
    return tuple(looks[name] for name in names)


def _settings(wish: ImageRequest, worn: Sequence[Look]) -> tuple[dict[str, Any], list[str]]:
    """What the looks set, and that in sentences, with what does not count."""
    settings: dict[str, Any] = {}
    said: list[str] = []
    for look in worn:
        taken: dict[str, Any] = {}
        for group in GROUPS:
            says = {name: look.settings[name] for name in group if name in look.settings}
            if group == ("strength",) and not wish.start_image:
                continue  # it is that of a picture to begin from
            wished = {
                name: value for name in group if (value := getattr(wish, name)) not in (None, "")
            }
            if says and wished:
                if any(getattr(wish, name) != value for name, value in says.items()):
                    said.append(
                        f"The look {look.title} says {_list(says)}; the wish {_list(wished)}."
                    )
            elif says:
                settings |= dict.fromkeys(group) | says
                taken |= says
        if taken:
            said.append(f"The look {look.title} sets {_list(taken)}.")
    settings = {name: value for name, value in settings.items() if value is not None}
    return settings, said


def _list(says: Mapping[str, Any]) -> str:
    *first, last = [f"{name} {value}" for name, value in says.items()]
    return f"{', '.join(first)} and {last}" if first else last
