"""The public endpoints for `gradio_client`: stable names, stable parameters, plain data.

`/generate` waits for the picture; the others answer at once. `wish` is the signature of the calls
that take one.
"""

import asyncio
import inspect
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gradio as gr
from gradio.events import Dependency, api
from gradio.processing_utils import save_bytes_to_cache

from studio.errors import DarkroomError
from studio.jobs.bulk import check, run
from studio.jobs.bulk_export import export
from studio.jobs.studio import Studio
from studio.jobs.view import View
from studio.request import PICTURE
from studio.store.bulks import Bulks
from studio.store.giving import given_out
from studio.store.packing import pack
from studio.store.pages import sort_of
from studio.store.selecting import selected
from studio.web.asking import ask, ask_truth
from studio.web.bulk_telling import cost_of, tell_bulk, tell_plan
from studio.web.enlarging import enlarge
from studio.web.foreign import read_told, rerun_of
from studio.web.history import tell_page
from studio.web.listed import tell_looks, tell_wildcards
from studio.web.pictures import template_of
from studio.web.quiet import cache_folder
from studio.web.telling import Told, tell_job, tell_loras, tell_model, tell_picture
from studio.web.waiting import ended, give_up, those_painted

BEAT_SECONDS = 1.0  # so soon a call is noticed whose caller went away
Answer = tuple[list[gr.FileData], int]  # the pictures, and the seed of the first


def wish(
    prompt: str,
    negative_prompt: str = "",
    seed: int | None = None,
    randomize_seed: bool = False,
    width: int | None = None,
    height: int | None = None,
    guidance_scale: float | None = None,
    num_inference_steps: int | None = None,
    model: str = "",
    count: int = 1,
    aspect: str | None = None,
    sampler: str | None = None,
    look: str | None = None,
    quality: str | None = None,
    output_format: str = "png",
    tags: list[str] | None = None,
    priority: str = "normal",
    filename: str | None = None,
    upscale: int | None = None,
    loras: list[dict[str, Any]] | None = None,
    start_image: str | None = None,
    mask: str | None = None,
    references: list[Any] | None = None,
    strength: float | None = None,
    fit: str | None = None,
    upscaler: str = "",
    precision: str = "auto",
    expand: str = "random",
    nth: int | None = None,
) -> Told:
    """The order of the parameters is the one people know from other studios; it never changes.

    Pictures are ids or data URLs.
    """
    fields = dict(locals())
    if fields.pop("randomize_seed"):
        fields["seed"] = None
    return {name: value for name, value in fields.items() if value != ""} | {"prompt": prompt}


def endpoints(studio: Studio) -> Dependency:
    """Adds them to the current Blocks; gives back the one that can be cancelled."""
    painting: Dependency = api(
        _generate(studio),
        api_name="generate",
        concurrency_id="paint",
        concurrency_limit=studio.pool.size,
    )
    one_by_one = (_submit(studio), _upscale(studio), _truth(studio), _zip(studio))
    for endpoint in (*one_by_one, *_bulk(studio), *_reading(studio), *_looking(studio)):
        api(endpoint, api_name=endpoint.__name__, queue=False)
    return painting


def _generate(studio: Studio) -> Callable[..., AsyncIterator[object]]:
    async def generate(*given: Any, **named: Any) -> AsyncIterator[object]:
        """Paint and wait: the picture files, whole and with their metadata, and the first seed.

        What is left out is the model's own; without a seed, or with randomize_seed, one is drawn.
        A call that is cancelled before its painting began is taken out of the line; what has begun
        is finished, and found again in /history. What became of texts that failed beside others is
        in the status of the call (`job.status().log`).
        """
        with _spoken():
            jobs = await asyncio.to_thread(ask, studio.line, [wish(*given, **named)])
        ids = [job.id for job in jobs]
        end = ended(studio.line, ids)
        try:
            while not (await asyncio.wait((end,), timeout=BEAT_SECONDS))[0]:
                yield [], jobs[0].request["seed"]  # here a cancelled call is closed
            with _spoken():
                done, lost = those_painted(end.result())
                for said in lost:
                    gr.Warning(said)
                yield await asyncio.to_thread(_files, studio, done)
        finally:
            if not end.done():
                end.cancel()
                asyncio.get_running_loop().run_in_executor(None, give_up, studio.line, ids)

    _takes_a_wish(generate, Answer)
    return generate


def _submit(studio: Studio) -> Callable[..., Told]:
    def submit(*given: Any, **named: Any) -> Told:
        """Write a wish down and answer at once with its job, and the ids of all its `jobs` where
        choices in its words make several. Takes what /generate takes."""
        with _spoken():
            jobs = [job.id for job in ask(studio.line, [wish(*given, **named)])]
            return tell_job(studio.line.view(jobs[0])) | {"jobs": jobs}

    _takes_a_wish(submit, Told)
    return submit


def _upscale(studio: Studio) -> Callable[..., Told]:
    def upscale(picture: str, times: int = 4, upscaler: str = "") -> Told:
        """Enlarge a picture without painting, and answer at once with the job.

        It is the id of one of the history or of one that was handed in, or a data URL.
        """
        way = "picture" if re.fullmatch(PICTURE, picture) else "image"
        with _spoken():
            asked = {way: picture, "times": times, "upscaler": upscaler}
            return tell_job(studio.line.view(enlarge(studio.line, asked).id))

    return upscale


def _truth(studio: Studio) -> Callable[..., Told]:
    def truth(*given: Any, **named: Any) -> Told:
        """What a wish would be to its model, before it is painted. Takes what /generate takes."""
        with _spoken():
            return ask_truth(studio, wish(*given, **named))

    _takes_a_wish(truth, Told)
    return truth


