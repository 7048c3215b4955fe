"""The Models page: what is here, in memory and on the hub, and what one click does about it.

The list is HTML of ours; while something is on its way it asks to be drawn again.
"""

from collections.abc import Callable, Sequence
from html import escape

import gradio as gr

from studio.errors import DarkroomError, sayable
from studio.jobs.fetching import Fetch
from studio.jobs.seats import SlotView
from studio.jobs.studio import Studio
from studio.models import hub
from studio.models.card import Brought, ModelCard
from studio.models.lora_bases import title_of
from studio.models.loras import Lora, find_loras
from studio.models.weights import absent
from studio.web import frame
from studio.web.create import LIGHT

AGAIN_MS = 1500
CLICKS = f"""
element.addEventListener('click', (event) => {{
  const button = event.target.closest('[data-act]');
  if (button) trigger('act', {{ act: button.dataset.act, model: button.dataset.model }});
}});
let coming;
watch('value', () => {{
  clearTimeout(coming);
  const again = () => trigger('look', {{}});
  if (element.querySelector('[data-busy]')) coming = setTimeout(again, {AGAIN_MS});
}});
"""


def library(studio: Studio, tab: gr.Tab) -> None:
    """Builds the page inside its tab."""
    shown = gr.HTML(elem_id="library", js_on_load=CLICKS, apply_default_css=False)

    def look() -> str:
        return draw(studio)

    def act(event: gr.EventData) -> str:
        return draw(studio, do(studio, str(getattr(event, "act", "")), event))

    tab.select(look, [], shown, **LIGHT)
    shown.look(look, [], shown, **LIGHT)
    shown.act(act, [], shown, **LIGHT)


def do(studio: Studio, act: str, event: gr.EventData) -> str:
    """What it came to, if it is worth a word."""
    doing: dict[str, Callable[[ModelCard], None]] = {
        "pull": studio.fetching.begin,
        "stop": studio.fetching.stop,
        "load": lambda card: studio.line.keep_loaded(card.name, here=True),
        "release": lambda card: studio.line.keep_loaded(card.name, here=False),
    }
    try:
        doing[act](studio.catalog.find(str(getattr(event, "model", ""))))
    except DarkroomError as error:
        return str(error)
    return ""


def draw(studio: Studio, said: str = "") -> str:
    folder, slots = studio.settings.model_folder, studio.pool.views()
    fetches = studio.fetching.views()
    cards = sorted(studio.catalog.cards.values(), key=lambda card: card.title.lower())
    here = [card for card in cards if not absent(card, folder)]
    there = [card for card in cards if card not in here]
    coming = [card for card in there if card.name in fetches]
    busy = any(fetches[card.name].state != "failed" for card in coming)
    parts = [
        frame.note(said, "warn"),
        _section("On this machine", [_here(card, slots) for card in here]),
        _section("On their way", [_coming(card, fetches[card.name]) for card in coming]),
        _section("LoRAs", [_lora(lora, slots) for lora in find_loras(folder)]),
        _section("On the hub", [_there(card) for card in there if card not in coming]),
        _section("Cannot be used", [_refused(one) for one in studio.catalog.brought()]),
        _section("Slots", [_slot(slot) for slot in slots]),
    ]
    return f"<div{' data-busy' if busy else ''}>{''.join(parts)}</div>"


def _section(title: str, rows: Sequence[str]) -> str:
    return f"<section><h2>{title}</h2>{''.join(rows)}</section>" if any(rows) else ""


def _here(card: ModelCard, slots: Sequence[SlotView]) -> str:
    holding = [slot.name for slot in slots if card.name in slot.loaded]
    line = [f"in the memory of {' and '.join(holding)}"] if holding else []
    act = _button("release", "Let go", card) if holding else _button("load", "Load", card)
    return _row(card, line, act)


def _there(card: ModelCard) -> str:
    begun = hub.begun(card)
    line = [f"{begun / 1e9:.1f} GB of it are here"] if begun else []
    return _row(card, line, _button("pull", "Go on" if begun else "Fetch", card))


def _coming(card: ModelCard, fetch: Fetch) -> str:
    if fetch.state == "failed":
        return _row(card, [], _button("pull", "Try again", card), frame.note(fetch.said, "warn"))
    stop = _button("stop", "Stop", card)
    if fetch.state == "waiting":
        return _row(card, ["waits for the others"], stop)
    known = f" of {fetch.total / 1e9:.1f}" if fetch.total else ""
    share = min(1.0, fetch.done / fetch.total) if fetch.total else 0.0
    bar = f'<div class="bar"><i style="width:{share:.1%}"></i></div>'
    return _row(card, [f"{fetch.done / 1e9:.1f}{known} GB"], stop, bar)


def _row(card: ModelCard, line: Sequence[str], act: str, below: str = "") -> str:
    facts = [f"{card.memory_gb:g} GB of memory", *line]
    home = escape(card.homepage)
    licence = escape(card.licence)
    if home:
        licence = f'<a href="{home}" target="_blank" rel="noopener">{licence}</a>'
    return (
        f'<article><div><p class="title">{escape(card.title)} '
        f'<span class="mono">{escape(" · ".join(facts))}</span></p>'
        f'<p class="quiet">{escape(card.about)} {licence}</p>{below}</div>'
        f'<div class="acts">{act}</div></article>'
    )


def _lora(lora: Lora, slots: Sequence[SlotView]) -> str:
    if lora.refused:
        return _told(lora.name, "", lora.refused)
    on = [slot.name for slot in slots if lora.name in slot.loras]
    facts = [lora.kind, f"{lora.size / 1e6:.1f} MB"]
    facts += [f"worn by {' and '.join(on)}"] if on else []
    base = " or ".join(map(title_of, lora.bases))
    words = f"For {base}." if base else "It does not say for which model."
    words += f" It listens to {' or '.join(lora.triggers)}." if lora.triggers else ""
    return _told(lora.title, " · ".join(facts), words)


def _refused(one: Brought) -> str:
    return _told(sayable(one.path.name), "", one.refused) if one.refused else ""


def _slot(slot: SlotView) -> str:
    held = ", ".join(slot.loaded) or "nothing"
    return _told(slot.name, f"{slot.state} · holds {held}", slot.reason)


def _told(title: str, facts: str, words: str) -> str:
    """A row of which nothing is asked here."""
    mono = f' <span class="mono">{escape(facts)}</span>' if facts else ""
    return (
        f'<article><div><p class="title">{escape(title)}{mono}</p>'
        f'<p class="quiet">{escape(words)}</p></div></article>'
    )


def _button(act: str, words: str, card: ModelCard) -> str:
    return (
        f'<button type="button" data-act="{act}" data-model="{escape(card.name)}">{words}</button>'
    )
