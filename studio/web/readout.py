"""What a picture of any tool says, on the page: where it is dropped, what is told, and its way into
the controls of Create.

The browser hands the file to `/api/read` and says here what came back. So nothing of it is
believed: all is escaped, and a wish is settled like any other before it fills a control.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

import gradio as gr

from studio.errors import DarkroomError
from studio.formats.foreign.notes import list_of, mapping_of, text_of
from studio.jobs.studio import Studio
from studio.web import frame
from studio.web.controls import NAMES, fill_wish
from studio.web.desk import Shown, State, sound
from studio.web.sources import KINDS

SCRIPT = Path(__file__).with_name("readout.js").read_text(encoding="utf-8")
FILLS = 4 + len(NAMES)  # note, about, size, given, and the controls
LONGEST = 4000  # letters of one thing that is shown
MOST = 100  # sentences of one kind
ROWS = {
    "prompt": "prompt",
    "negative_prompt": "not",
    "seed": "seed",
    "steps": "steps",
    "guidance": "guidance",
    "sampler": "sampler",
}
NUMBERS = ("seed", "steps", "guidance")
Told = Mapping[str, object]


def door() -> gr.HTML:
    """A component with the events told, said, take and begun."""
    return gr.HTML(
        draw(None),
        elem_id="readout",
        elem_classes="readout",
        js_on_load=SCRIPT,
        apply_default_css=False,
    )


@dataclass(frozen=True, slots=True)
class Readout:
    studio: Studio

    def tell(self, event: gr.EventData) -> list[object]:
        """[readout, note]"""
        told = getattr(event, "told", None)
        name = text_of(getattr(event, "name", ""))
        return [draw(told if isinstance(told, dict) else None, name), ""]

    def load(self, event: gr.EventData, state: State, current: str) -> Shown:
        """[state, note, about, size, given, *controls]; a model that is not told stays as it is."""
        wish = dict(mapping_of(getattr(event, "wish", None)))
        try:
            card, shown = fill_wish(self.studio, wish, current)
        except DarkroomError as error:
            return _unfilled(str(error))
        return [sound(state) | {"model": card.name}, *shown]


def draw(told: Told | None, name: str = "") -> str:
    if told is None:
        return (
            '<label class="drop" tabindex="0">Read a picture of any tool: drop it here, or '
            f'<u>choose a file</u><input type="file" accept="{KINDS}" hidden></label>'
        )
    tool, version = text_of(told.get("tool")), text_of(told.get("version"))
    title = f"{escape(name[:80] or 'The picture')} was painted by {escape(tool[:80])}"
    if not tool:
        title = f"{escape(name[:80] or 'The picture')} does not say how it was painted"
    rows = "".join(f"<dt>{key}</dt><dd>{value}</dd>" for key, value in _rows(told))
    return (
        f'<section><p class="title">{title} <span class="mono">{escape(version[:80])}</span></p>'
        f"<dl>{rows}</dl>{_sentences('lost', told.get('not_honoured'))}"
        f"{_sentences('quiet', told.get('translated'))}{_left(told.get('not_understood'))}"
        f'<div class="acts">{_acts(told)}</div></section>'
    )


def _rows(told: Told) -> Iterator[tuple[str, str]]:
    wish = mapping_of(told.get("wish"))
    for field, name in ROWS.items():
        if (text := text_of(wish.get(field))) != "":
            shown = escape(_cut(text))
            yield name, f'<span class="number">{shown}</span>' if field in NUMBERS else shown
    if wish.get("width") and wish.get("height"):
        size = f"{text_of(wish['width'])} × {text_of(wish['height'])}"
        yield "size", f'<span class="number">{escape(size)}</span>'
    if model := mapping_of(told.get("model")):
        yield "model", _match(model)
    for lora in list_of(told.get("loras"))[:MOST]:
        yield "LoRA", _match(mapping_of(lora))


def _match(match: Told) -> str:
    """`boats_v2 31e35c80fc: boats here, by its hash`"""
    name, known, here, by = (text_of(match.get(key)) for key in ("name", "hash", "here", "by"))
    parts = [escape(name[:200])] if name else []
    parts += [f'<span class="mono">{escape(known[:12])}</span>'] if known else []
    theirs = " ".join(parts)
    return f"{theirs}, which is {escape(here[:80])} by its {escape(by)}" if here else theirs


def _sentences(kind: str, given: object) -> str:
    said = [text_of(one) for one in list_of(given)[:MOST]]
    rows = "".join(f"<li>{escape(_cut(sentence))}</li>" for sentence in said if sentence)
    return f'<ul class="{kind}">{rows}</ul>' if rows else ""


def _left(given: object) -> str:
    pieces = [mapping_of(one) for one in list_of(given)[:MOST]]
    if not pieces:
        return ""
    rows = "".join(
        f"<dt>{escape(_cut(text_of(one.get('where'))))}</dt>"
        f"<dd>{escape(_cut(text_of(one.get('text'))))}</dd>"
        for one in pieces
    )
    what = "One piece was" if len(pieces) == 1 else f"{len(pieces)} pieces were"
    return f"<details><summary>{what} not understood</summary><dl>{rows}</dl></details>"


def _acts(told: Told) -> str:
    wish = mapping_of(told.get("wish"))
    acts = list[tuple[str, str]]()
    if wish.get("prompt"):
        acts = [("load", "Load into Create")]
        if wish.get("model") and not mapping_of(told.get("model")).get("said"):
            acts += [("again", "Paint it again and compare")]
    return "".join(
        f'<button type="button" data-readout="{act}">{words}</button>'
        for act, words in (*acts, ("close", "Read another"))
    )


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _unfilled(sentence: str) -> Shown:
    note = frame.note(sentence[:1].upper() + sentence[1:], "warn")
    return [gr.skip(), note, *[gr.skip()] * (FILLS - 1)]


def said(event: gr.EventData) -> str:
    """[note]"""
    words = text_of(getattr(event, "words", ""))
    return frame.note(words[:1].upper() + words[1:], "warn")