def _bulk(studio: Studio) -> tuple[Callable[..., object], ...]:
    def bulk(text: str, name: str = "", again: bool = False) -> Told:
        """Run a bulk file, all of it or nothing: its text, as docs/bulk.md says. The ending of
        `name` says its form; what is painted or waits already is skipped unless `again`."""
        with _spoken():
            made = run(studio.line, text, name, again=again)
            return tell_bulk(studio, made)

    def bulk_check(text: str, name: str = "", again: bool = False) -> Told:
        """All that is wrong with a bulk file and what it would cost. Nothing is written down."""
        with _spoken():
            plan = check(studio.line, text, name, again=again)
            return tell_plan(plan, cost_of(studio, plan))

    def bulk_status(bulk_id: str) -> Told:
        """How each picture of a bulk file stands, with its line."""
        with _spoken():
            return tell_bulk(studio, Bulks(studio.store.database).find(bulk_id))

    def bulk_export(ids: list[str] | None = None, q: str | None = None) -> str:
        """Pictures of the history as a bulk file that paints them again: ids, or a search."""
        with _spoken():
            return export(studio.line, ids, q)

    return bulk, bulk_check, bulk_status, bulk_export


def _zip(studio: Studio) -> Callable[..., gr.FileData]:
    def zip(  # noqa: A001 - the name that callers see
        ids: list[str] | None = None,
        job: str = "",
        batch: str = "",
        name: str = "",
        q: str | None = None,
    ) -> gr.FileData:
        """Pictures as one ZIP with their recipes in a manifest: ids, a job, a batch or a search.

        `name` is a template for the files in it. Large ones come leaner from /api/pictures/zip.
        """
        with _spoken():
            template = template_of(name)
            found = selected(studio.store, ids=ids, job_id=job, batch=batch, q=q)
            folder = cache_folder(studio.settings) / secrets.token_hex(16)
            folder.mkdir(parents=True)
            file = folder / "darkroom.zip"
            with file.open("wb") as written:
                written.writelines(pack(studio.store, found, template, studio.settings.metadata))
        return gr.FileData(path=str(file), orig_name=file.name)

    return zip


def _reading(studio: Studio) -> tuple[Callable[..., Told], ...]:
    def read(picture: str, hashes: bool = False) -> Told:
        """What a picture of any tool says, and what becomes of that here: the id of one of the
        history, or a data URL. With hashes, large models are read for theirs."""
        with _spoken():
            return read_told(studio, picture, hashes)

    def rerun(picture_id: str, model: str = "") -> Told:
        """Paint a picture again; `rerun` of /job says what came of it.

        One of the history by its id, exactly; one of any tool, as a data URL, as near as can be,
        by `model` where its own is not here.
        """
        with _spoken():
            return tell_job(studio.line.view(rerun_of(studio, picture_id, model, None).id))

    return read, rerun


def _looking(studio: Studio) -> tuple[Callable[..., object], ...]:
    def job(job_id: str) -> Told:
        """One job: state, place in the line, step, pictures with their addresses, or its error."""
        with _spoken():
            return tell_job(studio.line.view(job_id))

    def cancel(job_id: str) -> Told:
        """Stop a job. What is already final stays as it is."""
        with _spoken():
            studio.line.cancel(job_id)
            return tell_job(studio.line.view(job_id))

    def models() -> list[Told]:
        """Every model: what it can do, its sizes, and whether it is on this machine."""
        return [tell_model(studio, card) for card in studio.catalog.cards.values()]

    def loras() -> list[Told]:
        """Every LoRA on this machine: the models it fits, its words and hashes, or its problem."""
        return tell_loras(studio)

    def looks() -> list[Told]:
        """Every look: its words, LoRAs and settings, or its problem."""
        return tell_looks(studio)

    def wildcards() -> list[Told]:
        """The lists that a prompt calls by __name__: how many values, the first, or its problem."""
        return tell_wildcards(studio)

    def history(limit: int = 50, before: str | None = None) -> list[Told]:
        """The newest pictures, at most 200. `before` is the id of the last one already seen."""
        with _spoken():
            pictures = studio.store.pictures(limit=max(1, min(limit, 200)), before=before or None)
            return [tell_picture(picture) for picture in pictures]

    def search(q: str = "", sort: str = "newest", limit: int = 50, after: str = "") -> Told:
        """Search the history: docs/search.md has the language. `next` of the answer is the `after`
        of the next page; `total` counts all that was found."""
        with _spoken():
            here = studio.store.history
            page = here.search(q, sort=sort_of(sort), after=after or None, limit=limit)
            return tell_page(page)

    return job, cancel, models, loras, looks, wildcards, history, search


def _files(studio: Studio, views: Sequence[View]) -> tuple[list[Told], int]:
    """Copies in Gradio's own folder: the only files it gives away."""
    files, folder, said = [], str(cache_folder(studio.settings)), studio.settings.metadata
    for picture in (picture for view in views for picture in view.pictures):
        name = studio.store.file(picture).name
        path = save_bytes_to_cache(given_out(studio.store, picture, said), name, folder)
        files.append(gr.FileData(path=path, orig_name=name).model_dump())
    return files, views[0].pictures[0].seed


def _takes_a_wish(endpoint: Any, answer: Any) -> None:
    """Gradio reads names, defaults and types from the function; give it those of `wish`."""
    endpoint.__signature__ = inspect.signature(wish).replace(return_annotation=answer)
    endpoint.__annotations__ = {**wish.__annotations__, "return": answer}


@contextmanager
def _spoken() -> Iterator[None]:
    try:
        yield
    except DarkroomError as error:
        raise gr.Error(str(error), print_exception=False) from None
