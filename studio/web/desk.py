"""What the Create page does: writes wishes down, and shows the job and the pictures it holds.

One state, kept by the browser: the jobs this page asked for and the picture held up. Everything
else is looked up anew each time, so a refresh, a second tab and a restart all show the same.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from studio.canvas import nearest
from studio.errors import DarkroomError, NotFound
from studio.jobs.studio import Studio
from studio.jobs.view import View
from studio.models.card import ModelCard
from studio.models.enlarge import alone
from studio.store.rows import FINAL, Job, Picture
from studio.web import frame, sources
from studio.web.asking import ask
from studio.web.controls import (
    NAMES,
    Values,
    about,
    card_of,
    dressed,
    fill_wish,
    filled,
    size_line,
    spoken,
    usual,
    values_of,
    wish_of,
)
from studio.web.drawing import unfinished
from studio.web.enlarging import enlarge
from studio.web.holding import held_up
from studio.web.pace import Pace

State = object  # {"jobs": [ids], "picture": id, "model": name}, but from the browser: see `_sound`
Shown = list[object]  # values for the outputs of an event, in their order

FRESH: dict[str, Any] = {"jobs": [], "picture": "", "model": ""}
MOST_JOBS = 20  # of one page that are still followed
LATELY = 12
LIVE_SECONDS, IDLE_SECONDS = 1.0, 5.0
SMOOTH_SECONDS = 0.1  # previews closer together than this are dropped, not queued up


def status_of(studio: Studio) -> str:
    store = studio.store
    waiting = store.counts().get("queued", 0)
    return frame.status(studio.pool.views(), waiting, store.reading, store.paused)


@dataclass(frozen=True, slots=True)
class Desk:
    studio: Studio
    pace: Pace = field(default_factory=Pace)

    # Asked by the person. Each answers with the values its outputs name in `create`.

    def submit(self, state: State, *values: object) -> Shown:
        """[state, note, seed, held, *show]"""
        given = dict(zip(NAMES, values, strict=True))
        try:
            card = self.studio.catalog.find(str(given["model"]))
            jobs = ask(self.studio.line, [wish_of(card, given)])
        except DarkroomError as error:
            return _refused(error)
        return self._begun(jobs, state, jobs[0].request["seed"])

    def rerun(self, event: gr.EventData, state: State) -> Shown:
        """[state, note, seed, held, *show]"""
        try:
            job = self.studio.line.rerun(str(getattr(event, "id", "")))
        except DarkroomError as error:
            return _refused(error)
        return self._begun([job], state, gr.skip())

    def watch(self, event: gr.EventData, state: State) -> Shown:
        """[state, note, seed, held, *show]: a job that was asked for at another door."""
        try:
            job = self.studio.store.job(str(getattr(event, "id", "")))
        except DarkroomError as error:
            return _refused(error)
        return self._begun([job], state, gr.skip())

    def enlarge(self, event: gr.EventData, state: State) -> Shown:
        """[state, note, seed, held, *show]"""
        asked = {"picture": getattr(event, "id", None), "times": getattr(event, "times", None)}
        try:
            job = enlarge(self.studio.line, asked)
        except DarkroomError as error:
            return _refused(error)
        return self._begun([job], state, gr.skip())

    def stop(self, state: State) -> Shown:
        """[note, *show]"""
        view, _ = self._current(state)
        if view is not None and not view.final:
            for job in self._of_its_wish(view.job):
                self.studio.line.cancel(job.id)
        return ["", *self.show(state)]

    def pause(self, event: gr.EventData, state: State) -> Shown:
        """[note, *show]"""
        try:
            self.studio.line.pause(bool(getattr(event, "on", "")))
        except DarkroomError as error:
            return [frame.note(spoken(str(error)), "warn"), *_skip(5)]
        return ["", *self.show(state)]

    def paint_next(self, event: gr.EventData, state: State) -> Shown:
        """[note, *show]"""
        try:
            self.studio.line.move(str(getattr(event, "id", "")), "first")
        except DarkroomError as error:  # it began meanwhile
            return [frame.note(spoken(str(error)), "warn"), *self.show(state)]
        return ["", *self.show(state)]

    def pick(self, event: gr.EventData, state: State) -> Shown:
        """[state, held, lately]; an empty id puts the picture down."""
        state = sound(state) | {"picture": str(getattr(event, "id", ""))}
        return [state, self._held(state), self._lately(state)]

    def reuse(self, event: gr.EventData, state: State) -> Shown:
        """[state, note, about, size, given, *controls]"""
        try:
            picture = self.studio.store.picture(str(getattr(event, "id", "")))
            job = self.studio.store.job(picture.job)
            while alone(job.request) and job.request["enlarged_from"]:  # what it was before
                picture = self.studio.store.picture(job.request["enlarged_from"])
                job = self.studio.store.job(picture.job)
            if picture.foreign:
                said, now = self.studio.line.read(picture), sound(state)["model"]
                card, filled = fill_wish(self.studio, said.wish, now, said.not_honoured)
            else:
                card, filled = card_of(job, self.studio.catalog), self._fill(job, picture.seed)
        except DarkroomError as error:
            return [gr.skip(), frame.note(spoken(str(error)), "warn"), *_skip(3 + len(NAMES))]
        return [sound(state) | {"model": card.name}, *filled]

    def example(self, event: gr.EventData) -> str:
        """[prompt]"""
        return str(getattr(event, "prompt", ""))

    def last_seed(self, state: State) -> Shown:
        """[seed, fresh]: the seed of what is shown, kept from now on."""
        picture = self._picture(state)
        view, _ = self._current(state)
        if picture is None and view is None:
            return _skip(2)
        if picture:
            return [picture.known_seed, False]
        return [view.job.request["seed"] if view else None, False]

    def keep_seed(self) -> bool:
        """[fresh]: a seed typed by hand is meant."""
        return False

    def put(self, event: gr.EventData, name: str, given: object, upscale: int) -> Shown:
        """[note, given, sources, aspect, size]: a picture that was handed in, or what was clicked
        beside one."""
        what, key = str(getattr(event, "what", "")), str(getattr(event, "key", ""))
        note = frame.note(str(getattr(event, "words", "")))
        had_mask, now = sources.sound(given)["mask"], sources.change(given, what, key)
        if what == "mask" and key and had_mask:  # it is on the page already, as it was painted
            return [note, gr.skip(), now, *_skip(2)]
        card = self.studio.catalog.find(name)
        return [note, *self._given(card, now, upscale, began=what == "start")]

    def begin_from(self, event: gr.EventData, name: str, given: object, upscale: int) -> Shown:
        """[note, given, sources, aspect, size]: a picture of ours as the start of the next."""
        card, store = self.studio.catalog.find(name), self.studio.store
        if "start_image" not in card.can:
            sentence = f"{card.title} begins from no picture. Choose another model."
            return [frame.note(sentence, "warn"), *_skip(4)]
        try:
            picture = store.picture(str(getattr(event, "id", "")))
            data = store.file(picture).read_bytes()
            kept, notes = store.take(data, "start_image", of=picture.id)
        except (DarkroomError, OSError) as error:
            return [frame.note(spoken(str(error)), "warn"), *_skip(4)]
        now = sources.change(given, "start", kept.id)
        return [frame.note(" ".join(notes)), *self._given(card, now, upscale, began=True)]

    def warn(self, event: gr.EventData) -> str:
        """[note]"""
        return frame.note(spoken(str(getattr(event, "words", ""))), "warn")

    def choose_model(self, state: State, name: str, given: object) -> Shown:
        """[state, live, *filled]; Gradio calls also when the list is only left."""
        card = self.studio.catalog.find(name)
        if card.name == (sound(state)["model"] or self.studio.catalog.default.name):
            return _skip(6 + len(NAMES))
        view, _ = self._current(state)
        live = gr.skip() if view else frame.empty(card.examples)
        return [sound(state) | {"model": card.name}, live, "", *self._usual(card, given)]

    # Shown by itself

    def attach(self, state: State, request: gr.Request) -> Shown:
        """[state, note, about, size, given, *controls, held, *show]: the page as it was left.

        Where nothing was left it keeps its hands off: by now somebody may have typed.
        """
        asked = request.query_params.get("job")
        found = self._with(asked, sound(state) | {"model": ""})
        view, _ = self._current(found)
        card, folder = self.studio.catalog.default, self.studio.settings.model_folder
        drawn = sources.draw(card, sources.NOTHING, self.studio.store)
        filled: Shown = ["", about(card, folder), gr.skip(), drawn, *self._dressed(card, {})]
        try:
            if view and not alone(view.job.request):
                filled = self._fill(view.job, None)
                found["model"] = view.job.model
        except DarkroomError as error:  # its model is no longer in the presets
            filled[0] = frame.note(spoken(str(error)), "warn")
        if asked and asked not in found["jobs"]:
            filled[0] = frame.note(f"There is no job {asked[:40]!r} here.", "warn")
        kept = gr.skip() if found == state else found
        return [kept, *filled, self._held(found), *self.show(found)]

    def show(self, state: State) -> Shown:
        """[status, live, lately, stop, clock]"""
        view, after = self._current(state)
        alive = view is not None and not view.final
        return [
            status_of(self.studio),
            self._live(view, after) if view else frame.empty(self._examples(state)),
            self._lately(state),
            gr.update(visible=alive),
            gr.update(value=LIVE_SECONDS if alive else IDLE_SECONDS),
        ]

    async def follow(self, state: State) -> AsyncIterator[Shown]:
        """[status, live, lately, stop, clock], at every step of the job that is being painted.

        When the tab goes away the iteration is closed and the job goes on.
        """
        current, after = await asyncio.to_thread(self._current, state)
        yield _skip(5)
        if current is None or current.final:
            return
        shown = 0.0
        async for view in self.studio.line.follow(current.job.id):
            # At its end, or when others come first after all, the page looks again with the state
            # it has by then: this one may be old, and know nothing of later wishes.
            if view.final or view.place:
                return
            if time.monotonic() - shown >= SMOOTH_SECONDS:
                shown = time.monotonic()
                yield [gr.skip(), self._live(view, after), *_skip(3)]

    # Looked up

    def _begun(self, jobs: Sequence[Job], state: State, seed: object) -> Shown:
        """[state, note, seed, held, *show]: nothing is held up, and these jobs are followed, the
        first of them if there are very many."""
        others = [view.job.id for view in self._views(state) if not view.final]
        new = [job.id for job in jobs[:MOST_JOBS]]
        now = sound(state) | {"jobs": [*others, *new][-MOST_JOBS:], "picture": ""}
        return [now, "", seed, "", *self.show(now)]

    def _of_its_wish(self, job: Job) -> list[Job]:
        """What is not final of all that one wish became."""
        batch = self.studio.store.batch(job.batch) if job.batch else [job]
        alike = [one for one in batch if one.wish | {"nth": None} == job.wish | {"nth": None}]
        return [one for one in alike if one.state not in FINAL]

    def _with(self, asked: str | None, state: dict[str, Any]) -> dict[str, Any]:
        """Also the job of the address, held up if it is done. What there was is not forgotten."""
        if not asked or asked in state["jobs"]:
            return state
        try:
            pictures = self.studio.line.view(asked).pictures
        except NotFound:
            return state
        held = pictures[0].id if pictures and state["jobs"] else ""
        return state | {"jobs": [*state["jobs"], asked][-MOST_JOBS:], "picture": held}

    def _views(self, state: State) -> list[View]:
        views = []
        for job in sound(state)["jobs"]:
            try:
                view = self.studio.line.view(job)
            except NotFound:  # the data folder is another one now
                continue
            if view.pictures or view.job.state != "done":  # else its pictures were deleted
                views.append(view)
        return views

    def _current(self, state: State) -> tuple[View | None, int]:
        """The page's first job that is not final, or else its last; and how many come after."""
        views = self._views(state)
        for index, view in enumerate(views):
            if not view.final:
                return view, len(views) - index - 1
        return (views[-1] if views else None), 0

    def _picture(self, state: State) -> Picture | None:
        chosen = sound(state)["picture"]
        try:
            return self.studio.store.picture(chosen) if chosen else None
        except NotFound:
            return None

    def _held(self, state: State) -> str:
        picture = self._picture(state)
        if picture is None:
            return ""
        view = self.studio.line.view(picture.job)
        return frame.render(held_up(self.studio, view, picture, back=True))

    def _live(self, view: View, after: int) -> str:
        job = view.job
        if job.state == "done":
            return frame.render(held_up(self.studio, view, view.pictures[0], back=False))
        passable = bool(view.place) and self.studio.store.passable(job.id)
        return frame.render(unfinished(view, after, self.pace.left(view), passable))

    def _examples(self, state: State) -> Sequence[str]:
        catalog = self.studio.catalog
        return catalog.cards.get(sound(state)["model"], catalog.default).examples

    def _lately(self, state: State) -> str:
        return frame.lately(self.studio.store.pictures(limit=LATELY), sound(state)["picture"])

    def _given(self, card: ModelCard, now: sources.Sources, upscale: int, *, began: bool) -> Shown:
        """[given, sources, aspect, size]: the shape follows a picture that the next begins from."""
        drawn = sources.draw(card, now, self.studio.store)
        if not (began and now["start"]):
            return [drawn, now, *_skip(2)]
        sizes = {name: (size.width, size.height) for name, size in card.sizes.items()}
        start = self.studio.store.look(now["start"])
        aspect = nearest((start.width, start.height), sizes)
        return [drawn, now, aspect, size_line(card, aspect, upscale)]

    def _usual(self, card: ModelCard, given: object) -> Shown:
        """[about, size, given, *controls]"""
        values = usual(card)
        return [
            about(card, self.studio.settings.model_folder),
            size_line(card, values["aspect"], values["upscale"]),
            sources.draw(card, given, self.studio.store),
            *self._dressed(card, values),
        ]

    def _dressed(self, card: ModelCard, values: Values) -> Shown:
        return dressed(card, values, self.studio.catalog, self.studio.settings.model_folder)

    def _fill(self, job: Job, seed: int | None) -> Shown:
        """[note, about, size, given, *controls]"""
        card = card_of(job, self.studio.catalog)
        return filled(self.studio, card, *values_of(job, card, seed))


def _refused(error: DarkroomError) -> Shown:
    """[state, note, seed, held, *show]"""
    return [gr.skip(), frame.note(spoken(str(error)), "warn"), *_skip(7)]


def sound(state: State) -> dict[str, Any]:
    """The state as we wrote it, whatever the browser's storage holds."""
    if not isinstance(state, Mapping):
        return dict(FRESH)
    jobs = state.get("jobs")
    return {
        "jobs": [str(job) for job in jobs][-MOST_JOBS:] if isinstance(jobs, list) else [],
        "picture": str(state.get("picture") or ""),
        "model": str(state.get("model") or ""),
    }


def _skip(count: int) -> Shown:
    return [gr.skip()] * count
