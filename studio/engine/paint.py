"""How jobs are painted: load, words, steps, pixels, files, told as messages while it happens.

Jobs that differ in words and seeds alone may be painted side by side, in one pass of the network;
each is told about, stopped and finished as if it were alone. It knows no queue and no process.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from PIL import Image

from studio.engine.encode import to_image
from studio.engine.failures import PaintError
from studio.engine.fingerprint import basics
from studio.engine.job import Finish, Job, Stopped, Tell, timed
from studio.engine.painter import Painter
from studio.engine.residents import Residents
from studio.engine.safety import Checker, blurred
from studio.engine.saving import File, Later, Saver, make_file
from studio.engine.tiles import decode
from studio.engine.upscale import Upscaler
from studio.formats.metadata import recipe_text
from studio.messages import Cancelled, Failed, Loading, Paint, Painted, Picture
from studio.models.card import ModelCard
from studio.models.enlarge import FAMILY as ENLARGE
from studio.models.infotext import parameters_text


class HandedOn(Exception):
    """How the job ended is told later, beside the painting of the next."""


def paint(
    message: Paint,
    residents: Residents,
    previews: bool,
    tell: Tell,
    notes: tuple[str, ...] = (),
    later: Later | None = None,
) -> Painted:
    """One job. `notes` say what was done about it before."""
    ends: list[Painted | Failed | Cancelled] = []
    paint_together((message,), residents, previews, tell, ends.append, notes, later)
    if later and later.has(message):
        raise HandedOn
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
    later: Later | None = None,
) -> None:
    """`finish` hears of each job once, or `later` does, if one of them lets the next begin while
    its last file is made. What goes wrong goes wrong for all that are not finished."""
    first, jobs = messages[0], [Job(message, previews, tell, finish) for message in messages]
    card = ModelCard.model_validate(first.card)
    if card.family == ENLARGE:
        for job in jobs:
            _only_enlarge(card, residents, job, notes, later)
        return
    key = residents.key(card, first.folder, jobs[0].request.precision)
    if key not in residents:
        for job in jobs:
            job.say(Loading(job.message.job, job.message.token, f"loading {card.title}"))
    with timed("load", jobs):
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
        with timed("encode", [job]):
            job.prepare(painter, fingerprint, [*partial, *painter.plan.warnings, *notes])
    with Saver(beside=painter.plan.device != "cpu", later=later) as saver:
        for shots in _passes(jobs, first.at_once):
            _expose(painter, upscaler, checker, saver, shots)
        for job in jobs:  # of all but one the last file was told of before the next was made
            if later and job.message.ahead and job.unfinished:
                job.end_by(later.finish)
                saver.hand_on(job.message)


def _only_enlarge(
    card: ModelCard,
    residents: Residents,
    job: Job,
    notes: tuple[str, ...],
    later: Later | None,
) -> None:
    """Its start image is the picture; nothing is painted, so no model is loaded."""
    inputs, hardware = job.inputs, residents.hardware()
    job.progress(0, 0)
    with timed("load", [job]):
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
        with Saver(beside=False, later=later) as saver:
            shot = _Shot(job, 0, job.request.seed or 0)
            _finish(card, upscaler, checker, saver, shot, image, 1)


@dataclass(frozen=True, slots=True)
class _Shot:
    """One picture of a job."""

    job: Job
    index: int
    seed: int

    @property
    def name(self) -> str:
        count = self.job.request.count
        which = f"Picture {self.index + 1} of {count}" if count > 1 else "The picture"
        return f"{which} (seed {self.seed})"


def _passes(jobs: Sequence[Job], at_once: int) -> Iterator[list[_Shot]]:
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
    with timed("decode", [job]):
        if latents is None:
            image = inputs.begin((request.width or 0, request.height or 0))
        else:
            pixels, done = decode(painter, latents, request)
            image = inputs.keep(to_image(pixels))
            job.say_also(done)
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
            with timed("upscale", [job]):
                image, done = upscaler.enlarge(image, request.upscale or 1, before_tile)
                if inputs.fine(image.size):
                    image = inputs.keep(image)
        except Stopped:
            return
        job.say_also(done)
    with timed("save", [job]):
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
