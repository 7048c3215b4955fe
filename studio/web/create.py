"""The Create page: its controls, drawn from the fields of a wish and a card, and what each does.

Only layout and wiring; what happens is said in `desk`, how it looks in `frame` and the style sheet.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import gradio as gr
from gradio.events import Dependency

from studio.jobs.studio import Studio
from studio.models.card import ModelCard
from studio.request import Upscale
from studio.web import frame, readout, sources, truth, wardrobe
from studio.web.choosing import SET_BY_LOOKS, Choosing
from studio.web.controls import (
    EXPANDS,
    MORE_THAN_ONE,
    NAMES,
    about,
    bounds,
    help_of,
    look_choices,
    model_choices,
    size_line,
    upscaler_choices,
    usual,
)
from studio.web.desk import IDLE_SECONDS, Desk
from studio.wishes.catalog import Catalog
from studio.wishes.looks import MOST_WORN

ENLARGED = get_args(Upscale)
Parts = dict[str, Any]  # Gradio's components; those of a wish by the name of its field

# Everything light answers at once and waits for nobody; the checks are `ImageRequest`'s own.
LIGHT: dict[str, Any] = {
    "queue": False,
    "preprocess": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}

# Clicks in our own HTML become events; a frame that is being painted asks to be followed.
CLICKS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  const { try: prompt, say, pause, times, ...acts } = button.dataset;
  for (const act of ['pick', 'reuse', 'begin', 'rerun', 'next', 'enlarge']) {
    if (acts[act] !== undefined) trigger(act, { id: acts[act], times: Number(times) });
  }
  if (say !== undefined) trigger('say', { words: say });
  if (prompt !== undefined) trigger('example', { prompt });
  if (pause !== undefined) trigger('pause', { on: pause });
});
"""
FOLLOWS = """
const follow = () => {
  if (element.querySelector('[data-follow]:not([data-follow=""])')) trigger('follow', {});
};
watch('value', follow);
"""

# As everywhere else: from any control of the page, also where Enter begins a new line.
ENTERS = """
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
  if (event.target.closest('#create')) document.querySelector('#generate').click();
});
"""

# What was opened stays open when it is told anew.
STAYS = """
let open = false;
element.addEventListener('click', (event) => {
  const summary = event.target.closest('summary');
  if (summary) open = !summary.parentElement.open;
});
watch('value', () => {
  const details = element.querySelector('details');
  if (details) details.open = open;
});
"""
# Typing is followed a few times a second, not at every key. Gradio lets two events pass that come
# within the pause, and their answers in any order: so each sends what stands there last.
PAUSE = """(...given) => {
  window.lastSaid = given;
  return new Promise((go) => setTimeout(() => go(window.lastSaid), 250));
}"""
WORDS = ("prompt", "negative_prompt", "model", "look", "guidance", "expand", "count", "seed")
SPEAKS = (*WORDS, *wardrobe.CHOSEN, *wardrobe.WEIGHTS)

WATCHING = 32  # tabs that are shown previews at once; the others look again every second
EMPTY = "(seed) => seed || null"  # Gradio's number begins as 0, not as empty

# What the clock, the stream and most clicks show again, in the order of `Desk.show`.
SHOW = ("status", "live", "lately", "stop", "clock")
FILL = ("note", "about", "size", "given", *NAMES)


def create(
    studio: Studio,
    state: gr.BrowserState,
    status: gr.HTML,
    painting: Dependency,
    gallery: gr.HTML,
) -> list[dict[str, Any]]:
    """Builds the page inside the current Blocks; gives back all that happens when it is opened.

    What is asked in the gallery for a picture there happens here."""
    parts: Parts = {"state": state, "status": status, "gallery": gallery}
    with gr.Row(elem_id="create", equal_height=False):
        with gr.Column(scale=5, min_width=320, elem_id="asked"):
            with gr.Column(elem_id="dock"):
                parts |= _words(studio.catalog.default.examples)
            with gr.Column(elem_id="settings"):
                parts |= _settings(studio)
        with gr.Column(scale=7, min_width=320, elem_id="seen"):
            parts["held"] = gr.HTML(elem_id="held", js_on_load=CLICKS, apply_default_css=False)
            parts["live"] = gr.HTML(
                frame.empty(studio.catalog.default.examples),
                elem_id="live",
                js_on_load=CLICKS + FOLLOWS + ENTERS,
                apply_default_css=False,
            )
            parts["lately"] = gr.HTML(elem_id="lately", js_on_load=CLICKS, apply_default_css=False)
    parts["clock"] = gr.Timer(IDLE_SECONDS)
    desk = Desk(studio)
    _light_events(desk, parts, painting)
    # Only the stream of previews has a place in the queue, and not one of those that paint: who
    # looks on holds up nobody.
    shown = [parts[name] for name in SHOW]
    followed = parts["live"].follow(
        desk.follow,
        state,
        shown,
        show_progress="hidden",
        api_visibility="private",
        concurrency_id="watch",
        concurrency_limit=WATCHING,
    )
    followed.then(desk.show, state, shown, **LIGHT)
    opened = [parts[name] for name in ("state", *FILL, "held", *SHOW)]
    seed = parts["seed"]
    return [
        {"fn": None, "js": EMPTY, "inputs": seed, "outputs": seed, **LIGHT},
        {"fn": desk.attach, "inputs": state, "outputs": opened, **LIGHT},
    ]


