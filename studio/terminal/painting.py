"""Verbs that make pictures, or say what would become of one: each in a studio of its own, without a
server."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from studio.errors import DarkroomError, InUse, Refused, Unavailable
from studio.jobs.line import Line
from studio.jobs.reader import Reader
from studio.jobs.studio import Studio
from studio.jobs.truth import tell_choices, tell_truth
from studio.jobs.view import View
from studio.models.enlarge import NAME
from studio.models.loras import use_of
from studio.request import ImageRequest, read_request
from studio.settings import Settings
from studio.store.giving import given_out
from studio.store.rows import Job, Picture
from studio.wishes.presets import load_catalog
from studio.wishes.routing import Here, settle_here
from studio.wishes.wildcards import wildcards
from studio.wishes.wording import Wording

PAUSED = (
    "The line of this data folder is paused. Start the server and POST to /api/queue/resume, or "
    "delete the file `paused` there."
)
PAINT_THERE = "ask it: on its page, or with POST to /api/generate or /api/upscale."
RERUN_THERE = (
    "ask it: by 'Read a picture' on its page, or with POST of the file to /api/rerun; its answer "
    "names the job that tells what came of it."
)
FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}


@contextmanager
def opened(settings: Settings, instead: str) -> Iterator[Studio]:
    """A studio of its own; beside a server, which has the folder, the sentence says what else."""
    try:
        studio = Studio.open(settings)
    except InUse as error:
        raise InUse(error.who, f"{error.instead.removesuffix('.')}, or {instead}") from None
    try:
        yield studio
    finally:
        studio.close()


def paint(settings: Settings, asked: argparse.Namespace) -> int:
    out = Path(asked.out)
    fields = _wished(asked) | {"output_format": _kind(out)}
    fields |= {name: getattr(asked, name) for name in ("strength", "fit")}  # None is none given
    read_request(fields | {"prompt": asked.prompt or "of a picture"})  # refused before it opens
    return _paint(settings, lambda studio: read_request(fields | _handed_in(studio, asked)), out)


def upscale(settings: Settings, asked: argparse.Namespace) -> int:
    file = Path(asked.file)
    out = Path(asked.out or file.with_name(f"{file.stem}-{asked.times}x.png"))
    if not file.is_file():
        raise Refused(f"file: there is no {file}.", field="file")

    def wish(studio: Studio) -> ImageRequest:
        kept = _taken(studio, file, "file")
        fields = {"model": NAME, "prompt": "", "start_image": kept, "upscale": asked.times}
        return read_request(
            fields | {"upscaler": asked.upscaler or "", "output_format": _kind(out)}
        )

    return _paint(settings, wish, out)


def rerun(settings: Settings, asked: argparse.Namespace) -> int:
    data = read_bytes(asked.file)
    with opened(settings, RERUN_THERE) as studio:
        if studio.store.paused:
            raise Unavailable(PAUSED)
        job = studio.line.rerun_file(data, model=asked.model, trusted=True)
        view = _painted(studio.line, job)
        if asked.out:
            _put(studio, view.pictures[0], asked.out)
        assert view.rerun
        print(f"{asked.file}: {view.rerun.words}")
        compared = view.rerun.comparison
        return 1 if compared is None or compared.answer == "different" else 0


def truth(settings: Settings, asked: argparse.Namespace) -> int:
    catalog = load_catalog(
        settings.presets, settings.default_model, settings.model_folder, settings.look_folder
    )
    here = Here(catalog, settings.model_folder)
    wording = Wording(read_request(_wished(asked)), catalog, lambda: wildcards(settings))
    (first,) = wording.shown(1)
    settled = settle_here(first.bare, here, worn=first.worn)
    reader = Reader()
    try:
        choices = tell_choices(wording)
        told = tell_truth(first.made(settled), catalog.looks, settings, reader, choices)
    finally:
        reader.close()
    print(json.dumps(told, indent=2, ensure_ascii=False))
    return 0


def _paint(settings: Settings, wish_of: Callable[[Studio], ImageRequest], out: Path) -> int:
    """One wish, in a studio of its own."""

    out.parent.mkdir(parents=True, exist_ok=True)
    with opened(settings, PAINT_THERE) as studio:
        wish = wish_of(studio)
        if studio.store.paused:
            raise Unavailable(PAUSED)
        jobs = studio.line.submit([wish])
        several = len(jobs) * int(jobs[0].request["count"]) > 1
        number = 0
        for job in jobs:
            view = _painted(studio.line, job)
            words = f"  {job.request['prompt']}" if len(jobs) > 1 else ""
            for picture in view.pictures:
                file = out.with_stem(f"{out.stem}-{number}") if several else out
                _put(studio, picture, file)
                about = f"{picture.width} x {picture.height}, seed {picture.seed}"
                print(f"{file}  {about}  {view.words}{words}", flush=True)
                number += 1
    return 0


def _painted(line: Line, job: Job) -> View:
    """The view of the job once it is done. What is known of it before is said before."""
    for warning in job.warnings:
        print(f"note: {warning}", file=sys.stderr)
    view = line.wait(job.id, timeout=float("inf"))
    for warning in view.job.warnings[len(job.warnings) :]:
        print(f"note: {warning}", file=sys.stderr)
    if view.job.state != "done":
        raise DarkroomError(view.words)
    return view


def _put(studio: Studio, picture: Picture, file: Path) -> None:
    file.write_bytes(given_out(studio.store, picture, studio.settings.metadata))


def read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}.") from None


def _wished(asked: argparse.Namespace) -> dict[str, object]:
    names = (
        *("negative_prompt", "model", "aspect", "width", "height", "seed", "steps", "guidance"),
        *("sampler", "count", "look", "quality", "precision", "upscale", "upscaler"),
        *("expand", "nth"),
    )
    given = {name: getattr(asked, name) for name in names if getattr(asked, name) is not None}
    return {"prompt": asked.prompt, "loras": [use_of(text) for text in asked.lora], **given}


def _kind(out: Path) -> str:
    """An ending we do not know is passed on as it is: the request names the three that exist."""
    return FORMATS.get(out.suffix.lower(), out.suffix.lstrip(".").lower())


def _handed_in(studio: Studio, asked: argparse.Namespace) -> dict[str, object]:
    """The files to paint from, as fields of a wish."""
    files = {name: getattr(asked, name) for name in ("start_image", "mask")}
    named: dict[str, object] = {
        name: _taken(studio, file, name) for name, file in files.items() if file
    }
    references = [{"id": _taken(studio, file, "references")} for file in asked.reference]
    return named | {"references": references}


def _taken(studio: Studio, file: Path, field: str) -> str:
    kept, notes = studio.store.take(read_bytes(file), field)
    for note in notes:
        print(f"note: {field}: {note}", file=sys.stderr)
    return kept.id
