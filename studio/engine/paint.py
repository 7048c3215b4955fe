"""How jobs are painted: load, words, steps, pixels, files, told as messages while it happens.

Jobs that differ in words and seeds alone may be painted side by side, in one pass of the network;
each is told about, stopped and finished as if it were alone. Whoever listens decides whether a job
goes on: `tell` raises `Stopped` for one that is no longer wanted. It knows no queue and no process.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from PIL import Image

from studio.engine.encode import to_image
from studio.engine.failures import PaintError
from studio.engine.fingerprint import basics
from studio.engine.inputs import Inputs
from studio.engine.painter import Painter
from studio.engine.preview import Previews
from studio.engine.reading import in_short, readings, unread
from studio.engine.residents import Residents
from studio.engine.safety import Checker, blurred
from studio.engine.saving import File, Saver, make_file
from studio.engine.upscale import Upscaler
from studio.formats.metadata import recipe_text
from studio.formats.template import plain
from studio.messages import Cancelled, Failed, Loading, Paint, Painted, Picture, Progress
from studio.models.card import ModelCard
from studio.models.enlarge import FAMILY as ENLARGE
from studio.models.infotext import parameters_text
from studio.request import ImageRequest, read_request

Tell = Callable[[Loading | Progress], None]
Finish = Callable[[Painted | Failed | Cancelled], None]
WORDS = ("prompt", "negative_prompt")
PARTS = ("load", "encode", "steps", "decode", "upscale", "save")


class Stopped(Exception):
    """The picture is no longer wanted."""


def paint(
    message: Paint, residents: Residents, previews: bool, tell: Tell, notes: tuple[str, ...] = ()
) -> Painted:
    """One job. `notes` say what was done about it before."""
    ends: list[Painted | Failed | Cancelled] = []
    paint_together((message,), residents, previews, tell, ends.append, notes)
    match ends[0]:
        case Painted() as painted:
            return painted
        case Failed(code=code, sentence=sentence):
            raise PaintError(code, sentence)
    raise Stopped


def paint_together(
    messages: Sequence[Paint],
    residents: Residents,
    previews: bool,
    tell: Tell,
    finish: Finish,
    notes: tuple[str, ...] = (),
) -> None:
    """`finish` hears of each job once. What goes wrong goes wrong for all that are not finished."""
    first, jobs = messages[0], [_Job(message, previews, tell, finish) for message in messages]
    card = ModelCard.model_validate(first.card)
    if card.family == ENLARGE:
        for job in jobs:
            _only_enlarge(card, residents, job, notes)
        return
    key = residents.key(card, first.folder, jobs[0].request.precision)
    if key not in residents:
        for job in jobs:
            job.say(Loading(job.message.job, job.message.token, f"loading {card.title}"))
    with _timed("load", jobs):
        painter = residents.get(card, key)
        partial = painter.loras.wear(jobs[0].request.loras, first.loras)
        upscaler = residents.upscaler(first.upscaler, painter.plan.device)
        checker = residents.checker()
    fingerprint = painter.take_sampler(jobs[0].request.sampler or "")
    fingerprint |= upscaler.marks if upscaler else {}
    fingerprint |= checker.marks if checker else {}
    if used := painter.loras.marks(jobs[0].request.loras, first.loras):
        fingerprint["loras"] = used
    for job in jobs:
        job.progress(0, 0)  # nothing is done yet, but a cancel is heard here
        with _timed("encode", [job]):
            job.prepare(painter, fingerprint, [*partial, *painter.plan.warnings, *notes])
    with Saver(beside=painter.plan.device != "cpu") as saver:
        for shots in _passes(jobs, first.at_once):
            _expose(painter, upscaler, checker, saver, shots)


def _only_enlarge(
    card: ModelCard, residents: Residents, job: "_Job", notes: tuple[str, ...]
) -> None:
    """Its start image is the picture; nothing is painted, so no model is loaded."""
    inputs, hardware = job.inputs, residents.hardware()
    job.progress(0, 0)
    with _timed("load", [job]):
        upscaler = residents.upscaler(job.message.upscaler, hardware.device)
        checker = residents.checker()
    clear = job.request.output_format == "jpeg"  # which holds no transparency
    image = inputs.start if clear else inputs.whole
    if upscaler is None or image is None:
        raise PaintError("internal", "There is nothing to enlarge, or nothing to do it with.")
    fingerprint = basics(hardware.device, hardware.name) | upscaler.marks
    fingerprint |= checker.marks if checker else {}
    job.begin(fingerprint, [*notes, *(inputs.notes if clear else ())])
    if not job.stopped:
        with Saver(beside=False) as saver:
            shot = _Shot(job, 0, job.request.seed or 0)
            _finish(card, upscaler, checker, saver, shot, image, 1)


class _Job:
    """A wish on its way: its words for the network, what is done of it, the time it took."""

    def __init__(self, message: Paint, previews: bool, tell: Tell, finish: Finish) -> None:
        self.message, self._tell, self._finish = message, tell, finish
        self.request = read_request(message.request)
        self.inputs = Inputs.read(self.request, message.inputs)
        self.sketches = Previews(previews)
        self.conditions: dict[str, torch.Tensor] = {}
        self.recipe: dict[str, Any] = {}
        self.pictures: list[Picture] = []
        self.withheld: list[str] = []
        self.warnings: dict[str, None] = {}
        self.stopped = False
        self.together = 1
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._start = time.perf_counter()

    def say(self, word: Loading | Progress) -> None:
        if self.stopped:
            return
        try:
            self._tell(word)
        except Stopped:
            self.stopped = True
            self._finish(Cancelled(self.message.job, self.message.token))

    def progress(
        self, index: int, step: int, preview: bytes = b"", stage: str = "", of: int | None = None
    ) -> None:
        steps = self.request.steps_taken() if of is None else of
        self.say(Progress(self.message.job, self.message.token, index, step, steps, preview, stage))

    def begin(self, fingerprint: dict[str, Any], said: list[str]) -> None:
        self.recipe = _recipe(self.message, self.request, fingerprint)
        self.recipe["warnings"] += said
        self.warnings = dict.fromkeys(said)

    def prepare(self, painter: Painter, fingerprint: dict[str, Any], said: list[str]) -> None:
        read = readings(painter.card, self.request, partial(getattr, painter.family.pipeline))
        self.begin(fingerprint, [*said, *self.inputs.notes, *unread(painter.card, read)])
        self.recipe["read"] = in_short(self.request, read)
        if self.stopped or not self.request.steps_taken():
            return
        with suppress(Stopped):
            worn = fingerprint.get("loras")
            conditions = painter.words(self.request, worn, self._breathe)
            if self.inputs.start:
                self._breathe()
                canvas = self.request.width or 0, self.request.height or 0
                begun = self.inputs.begin(canvas), self.inputs.free(canvas)
                conditions |= painter.family.begin(*begun)
            self.conditions = conditions

    def say_also(self, done: str) -> None:
        """What only came about while it was painted."""
        if done and done not in self.warnings:
            self.warnings[done] = None
            self.recipe["warnings"].append(done)

    def _breathe(self) -> None:
        """A sign of life, and the moment to hear a cancel."""
        self.progress(0, 0)
        if self.stopped:
            raise Stopped

    def keep(self, picture: Picture, said: Sequence[str]) -> None:
        self.pictures.append(picture)
        self.warnings |= dict.fromkeys(said)
        self._end_after_the_last()

    def withhold(self, why: str) -> None:
        self.withheld.append(why)
        self.warnings[why] = None
        self._end_after_the_last()

    def _end_after_the_last(self) -> None:
        if len(self.pictures) + len(self.withheld) < self.request.count:
            return
        if not self.pictures:
            sentence = " ".join([*self.withheld, "Another seed or other words may pass."])
            self._finish(Failed(self.message.job, self.message.token, "unsafe", sentence))
            return
        timings = {**self.seconds, "total": time.perf_counter() - self._start}
        if self.together > 1:
            timings["together"] = self.together
        pictures, warnings = tuple(self.pictures), tuple(self.warnings)
        job, token = self.message.job, self.message.token
        self._finish(Painted(job, token, pictures, self.recipe, timings, warnings))


@dataclass(frozen=True, slots=True)
class _Shot:
    """One picture of a job."""

    job: _Job
    index: int
    seed: int

    @property
    def name(self) -> str:
        count = self.job.request.count
        which = f"Picture {self.index + 1} of {count}" if count > 1 else "The picture"
        return f"{which} (seed {self.seed})"


def _passes(jobs: Sequence[_Job], at_once: int) -> Iterator[list[_Shot]]:
    """Pictures that enter one pass of the network. None is made to fit: longer words would change
    a picture, so those with words of another length have a pass of their own."""
    alike: dict[object, list[_Shot]] = {}
    for job in jobs:
        shape = tuple((name, value.shape) for name, value in sorted(job.conditions.items()))
        alike.setdefault(shape, []).extend(
            _Shot(job, index, seed) for index, seed in enumerate(job.request.seeds())
        )
    for shots in alike.values():
        while wanted := [shot for shot in shots if not shot.job.stopped][:at_once]:
            yield wanted
            shots = shots[shots.index(wanted[-1]) + 1 :]


def _expose(
    painter: Painter,
    upscaler: Upscaler | None,
    checker: Checker | None,
    saver: Saver,
    shots: list[_Shot],
) -> None:
    """One pass, and what follows for each of its pictures, one after another."""
    family, first = painter.family, shots[0].job
    request = first.request
    if not request.steps_taken():
        for shot in shots:
            _develop(painter, upscaler, checker, saver, shot, None, 1)
        return
    jobs = list(dict.fromkeys(shot.job for shot in shots))
    for job in jobs:
        job.together = max(job.together, len(shots))
    conditions = [shot.job.conditions for shot in shots]
    arguments = {
        **{name: torch.cat([each[name] for each in conditions]) for name in conditions[0]},
        **family.arguments(request),
        "generator": [torch.Generator("cpu").manual_seed(shot.seed) for shot in shots],
    }

    def after_step(number: int, latents: torch.Tensor) -> None:
        last = number == request.steps_taken()  # the picture itself follows at once
        for place, shot in enumerate(shots):
            if not shot.job.stopped:
                own = latents[place : place + 1]
                sketch = b"" if last else shot.job.sketches.of(family, own, request)
                shot.job.progress(shot.index, number, sketch)
        if all(job.stopped for job in jobs):
            raise Stopped

    start = time.perf_counter()
    try:
        latents = family.paint(arguments, first.inputs, request, after_step)
    except Stopped:
        return
    each = (time.perf_counter() - start) / len(shots)
    for shot in shots:
        shot.job.seconds["steps"] += each  # its part of the pass
    for place, shot in enumerate(shots):
        if not shot.job.stopped:
            own = latents[place : place + 1]
            _develop(painter, upscaler, checker, saver, shot, own, len(shots))


def _develop(
    painter: Painter,
    upscaler: Upscaler | None,
    checker: Checker | None,
    saver: Saver,
    shot: _Shot,
    latents: torch.Tensor | None,
    together: int,
) -> None:
    """Without latents nothing was painted, and the picture is its start image."""
    job, request, inputs = shot.job, shot.job.request, shot.job.inputs
    with _timed("decode", [job]):
        if latents is None:
            image = inputs.begin((request.width or 0, request.height or 0))
        else:
            image = inputs.keep(to_image(painter.family.decode(latents, request)))
    _finish(painter.card, upscaler, checker, saver, shot, image, together)


def _finish(
    card: ModelCard,
    upscaler: Upscaler | None,
    checker: Checker | None,
    saver: Saver,
    shot: _Shot,
    image: Image.Image,
    together: int,
) -> None:
    """What follows for a picture once it is there: larger, looked at, written."""
    job, request, inputs = shot.job, shot.job.request, shot.job.inputs
    if upscaler:

        def before_tile(done: int, tiles: int) -> None:
            part = f", part {done + 1} of {tiles}" if tiles > 1 else ""
            steps = request.steps_taken()
            step, of = (steps, steps) if steps else (done, tiles)
            job.progress(shot.index, step, stage=f"enlarging{part}", of=of)
            if job.stopped:
                raise Stopped

        try:
            with _timed("upscale", [job]):
                image, done = upscaler.enlarge(image, request.upscale or 1, before_tile)
                if inputs.fine(image.size):
                    image = inputs.keep(image)
        except Stopped:
            return
        job.say_also(done)
    with _timed("save", [job]):
        found = checker.look(image.convert("RGB")) if checker else None
    if found and found.withhold:
        job.withhold(f"{shot.name} was withheld: {found.words}")
        return
    # With the last bit of a rounding it may be told apart from one that was painted alone.
    own: dict[str, Any] = {"together": together} if together > 1 else {}
    if found:
        image, own["blurred"] = blurred(image), found.score
    recipe = {**job.recipe, **own, "seed": shot.seed, "index": shot.index}
    parameters = parameters_text(request, card, recipe["fingerprint"], shot.seed)
    form, text = request.output_format, recipe_text(recipe)

    def keep(file: File) -> None:
        if job.stopped:
            return
        job.seconds["save"] += file.seconds
        blur = (f"{shot.name} was blurred: {found.words}",) if found else ()
        size, looks = image.size, file.likeness
        picture = Picture(shot.index, shot.seed, *size, form, file.data, file.thumb, own, looks)
        job.keep(picture, (*file.lost, *blur))

    saver.save(partial(make_file, image, form, parameters, text), keep)


def _recipe(message: Paint, request: ImageRequest, fingerprint: dict[str, Any]) -> dict[str, Any]:
    """What is needed to paint it again, and what the person wrote where settling changed it."""
    settled = request.model_dump(mode="json")
    names = (*WORDS, "look", *(("expand", "nth") if _chose(message) else ()))
    wished = {
        name: message.wish[name]
        for name in names
        if name in message.wish and message.wish[name] != settled.get(name)
    }
    return {
        "version": 1,
        "request": settled,
        "wish": wished,
        "fingerprint": fingerprint,
        "warnings": list(message.warnings),
    }


def _chose(message: Paint) -> bool:
    """Whether there may have been choices in its words, so that how they were made counts."""
    return not all(plain(str(message.wish.get(name, ""))) for name in WORDS)


@contextmanager
def _timed(part: str, jobs: Sequence[_Job]) -> Iterator[None]:
    """Seconds by stage, added up over the pictures of a job."""
    start = time.perf_counter()
    try:
        yield
    finally:
        for job in jobs:
            job.seconds[part] += time.perf_counter() - start
