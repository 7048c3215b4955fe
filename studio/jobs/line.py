"""The line of jobs as the faces see it: submit, cancel, look, follow.

A wish is settled and written down here; only then is anybody told "accepted". Who paints it, and
when, is the pool's business. A picture is painted again from its recipe.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import repeat
from time import monotonic

from studio.canvas import Input
from studio.errors import NotFound, Refused, Unavailable
from studio.formats.read import read_ours, read_picture
from studio.jobs.feed import Feed
from studio.jobs.forecast import Forecaster
from studio.jobs.foreign import painted_again, understood
from studio.jobs.inbox import Entered, Kept, Moved, Paused, Ranked, StopJob
from studio.jobs.rerun import Recipe, again, compared, request_of
from studio.jobs.slot import Inbox
from studio.jobs.view import View
from studio.models.weights import absent
from studio.request import ImageRequest, Priority, canonical
from studio.settings import Settings
from studio.store.ids import new_id
from studio.store.rows import FINAL, Job, Picture, Place, Room
from studio.store.store import Store
from studio.wishes.catalog import Catalog, Settled
from studio.wishes.honour import Honoured
from studio.wishes.looks import Look
from studio.wishes.routing import Here, settle_here
from studio.wishes.wildcards import wildcards
from studio.wishes.wording import Lists, Wording

ANSWER_SECONDS = 10.0  # for the pool to answer, between two messages
LISTEN_SECONDS = 30.0  # then the row itself is looked at again


@dataclass(frozen=True, slots=True)
class Line:
    store: Store
    catalog: Catalog
    settings: Settings
    feed: Feed
    inbox: Inbox
    forecaster: Forecaster

    def submit(
        self,
        wishes: Sequence[ImageRequest],
        *,
        key: str | None = None,
        batch: str | None = None,
        notes: Sequence[Sequence[str]] | None = None,
    ) -> list[Job]:
        """All of them or none. The same key with the same wishes gives the same jobs again. A wish
        with choices in its words becomes a job for each text.

        `notes` are what there was to say of each before it was a wish. A key that was used is asked
        first: its jobs are there, whatever became of the model since.
        """
        asked = [canonical(wish) for wish in wishes]
        if wishes and (earlier := self._earlier(wishes[0].owner, key, asked)):
            return earlier
        here, lists = self.here(), self.lists()
        settled = [
            one.made(self.settle(one.bare, here, one.worn), said)
            for wish, said in zip(wishes, notes or repeat(()), strict=False)
            for one in Wording(wish, here.catalog, lists).each()
        ]
        if batch is None and len(settled) > len(wishes):
            batch = new_id()
        return self._write_down(settled, asked, key=key, batch=batch)

    def rerun(self, picture_id: str, *, model: str = "", key: str | None = None) -> Job:
        """A kept picture exactly as it was painted; the job's view says what came of it. One that
        was brought from another tool as near as can be, by `model` where its own is not here."""
        picture = self.store.picture(picture_id)
        if picture.foreign:
            data = self.store.file(picture).read_bytes()
            return self.rerun_file(data, model=model, key=key)
        _refuse_another(model)
        return self._again(picture.recipe, picture.seed, picture.id, key)

    def rerun_file(
        self, data: bytes, *, model: str = "", key: str | None = None, trusted: bool = False
    ) -> Job:
        """The same for a file that this studio or any other tool painted; `model` is to paint it
        where its own is not here. It is kept, to compare with: its pixels and what was read of it,
        or as it is if it is ours and from somebody who is trusted."""
        reading, store = read_picture(data), self.store
        if (recipe := reading.own) is not None:
            _refuse_another(model)
            kept = store.keep_input(data) if trusted else store.keep_read(data, recipe)
            return self._again(recipe, int(recipe["seed"]), kept, key)
        models = self.settings.model_folder
        settled, recipe = painted_again(reading, self.catalog, models, self.settle, model)
        kept = store.keep_read(data, recipe)
        asked = [canonical(settled.wish), kept]
        return self._write_down([settled], asked, key=key, rerun_of=kept)[0]

    def read(self, given: bytes | Picture, *, deep: bool = False) -> Honoured:
        """What a picture from anywhere says, or one of the history, and what becomes of that here.
        No job is made."""
        if isinstance(given, Picture) and given.foreign:
            given = self.store.file(given).read_bytes()
        if isinstance(given, bytes):
            reading = read_picture(given)
        else:
            reading = read_ours({**given.recipe, "seed": given.seed})
        models = self.settings.model_folder
        return understood(reading, self.catalog, models, self.look_over, deep=deep)

    def _again(self, recipe: Recipe, seed: int, of: str, key: str | None) -> Job:
        if earlier := self._earlier(request_of(recipe, seed).owner, key, [of]):
            return earlier[0]
        upscalers, folder = self.catalog.upscalers, self.settings.model_folder
        settled = again(recipe, seed, self.settle, upscalers, folder)
        return self._write_down([settled], [of], key=key, rerun_of=of)[0]

    def _earlier(self, owner: str, key: str | None, asked: Sequence[str]) -> list[Job]:
        return self.store.earlier(owner, key, _hash(asked)) if key else []

    def _write_down(
        self,
        settled: Sequence[Settled],
        asked: Sequence[str],
        *,
        key: str | None,
        batch: str | None = None,
        rerun_of: str | None = None,
    ) -> list[Job]:
        """`asked` is what the same key may come with again."""
        jobs = self.store.submit(
            settled,
            key=key,
            body_hash=_hash(asked),
            batch=batch,
            rerun_of=rerun_of,
            room=Room(self.settings.max_waiting, self.settings.max_waiting_each),
        )
        self.inbox.put(Entered([job for job in jobs if job.state == "queued"]))
        return jobs

    def here(self) -> Here:
        """For all wishes of one call."""
        return Here(self.catalog, self.settings.model_folder)

    def lists(self) -> Lists:
        """For all wishes of one call, and only where one of them calls for a list."""
        return cache(partial(wildcards, self.settings))

    def wording(self, wish: ImageRequest) -> Wording:
        return Wording(wish, self.catalog, self.lists())

    def overlooked(self, wording: Wording) -> Settled:
        """Of what would be painted first, as far as it can be told before."""
        (first,) = wording.shown(1)
        return first.made(self.look_over(first.bare, worn=first.worn))

    def settle(
        self, wish: ImageRequest, here: Here | None = None, worn: Sequence[Look] = ()
    ) -> Settled:
        """The wish made whole, on this machine: what paints it must be here. Its choices are made
        before; `worn` are the looks that it wears already."""
        here = here or self.here()
        settled = self.look_over(wish, here, worn)
        missing = here.absent(settled.card)
        if missing:
            raise Refused(f"model: {missing}", field="model")
        return settled

    def look_over(
        self, wish: ImageRequest, here: Here | None = None, worn: Sequence[Look] = ()
    ) -> Settled:
        """The same for a model that may be elsewhere: all else is refused that would be."""
        inputs = {name: self._look(field, name) for field, name in wish.pictures()}
        return settle_here(wish, here or self.here(), inputs, worn)

    def _look(self, field: str, content_hash: str) -> Input:
        try:
            return self.store.look(content_hash)
        except NotFound:
            sentence = (
                f"{field}: there is no picture {content_hash[:12]}... here; hand it in first."
            )
            raise Refused(sentence, field=field) from None

    def cancel(self, job_id: str) -> Job:
        job = self.store.cancel(job_id)
        self.inbox.put(StopJob(job_id))
        self.feed.tell(job_id, self.feed.live(job_id) if job.state == "running" else None)
        return job

    def reprioritise(self, job_id: str, priority: Priority) -> Job:
        """Among those who wait in that class it stands where it would if it had been of it."""
        job = self.store.reprioritise(job_id, priority)
        self.inbox.put(Ranked(job_id))
        return job

    def move(self, job_id: str, to: Place) -> Job:
        """Among those of the same owner that wait in its class; all others stand as they stood."""
        job = self.store.move(job_id, to)
        self.inbox.put(Moved(job.owner, job.priority))
        return job

    def pause(self, on: bool) -> None:
        """Nothing is begun while it is paused; what is painted is finished."""
        self.store.pause(on)
        self.inbox.put(Paused())

    def keep_loaded(self, model: str, here: bool) -> None:
        """In memory before a picture asks for it, or out of it."""
        if self.store.reading:
            raise Unavailable(self.store.reading)
        card = self.catalog.find(model)
        if here and (missing := absent(card, self.settings.model_folder)):
            raise Refused(f"model: {missing}", field="model")
        self.inbox.put(wish := Kept(card.name, here))
        if why := wish.answer.result(ANSWER_SECONDS):
            raise Refused(f"model: {why}", field="model")

    def view(self, job_id: str) -> View:
        job = self.store.job(job_id)
        pictures = tuple(self.store.pictures(job=job_id)) if job.state == "done" else ()
        return View(
            job=job,
            place=self.store.places([job_id]).get(job_id) if job.state == "queued" else None,
            live=self.feed.live(job_id),
            paused=job.state == "queued" and self.store.paused,
            times=None if job.state in FINAL else self.forecaster.times(job_id),
            pictures=pictures,
            rerun=compared(self.store, pictures[0], job.rerun_of)
            if job.rerun_of and pictures
            else None,
        )

    async def follow(self, job_id: str, *, beat: float = 1.0) -> AsyncIterator[View]:
        """A view now, at every change, and at least once a beat; the last one is final."""
        while True:
            seen = self.feed.version(job_id)
            view = await asyncio.to_thread(self.view, job_id)
            yield view
            if view.final:
                return
            await self.feed.changed(job_id, seen, beat)

    async def ended(self, job_id: str) -> View:
        """The final view, for those who want no steps."""
        while True:
            seen = self.feed.version(job_id)
            view = await asyncio.to_thread(self.view, job_id)
            if view.final:
                return view
            await self.feed.changed(job_id, seen, LISTEN_SECONDS, every_step=False)

    def wait(self, job_id: str, timeout: float) -> View:
        """For threads: the final view, or the one at the end of the timeout."""
        end = monotonic() + timeout
        while True:
            seen = self.feed.version(job_id)
            view = self.view(job_id)
            left = end - monotonic()
            if view.final or left <= 0:
                return view
            self.feed.wait(job_id, seen, min(left, 1.0))


def _hash(asked: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(asked).encode()).hexdigest()


def _refuse_another(model: str) -> None:
    if model:
        sentence = "model: it is a picture of this studio; it is painted by its own."
        raise Refused(sentence, field="model")
