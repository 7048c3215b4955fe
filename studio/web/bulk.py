"""The Bulk page: a file is pasted or dropped, checked while it is typed, run, and followed by line.

Layout and wiring; how it looks is in `bulk_frame`. What is followed is looked up each time, so a
second tab and a restart see the same.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import gradio as gr

from studio.errors import DarkroomError
from studio.formats.spoken import counted
from studio.jobs.bulk import check, once_more, run, stop_rest, words_of
from studio.jobs.studio import Studio
from studio.store.bulks import Bulks
from studio.store.rows import BulkPicture
from studio.web import bulk_frame, frame
from studio.web.bulk_telling import cost_of
from studio.web.create import LIGHT, PAUSE

SCRIPT = Path(__file__).with_name("bulk.js").read_text(encoding="utf-8")
WAIT = PAUSE.replace("lastSaid", "lastBulk")
LATELY = 8
SOME = 100  # rows of those that need a look, and of the others
RUN = "Run"
Shown = list[object]


def bulk_page(studio: Studio, tab: gr.Tab) -> None:
    """Builds the page inside its tab."""
    desk = BulkDesk(studio)
    with gr.Row(elem_id="bulk", equal_height=False):
        with gr.Column(scale=5, min_width=320, elem_id="bulk-asked"):
            dropped = _html("bulk-drop", bulk_frame.drop())
            text = gr.Textbox(
                label="Many pictures in one file",
                lines=18,
                max_lines=18,
                elem_id="bulk-text",
                placeholder="- a red lighthouse on an island {seed: 7}",
            )
            name = gr.JSON({"name": ""}, visible=False)
            note = _html("bulk-note")
            with gr.Row(elem_id="bulk-press"):
                start = gr.Button(RUN, variant="primary", interactive=False, elem_id="bulk-run")
                again = gr.Checkbox(
                    False,
                    label="also what is painted or waits already",
                    elem_id="bulk-again",
                    container=False,
                )
        with gr.Column(scale=7, min_width=320, elem_id="bulk-seen"):
            watched = _html("bulk-watched")
            shown = _html("bulk-shown", bulk_frame.empty())
            lately = _html("bulk-lately")
    given, seen = [text, name, again], [watched, lately]
    gr.on(
        [text.change, again.change],
        desk.check,
        given,
        [shown, start],
        js=WAIT,
        trigger_mode="always_last",
        **LIGHT,
    )
    # Who writes on looks at what is written; an answer that comes late takes nothing out of sight.
    gr.on([text.input, again.input], desk.leave, [], watched, **LIGHT)
    start.click(desk.run, given, [note, shown, start, *seen], **LIGHT)
    tab.select(desk.newest, [], seen, **LIGHT)
    for part in (dropped, shown):
        part.put(desk.put, [], [text, name, note, watched], **LIGHT)
        part.said(desk.warn, [], note, **LIGHT)
    watched.look(desk.look, [], seen, **LIGHT)
    for part in (watched, lately):
        part.act(desk.act, [], seen, **LIGHT)


def _html(name: str, value: str = "") -> gr.HTML:
    return gr.HTML(value, elem_id=name, js_on_load=SCRIPT, apply_default_css=False)


class BulkDesk:
    """What each event does; the values its outputs name stand in brackets."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.bulks = Bulks(studio.store.database)

    def put(self, event: gr.EventData) -> Shown:
        """[text, name, note, watched]: a file that was dropped, or the example."""
        name = str(getattr(event, "name", ""))
        return [str(getattr(event, "text", "")), {"name": name}, "", ""]

    def warn(self, event: gr.EventData) -> str:
        """[note]"""
        return frame.note(str(getattr(event, "words", "")), "warn")

    def leave(self) -> str:
        """[watched]"""
        return ""

    def check(self, text: str, name: object, again: bool) -> Shown:
        """[shown, start]"""
        if not (text or "").strip():
            return [bulk_frame.empty(), _start(0)]
        try:
            plan = check(self.studio.line, text, _name(name), again=bool(again))
            drawn = bulk_frame.draw_plan(plan, cost_of(self.studio, plan))
        except DarkroomError as error:
            return [bulk_frame.refused(str(error)), _start(0)]
        pictures = sum(one.ask.settled.request.count for one in plan.new)
        return [drawn, _start(0 if plan.problems else pictures)]

    def run(self, text: str, name: object, again: bool) -> Shown:
        """[note, shown, start, watched, lately]"""
        try:
            bulk = run(self.studio.line, text or "", _name(name), again=bool(again))
        except DarkroomError as error:
            return [frame.note(str(error), "warn"), *([gr.skip()] * 4)]
        return ["", "", _start(0), *self._seen(bulk.id)]

    def newest(self) -> Shown:
        """[watched, lately]: what is still being painted is shown to who comes back."""
        for bulk in self.bulks.newest(1):
            counts = self.bulks.counts(bulk.id)
            if counts.get("queued") or counts.get("running"):
                return self._seen(bulk.id)
        return [gr.skip(), self._lately()]

    def look(self, event: gr.EventData) -> Shown:
        """[watched, lately]"""
        return self._seen(str(getattr(event, "bulk", "")))

    def act(self, event: gr.EventData) -> Shown:
        """[watched, lately]"""
        bulk, line = str(getattr(event, "bulk", "")), self.studio.line
        try:
            match getattr(event, "act", ""):
                case "stop":
                    stop_rest(line, bulk)
                case "again":
                    once_more(line, bulk)
                case "go-on":
                    once_more(line, bulk, ("cancelled",))
        except DarkroomError as error:
            return self._seen(bulk, str(error))
        return self._seen(bulk)

    def _seen(self, bulk_id: str, said: str = "") -> Shown:
        try:
            bulk, counts = self.bulks.find(bulk_id), self.bulks.counts(bulk_id)
            rows = [(one, words_of(self.studio.line, one)) for one in self._rows(bulk_id)]
        except DarkroomError as error:
            return [frame.note(str(error), "warn"), self._lately()]
        return [bulk_frame.draw_bulk(bulk, counts, rows, said), self._lately()]

    def _rows(self, bulk_id: str) -> Sequence[BulkPicture]:
        """Those that need a look wherever they stand, and the first of the others."""
        first = self.bulks.pictures(bulk_id, limit=SOME)
        need = self.bulks.pictures(bulk_id, limit=SOME, states=("failed", "running"))
        there = {one.n: one for one in (*need, *first)}
        return [there[n] for n in sorted(there)]

    def _lately(self) -> str:
        found = self.bulks.newest(LATELY)
        counted = [(bulk, self.bulks.counts(bulk.id)) for bulk in found]
        return bulk_frame.draw_lately(counted)


def _start(new: int) -> object:
    words = f"{RUN} {counted(new, 'picture')}" if new else RUN
    return gr.update(value=words, interactive=bool(new))


def _name(given: object) -> str:
    """Of the file that was dropped; its ending says the form."""
    return str(given.get("name") or "") if isinstance(given, Mapping) else ""
