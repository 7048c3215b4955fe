"""The Models page: what is here, in memory and to be fetched, and what one click does about it.

The list is HTML of ours; while something is on its way it asks to be drawn again.
"""

from collections.abc import Callable, Sequence
from html import escape

import gradio as gr

from studio.errors import DarkroomError, sayable
from studio.jobs.fetching import Fetch, find_parcel
from studio.jobs.seats import SlotView
from studio.jobs.studio import Studio
from studio.models import parcels
from studio.models.card import ModelCard
from studio.models.lora_bases import title_of
from studio.models.loras import Lora, find_loras
from studio.models.parcels import Card, Parcel
from studio.models.safety import load_checkers
from studio.models.upscalers import UpscalerCard, find_upscalers
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
    name, catalog = str(getattr(event, "model", "")), studio.catalog
    doing: dict[str, Callable[[], None]] = {
        "pull": lambda: studio.fetching.begin(find_parcel(name, catalog, studio.settings)),
        "stop": lambda: studio.fetching.stop(find_parcel(name, catalog, studio.settings)),
        "load": lambda: studio.line.keep_loaded(catalog.find(name).name, here=True),
        "release": lambda: studio.line.keep_loaded(catalog.find(name).name, here=False),
    }
    try:
        doing[act]()
    except DarkroomError as error:
        return str(error)
    return ""


def draw(studio: Studio, said: str = "") -> str:
    folder, slots = studio.settings.model_folder, studio.pool.views()
    fetches = studio.fetching.views()
    cards = sorted(studio.catalog.cards.values(), key=lambda card: card.title.lower())
    models = [parcels.of_model(card, folder) for card in cards]
    enlarging = find_upscalers(studio.catalog.upscalers, folder)
    checking = [
        parcels.of_checker(card, folder) for card in load_checkers(studio.settings.presets).values()
    ]
    others = [*(parcels.of_upscaler(one, folder) for one in enlarging), *checking]
    coming = [one for one in (*models, *others) if not one.here and one.name in fetches]
    there = [one for one in (*models, *others) if not one.here and one not in coming]
    busy = any(fetches[one.name].state != "failed" for one in coming)
    unusable = [(one.path.name, one.refused) for one in studio.catalog.brought()]
    unusable += [(one.card.file, one.refused) for one in enlarging]
    parts = [
        frame.note(said, "warn"),
        _section("On this machine", [_here(one.card, slots) for one in models if one.here]),
        _section("On their way", [_coming(one, fetches[one.name]) for one in coming]),
        _section("LoRAs", [_lora(lora, slots) for lora in find_loras(folder)]),
        _section("Upscalers", [_row(one.card, [one.place], "") for one in enlarging if one.usable]),
        _section("Safety checkers", [_row(one.card, [], "") for one in checking if one.here]),
        _section("To fetch", [_there(one) for one in there]),
        _section("Cannot be used", [_told(sayable(it), "", why) for it, why in unusable if why]),
        _section("Slots", [_slot(slot) for slot in slots]),
    ]
    return f"<div{' data-busy' if busy else ''}>{''.join(parts)}</div>"


def _section(title: str, rows: Sequence[str]) -> str:
    return f"<section><h2>{title}</h2>{''.join(rows)}</section>" if any(rows) else ""


def _here(card: Card, slots: Sequence[SlotView]) -> str:
    holding = [slot.name for slot in slots if card.name in slot.loaded]
    line = [f"in the memory of {' and '.join(holding)}"] if holding else []
    act = _button("release", "Let go", card) if holding else _button("load", "Load", card)
    return _row(card, line, act)


def _there(parcel: Parcel) -> str:
    begun = parcel.begun()
    line = [f"{_size(begun)} of it are here"] if begun else []
    return _row(parcel.card, line, _button("pull", "Go on" if begun else "Fetch", parcel.card))


def _coming(parcel: Parcel, fetch: Fetch) -> str:
    card = parcel.card
    if fetch.state == "failed":
        return _row(card, [], _button("pull", "Try again", card), frame.note(fetch.said, "warn"))
    stop = _button("stop", "Stop", card)
    if fetch.state == "waiting":
        return _row(card, ["waits for the others"], stop)
    known = f" of {_size(fetch.total)}" if fetch.total else ""
    share = min(1.0, fetch.done / fetch.total) if fetch.total else 0.0
    bar = f'<div class="bar"><i style="width:{share:.1%}"></i></div>'
    return _row(card, [f"{_size(fetch.done)}{known}"], stop, bar)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _row(card: Card, line: Sequence[str], act: str, below: str = "") -> str:
    match card:
        case ModelCard():
            fact = f"{card.memory_gb:g} GB of memory"
        case UpscalerCard():
            fact = f"enlarges {card.scale} times"
        case _:
            fact = "looks for unsafe pictures"
    home = escape(card.homepage)
    licence = escape(card.licence)
    if home:
        licence = f'<a href="{home}" target="_blank" rel="noopener">{licence}</a>'
    return (
        f'<article><div><p class="title">{escape(card.title)} '
        f'<span class="mono">{escape(" · ".join([fact, *line]))}</span></p>'
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


def _button(act: str, words: str, card: Card) -> str:
    return (
        f'<button type="button" data-act="{act}" data-model="{escape(card.name)}">{words}</button>'
    )
