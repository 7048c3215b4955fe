"""The HTML of what is looked at: the frame with its bar and words, thumbs, recipe and status strip.

Strings in, strings out, everything from outside escaped. The same tags in the same order for every
state, because Gradio patches attributes in place: that is how a preview sharpens without a flash.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from studio.formats.spoken import counted
from studio.jobs.seats import SlotView
from studio.store.rows import Picture

NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
EXAMPLES = (
    "a red lighthouse on a small island, evening",
    "a bowl of lemons on a blue table, window light",
    "a paper boat on a quiet canal, morning fog",
)

SAY = "Say what you want to see and press Generate, or try one of these:"

WAYS = {"reuse": "Reuse", "begin": "Begin from it", "rerun": "Rerun exactly"}


@dataclass(frozen=True, slots=True)
class Frame:
    """One state of the frame. `done` from 0 to 1 draws the bar; None hides it."""

    kind: str  # "live", "still" or "sorry"
    size: tuple[int, int]
    source: str = ""
    alt: str = ""
    words: str = ""
    done: float | None = None
    follow: str = ""
    thumbs: str = ""
    recipe: str = ""
    notes: Sequence[str] = ()
    acts: str = ""
    many: bool = False


def render(frame: Frame) -> str:
    width, height = frame.size
    share = round(100 * (frame.done or 0))
    bar = "" if frame.done is None else f'aria-valuenow="{share}"'
    notes = "".join(f"<p>{escape(note)}</p>" for note in frame.notes)
    kinds = [frame.kind, "picture" if frame.source else "blank", *(["many"] if frame.many else [])]
    return (
        f'<section class="stage {" ".join(kinds)}" data-follow="{escape(frame.follow)}"'
        f' style="--w:{width};--h:{height}"><figure class="frame">'
        f'<img src="{escape(frame.source or NOTHING)}" alt="{escape(frame.alt)}"></figure>'
        f'<div class="bar" role="progressbar" aria-label="Progress" aria-valuemin="0"'
        f' aria-valuemax="100" {bar}><i style="width:{share}%"></i></div>'
        f'<p class="words" aria-live="{"off" if frame.kind == "live" else "polite"}">'
        f"{escape(frame.words)}</p>"
        f'<div class="thumbs">{frame.thumbs}</div>'
        f'<div class="recipe">{frame.recipe}</div>'
        f'<div class="notes">{notes}</div>'
        f'<div class="acts">{frame.acts}</div></section>'
    )


def empty(examples: Sequence[str], words: str = SAY) -> str:
    """`examples` are the model's own; without any there are some that suit most."""
    tries = "".join(
        f'<button type="button" data-try="{escape(prompt)}">{escape(prompt)}</button>'
        for prompt in examples or EXAMPLES
    )
    return (
        '<section class="stage empty" style="--w:4;--h:3"><figure class="frame">'
        f"<figcaption><p>{words}</p>{tries}</figcaption></figure></section>"
    )


def preview_source(preview: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(preview).decode()}" if preview else ""


def thumbs(pictures: Sequence[Picture], chosen: str = "") -> str:
    """Small pictures to choose from. Each is a button, so the keyboard reaches it."""
    return "".join(
        f'<button type="button" data-pick="{escape(picture.id)}"'
        f' aria-pressed="{"true" if picture.id == chosen else "false"}"'
        f' aria-label="{escape(_named(picture))}"'
        f' style="--w:{picture.width};--h:{picture.height}">'
        f'<img src="/thumbs/{escape(picture.id)}" alt="" loading="lazy"></button>'
        for picture in pictures
    )


def lately(pictures: Sequence[Picture], chosen: str = "") -> str:
    if not pictures:
        return ""
    return f'<p class="quiet">lately</p><div class="thumbs">{thumbs(pictures, chosen)}</div>'


def acts(
    picture: Picture,
    *,
    back: bool,
    ways: Mapping[str, str],
    enlarge: Sequence[int] = (),
    among: int = 1,
) -> str:
    """`ways` lead to another like it, with their words; `enlarge` are the times that it can be;
    `among` are those painted with it, itself too."""
    key = escape(picture.id)
    again = "".join(
        f'<button type="button" data-{way}="{key}">{words}</button>' for way, words in ways.items()
    )
    larger = "".join(
        f'<button type="button" data-enlarge="{key}" data-times="{times}">Enlarge {times}×</button>'
        for times in enlarge
    )
    close = '<button type="button" data-pick="">Back</button>' if back else ""
    every = (
        f'<a href="/api/pictures/zip?job={escape(picture.job)}" download>Download all {among}</a>'
        if among > 1
        else ""
    )
    return (
        f'{again}{larger}<a href="/pictures/{key}?download=1" download>Download</a>{every}'
        f'<a href="/pictures/{key}" target="_blank" rel="noopener">Open</a>{close}'
    )


def acts_of_waiting(job: str) -> str:
    title = "Before everything of yours that waits"
    return f'<button type="button" data-next="{escape(job)}" title="{title}">Paint next</button>'


def recipe(line: Sequence[str], facts: Mapping[str, object]) -> str:
    """One line for the eye, everything else one click away."""
    short = '<span class="dot">·</span>'.join(f"<span>{escape(part)}</span>" for part in line)
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items()
    )
    return f"<details><summary>{short}</summary><dl>{rows}</dl></details>"


def status(slots: Sequence[SlotView], waiting: int, reading: str = "", paused: bool = False) -> str:
    """`● 2 slots · 1 painting · 3 waiting`, the dot green once something can paint, and a button
    that pauses the line while there is one.

    `reading` is why nothing ever will.
    """
    if reading:
        return f'<p class="status" title="{escape(reading)}"><i class="warn"></i>read only</p>'
    painting = sum(slot.state in ("painting", "saving") for slot in slots)
    starting = sum(slot.state in ("starting", "restarting") for slot in slots)
    words = [counted(len(slots), "slot")]
    words += [f"{starting} starting"] if starting else []
    words += [f"{painting} painting"] if painting else []
    words += [f"{waiting} waiting"] if waiting else []
    if paused:
        words.append("paused")
    elif len(words) == 1:
        words.append("ready" if slots else "nothing can paint")
    mood = "good" if len(slots) > starting and not paused else "warn"
    why = "; ".join(f"{slot.name} on {slot.device}: {slot.reason}" for slot in slots)
    button = _pause(paused) if paused or painting or waiting else ""
    return (
        f'<p class="status" title="{escape(why)}"><i class="{mood}"></i>'
        f"<span>{escape(' · '.join(words))}</span>{button}</p>"
    )


def _pause(paused: bool) -> str:
    if paused:
        return '<button type="button" data-pause="" title="Begin again">Go on</button>'
    what = "Begin nothing more; what is being painted is finished"
    return f'<button type="button" data-pause="on" title="{what}">Pause</button>'


def note(sentence: str, mood: str = "") -> str:
    return f'<p class="note {mood}" role="alert">{escape(sentence)}</p>' if sentence else ""


def _named(picture: Picture) -> str:
    seed = "" if picture.known_seed is None else f", seed {picture.seed}"
    return f"{_short(picture.prompt) or 'a picture from elsewhere'}{seed}"


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