def _light_events(desk: Desk, parts: Parts, painting: Dependency) -> None:
    def when(
        event: Callable[..., object],
        act: Callable[..., object],
        given: Sequence[str],
        shown: Sequence[str],
        **more: Any,
    ) -> None:
        event(
            act, [parts[name] for name in given], [parts[name] for name in shown], **LIGHT, **more
        )

    written = ("state", "note", "seed", "held", *SHOW)
    when(parts["generate"].click, desk.submit, ("state", *NAMES), written)
    when(parts["prompt"].submit, desk.submit, ("state", *NAMES), written)
    # `painting` is never run by the page, but Gradio cancels for its clients only what a page can.
    when(parts["stop"].click, desk.stop, ["state"], ("note", *SHOW), cancels=[painting])
    when(parts["clock"].tick, desk.show, ["state"], SHOW)
    when(parts["status"].pause, desk.pause, ["state"], ("note", *SHOW))
    when(parts["live"].next, desk.paint_next, ["state"], ("note", *SHOW))
    for place in ("held", "live", "lately"):
        when(parts[place].pick, desk.pick, ["state"], ("state", "held", "lately"))
    put = ("note", "given", "sources", "aspect", "size")
    for place in ("held", "live", "gallery"):
        when(parts[place].reuse, desk.reuse, ["state"], ("state", *FILL))
        when(parts[place].rerun, desk.rerun, ["state"], written)
        when(parts[place].begin, desk.begin_from, ("model", "sources", "upscale"), put)
        when(parts[place].enlarge, desk.enlarge, ["state"], written)
    for place in ("live", "gallery"):
        when(parts[place].example, desk.example, [], ["prompt"])
    when(parts["last"].click, desk.last_seed, ["state"], ("seed", "fresh"))
    when(parts["seed"].input, desk.keep_seed, [], ["fresh"])
    chosen = ("state", "live", *FILL)
    when(parts["model"].input, desk.choose_model, ("state", "model", "sources"), chosen)
    when(parts["given"].put, desk.put, ("model", "sources", "upscale"), put)
    when(parts["given"].said, desk.warn, [], ["note"])
    reads = readout.Readout(desk.studio)
    when(parts["readout"].told, reads.tell, [], ("readout", "note"))
    when(parts["readout"].said, readout.said, [], ["note"])
    for place in ("readout", "gallery"):
        when(parts[place].take, reads.load, ("state", "model"), ("state", *FILL))
        when(parts[place].begun, desk.watch, ["state"], written)
    choosing = Choosing(desk.studio)
    when(parts["quality"].input, choosing.choose_quality, ("model", "quality"), ["steps"])
    when(parts["steps"].input, choosing.choose_steps, ("model", "steps"), ["quality"])
    when(parts["look"].input, choosing.choose_looks, ("model", "look"), SET_BY_LOOKS)
    gr.on(
        [parts[name].change for name in SPEAKS],
        truth.follower(desk.studio),
        [parts[name] for name in NAMES],
        [parts["truth"], parts["expand"]],
        js=PAUSE,
        trigger_mode="always_last",
        **LIGHT,
    )
    worn = wardrobe.Wardrobe(desk.studio)
    for row in wardrobe.CHOSEN:
        when(parts[row].input, worn.choose, ("model", *wardrobe.ROWS), wardrobe.ROWS)
    when(parts[wardrobe.LISTENING].say, worn.say, ["prompt"], ["prompt"])
    for part in ("aspect", "upscale"):
        when(parts[part].input, choosing.choose_shape, ("model", "aspect", "upscale"), ["size"])


def _words(examples: Sequence[str]) -> Parts:
    least, most = (int(bound) for bound in bounds("count"))
    found: Parts = {}
    # One line that grows: so Enter paints and Shift+Enter is a new line. The style shows three.
    found["prompt"] = gr.Textbox(
        label="What should it show?",
        lines=1,
        max_lines=8,
        elem_id="prompt",
        placeholder=next(reversed(examples), ""),
    )
    found["truth"] = gr.HTML(
        truth.RESTING, elem_id="truth", js_on_load=STAYS, apply_default_css=False
    )
    found["negative_prompt"] = gr.Textbox(
        label="What should not be in it?",
        lines=1,
        max_lines=4,
        elem_id="negative",
        placeholder="for example people",
    )
    with gr.Row(elem_id="choices"):
        found["expand"] = gr.Radio(
            EXPANDS, value="random", label="Choices", elem_id="expand", visible=False
        )
    found["note"] = gr.HTML(elem_id="note", js_on_load=truth.ONCE, apply_default_css=False)
    with gr.Row(elem_id="press"):
        found["generate"] = gr.Button("Generate", variant="primary", elem_id="generate")
        found["stop"] = gr.Button("Stop", visible=False, elem_id="stop")
        found["count"] = gr.Dropdown(
            [(f"×{number}", number) for number in range(least, most + 1)],
            value=least,
            label="How many",
            show_label=False,
            elem_id="count",
            filterable=False,
            min_width=80,
            scale=0,
        )
    return found


def _settings(studio: Studio) -> Parts:
    catalog, folder = studio.catalog, studio.settings.model_folder
    card, values = catalog.default, usual(catalog.default)
    found: Parts = {}
    with gr.Row(elem_id="models"):
        found["model"] = gr.Dropdown(
            model_choices(list(catalog.cards.values()), folder),
            value=card.name,
            label="Model",
            elem_id="model",
            scale=2,
        )
        found["look"] = _looks(catalog)
    found["about"] = gr.HTML(about(card, folder), elem_id="about", apply_default_css=False)
    found["quality"] = gr.Radio(
        list(card.quality),
        value=values["quality"],
        label="Quality",
        visible=bool(card.quality),
        elem_id="quality",
    )
    with gr.Row(elem_id="shape"):
        found["aspect"] = gr.Radio(
            list(card.sizes), value=values["aspect"], label="Shape", elem_id="aspect"
        )
        found["size"] = gr.HTML(
            size_line(card, values["aspect"], values["upscale"]),
            elem_id="size",
            apply_default_css=False,
        )
    found["sources"] = gr.JSON(sources.NOTHING, visible=False)
    found["given"] = gr.HTML(
        sources.draw(card, sources.NOTHING, studio.store),
        elem_id="given",
        js_on_load=sources.SCRIPT,
        apply_default_css=False,
    )
    with gr.Row(elem_id="seeds"):
        found |= _seeds()
    found |= wardrobe.build(card, folder, CLICKS)
    with gr.Accordion("Advanced", open=False, elem_id="advanced"):
        found |= _advanced(card) | _enlarging(card, catalog, folder)
    found["readout"] = readout.door()
    return found


def _seeds() -> Parts:
    least, most = bounds("seed")
    return {
        "seed": gr.Number(
            None,
            label="Seed",
            placeholder="any",
            precision=0,
            minimum=least,
            maximum=most,
            elem_id="seed",
            min_width=140,
        ),
        "fresh": gr.Checkbox(
            True, label="new each time", elem_id="fresh", container=False, min_width=120
        ),
        "last": gr.Button("Keep this seed", size="sm", elem_id="last", scale=0, min_width=110),
    }


def _looks(catalog: Catalog) -> gr.Dropdown:
    return gr.Dropdown(
        look_choices(catalog),
        value=[],
        multiselect=True,
        max_choices=MOST_WORN,
        label="Looks",
        elem_id="look",
        visible=bool(catalog.looks),
        min_width=120,
    )


def _enlarging(card: ModelCard, catalog: Catalog, folder: Path) -> Parts:
    values, choices = usual(card), upscaler_choices(catalog.upscalers, folder)
    return {
        "upscale": gr.Radio(
            [(f"{times}×", times) for times in ENLARGED],
            value=values["upscale"],
            label="Enlarge",
            elem_id="upscale",
            visible=bool(choices),
        ),
        "upscaler": gr.Dropdown(
            choices,
            value=values["upscaler"],
            label="Enlarge with",
            elem_id="upscaler",
            visible=len(choices) > MORE_THAN_ONE,
        ),
    }


def _advanced(card: ModelCard) -> Parts:
    values = usual(card)
    least, most = bounds("guidance")
    return {
        "steps": gr.Slider(
            bounds("steps")[0],
            card.max_steps,
            values["steps"],
            step=1,
            label="Steps",
            info=help_of("steps"),
            elem_id="steps",
            buttons=[],
        ),
        "guidance": gr.Slider(
            least,
            most,
            values["guidance"],
            step=0.1,
            label="Guidance",
            info=help_of("guidance"),
            visible="guidance" in card.can,
            elem_id="guidance",
            buttons=[],
        ),
        "sampler": gr.Dropdown(
            [sampler.name for sampler in card.samplers],
            value=values["sampler"],
            label="Sampler",
            info=help_of("sampler"),
            elem_id="sampler",
        ),
        "output_format": gr.Radio(
            ["png", "jpeg", "webp"], value="png", label="Kind of file", elem_id="format"
        ),
    }
