"""`/api`: submit, follow, cancel and fetch over plain HTTP, and the two calls of the first system.

Thin: bodies become wishes in `asking`, jobs become JSON in `telling`.
"""

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TypeVar, cast, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.errors import NotFound, Refused
from studio.jobs.rerun import compare_with
from studio.jobs.studio import Studio
from studio.jobs.view import View
from studio.request import Priority
from studio.store.giving import given_out
from studio.store.retention import last_tidied
from studio.store.rows import Before, Job, Picture, Place, State
from studio.web.answers import error_response, number, read_object, some_of, speaks
from studio.web.asking import ask, ask_truth
from studio.web.described import WISH, asks, takes
from studio.web.enlarging import enlarge
from studio.web.telling import (
    Told,
    tell_comparison,
    tell_job,
    tell_models,
    tell_picture,
    tell_row,
    tell_slots,
)
from studio.web.waiting import key_of, paint, those_painted, warnings_of

MOST_PROMPTS = 1000
STATES: tuple[State, ...] = get_args(State)
BATCH = {
    "type": "object",
    "required": ["prompts"],
    "properties": {
        "prompts": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_PROMPTS,
            "items": {"type": "object"},
        }
    },
}
Found = TypeVar("Found")
faced = speaks(error_response)


def api_routes(studio: Studio) -> list[Route]:
    here = Rest(studio)
    return [
        Route("/api/generate", faced(here.generate), methods=["POST"]),
        Route("/api/generate/batch", faced(here.generate_batch), methods=["POST"]),
        Route("/api/jobs", faced(here.submit), methods=["POST"]),
        Route("/api/jobs", faced(here.jobs), methods=["GET"]),
        Route("/api/jobs/{id}", faced(here.job), methods=["GET"]),
        Route("/api/jobs/{id}", faced(here.cancel), methods=["DELETE"]),
        Route("/api/jobs/{id}/cancel", faced(here.cancel), methods=["POST"]),
        Route("/api/jobs/{id}", faced(here.change), methods=["PATCH"]),
        Route("/api/truth", faced(here.truth), methods=["POST"]),
        Route("/api/queue/status", faced(here.queue), methods=["GET"]),
        Route("/api/queue/pause", faced(here.pause), methods=["POST"]),
        Route("/api/queue/resume", faced(here.resume), methods=["POST"]),
        Route("/api/history", faced(here.history), methods=["GET"]),
        Route("/api/pictures/{id}/rerun", faced(here.rerun), methods=["POST"]),
        Route("/api/pictures/{id}/compare", faced(here.compare), methods=["GET"]),
        Route("/api/upscale", faced(here.upscale), methods=["POST"]),
        Route("/api/health", faced(here.health), methods=["GET"]),
        Route("/api/ready", faced(here.ready), methods=["GET"]),
        Route(
            "/api/{rest:path}", faced(_unknown), methods=["GET", "POST", "PUT", "DELETE", "PATCH"]
        ),
    ]


class Rest:
    """The handlers; each docstring is what `/docs` shows."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._patient = ThreadPoolExecutor(2, "rest")  # here any number may wait, holding up nobody

    @takes(WISH, {"prompt": "a red car", "seed": 7})
    async def generate(self, request: Request) -> Response:
        """Paint one wish and wait for it. Answers with the picture itself and where it lies."""
        views = await paint(self.studio.line, [await read_object(request)], request)
        return JSONResponse(await asyncio.to_thread(self._painted, *those_painted(views)))

    @takes(BATCH, {"prompts": [{"prompt": "a red car"}, {"prompt": "a boat"}], "steps": 4})
    async def generate_batch(self, request: Request) -> Response:
        """Paint many: `prompts` is a list of {prompt, seed, filename…} over the shared fields."""
        views = await paint(self.studio.line, _batch(await read_object(request)), request)
        results = [_result(index, view) for index, view in enumerate(views)]
        good = sum(result["success"] for result in results)
        return JSONResponse(
            {
                "success": good == len(results),
                "total": len(results),
                "succeeded": good,
                "failed": len(results) - good,
                "results": results,
            }
        )

    @takes(WISH, {"prompt": "a {red|blue} car", "expand": "all"})
    async def submit(self, request: Request) -> Response:
        """Write a wish down and answer at once, with its job; one with choices in its words may
        become several `jobs`. The same Idempotency-Key gives the same again."""
        fields = await read_object(request)
        jobs = await asyncio.to_thread(ask, self.studio.line, [fields], key=key_of(request))
        return await self._accepted(*jobs)

    @asks("limit", "before", "state", "owner")
    async def jobs(self, request: Request) -> Response:
        """The newest jobs, of one `owner`, of one `state` or several with commas; `limit`, and
        `before` with the `next` of the last answer."""
        asked, store = request.query_params, self.studio.store
        limit = number(asked, "limit", 50, 1, 200)
        last = number(asked, "before", 0, 1, 2**53) if asked.get("before") else None
        owner, states = asked.get("owner"), some_of(asked, "state", STATES)
        rows = await asyncio.to_thread(
            store.jobs, owner=owner, states=states, limit=limit, before=last
        )
        places = await asyncio.to_thread(store.places, [job.id for job in rows])
        following = rows[-1].seq if len(rows) == limit else None
        told = [tell_row(job) | {"place": places.get(job.id)} for job in rows]
        return JSONResponse({"jobs": told, "next": following})

    async def job(self, request: Request) -> Response:
        """One job: its state, its place in the line, its step, its pictures or its error."""
        view = await asyncio.to_thread(self.studio.line.view, request.path_params["id"])
        return JSONResponse(tell_job(view))

    async def cancel(self, request: Request) -> Response:
        """Stop a job. What is already final stays as it is."""
        job_id = request.path_params["id"]
        await asyncio.to_thread(self.studio.line.cancel, job_id)
        return JSONResponse(tell_job(await asyncio.to_thread(self.studio.line.view, job_id)))

    @takes(WISH, {"prompt": "a (red:1.3) car"})
    async def truth(self, request: Request) -> Response:
        """What a wish would be to its model, before it is painted: the text that each encoder is
        sent, tokens, weights, what is lost, what has no effect. Takes what /api/jobs takes."""
        fields = await read_object(request)
        return JSONResponse(await self._in_turn(ask_truth, self.studio, fields))

    async def queue(self, request: Request) -> Response:
        """What waits, what is painted, and what each slot does and why."""
        counts = await asyncio.to_thread(self.studio.store.counts)
        paused = await asyncio.to_thread(lambda: self.studio.store.paused)
        return JSONResponse({"jobs": counts, "paused": paused, "slots": tell_slots(self.studio)})

    async def pause(self, request: Request) -> Response:
        """Begin nothing more until `resume`, after a restart too. What is painted is finished."""
        await asyncio.to_thread(self.studio.line.pause, True)
        return await self.queue(request)

    async def resume(self, request: Request) -> Response:
        """Go on."""
        await asyncio.to_thread(self.studio.line.pause, False)
        return await self.queue(request)

    async def change(self, request: Request) -> Response:
        """Give a job that waits another `priority`: urgent, high, normal or low. Or another `place`
        among its owner's that wait in its class: first, last, or {"before": id}."""
        job_id, line = request.path_params["id"], self.studio.line
        match await read_object(request):
            case {"priority": rank, **more} if not more and rank in get_args(Priority):
                await asyncio.to_thread(line.reprioritise, job_id, cast(Priority, rank))
            case {"place": "first" | "last" as end, **more} if not more:
                await asyncio.to_thread(line.move, job_id, cast(Place, end))
            case {"place": {"before": str(other), **rest}, **more} if not (more or rest):
                await asyncio.to_thread(line.move, job_id, Before(other))
            case body:
                raise _no_change(body)
        return JSONResponse(tell_job(await asyncio.to_thread(self.studio.line.view, job_id)))

    @asks("limit", "before")
    async def history(self, request: Request) -> Response:
        """The newest pictures; `limit`, and `before` with the `next` of the last answer."""
        limit = number(request.query_params, "limit", 50, 1, 200)
        pictures = await asyncio.to_thread(
            self.studio.store.pictures, limit=limit, before=request.query_params.get("before")
        )
        following = pictures[-1].id if len(pictures) == limit else None
        told = [tell_picture(picture) for picture in pictures]
        return JSONResponse({"pictures": told, "next": following})

    async def rerun(self, request: Request) -> Response:
        """Paint a picture again exactly, or with {"model": name} on that one where it is another
        tool's. `rerun` of the job says at its end what came of it."""
        picture, key = request.path_params["id"], key_of(request)
        fields = await read_object(request) if await request.body() else {}
        model = fields.pop("model", "")
        if fields or not isinstance(model, str):
            raise Refused("A rerun takes a model, by its name, and nothing else.", field="model")
        job = await asyncio.to_thread(self.studio.line.rerun, picture, model=model, key=key)
        return await self._accepted(job)

    @asks("with")
    async def compare(self, request: Request) -> Response:
        """How far a picture is from another, `with`, and what their recipes say otherwise."""
        was = request.query_params.get("with")
        if not was:
            raise Refused("with: name the picture to compare with, by its id.", field="with")
        store = self.studio.store
        now = await asyncio.to_thread(store.picture, request.path_params["id"])
        return JSONResponse(tell_comparison(await self._in_turn(compare_with, store, now, was)))

    async def _in_turn(self, act: Callable[..., Found], *given: object) -> Found:
        """What may take seconds, and must not take the threads of those who look on."""
        here = asyncio.get_running_loop()
        return await here.run_in_executor(self._patient, act, *given)

    async def upscale(self, request: Request) -> Response:
        """Enlarge a `picture` of the history by its id, or an `image`, 2 or 4 `times`, as a job."""
        fields = await read_object(request)
        key = key_of(request)
        job = await asyncio.to_thread(enlarge, self.studio.line, fields, key=key)
        told = tell_job(await asyncio.to_thread(self.studio.line.view, job.id))
        return JSONResponse(told, 202, {"Location": f"/api/jobs/{job.id}"})

    async def health(self, request: Request) -> Response:
        """That the studio answers, with its slots, its line, its models, and when it was tidied."""
        return JSONResponse(
            {
                "status": "read only" if self.studio.store.reading else "ok",
                "jobs": await asyncio.to_thread(self.studio.store.counts),
                "slots": tell_slots(self.studio),
                "models": await asyncio.to_thread(tell_models, self.studio),
                "tidied": await asyncio.to_thread(_tidied, self.studio),
            }
        )

    async def ready(self, request: Request) -> Response:
        """200 once a slot can paint, 503 before."""
        slots = tell_slots(self.studio)
        if any(slot["state"] in ("idle", "resting", "painting", "saving") for slot in slots):
            return JSONResponse({"ready": True})
        why = "; ".join(f"{slot['name']}: {slot['reason']}" for slot in slots) or "there are none"
        if self.studio.store.reading:
            why = self.studio.store.reading.rstrip(".")
        return error_response(503, "not_ready", f"No slot is ready. {why}.")

    async def _accepted(self, *jobs: Job) -> Response:
        first = jobs[0].id
        told = tell_job(await asyncio.to_thread(self.studio.line.view, first))
        told["jobs"] = [job.id for job in jobs]
        return JSONResponse(told, 202, {"Location": f"/api/jobs/{first}"})

    def _painted(self, views: Sequence[View], lost: Sequence[str]) -> Told:
        pictures = [picture for view in views for picture in view.pictures]
        first, job = pictures[0], views[0].job
        return {
            "success": True,
            "image": self._data_url(first),
            "image_url": f"/pictures/{first.id}",
            "images": [tell_picture(picture) for picture in pictures],
            "seed": first.seed,
            "width": first.width,
            "height": first.height,
            "model": job.model,
            "generation_time": _seconds(*views),
            "slot": job.slot,
            "job_id": job.id,
            "jobs": [view.job.id for view in views],
            "warnings": warnings_of(views, lost),
        }

    def _data_url(self, picture: Picture) -> str:
        data = given_out(self.studio.store, picture, self.studio.settings.metadata)
        return f"data:image/{picture.format};base64,{base64.b64encode(data).decode()}"


async def _unknown(request: Request) -> Response:
    raise NotFound(f"There is no {request.method} {request.url.path[:200]} here; see /docs.")


def _batch(body: Mapping[str, object]) -> Sequence[dict[str, object]]:
    shared = {name: value for name, value in body.items() if name != "prompts"}
    prompts = body.get("prompts")
    if not isinstance(prompts, list) or not prompts:
        raise Refused("prompts: give a list of at least one {prompt}.", field="prompts")
    if len(prompts) > MOST_PROMPTS:
        sentence = f"prompts: {len(prompts)} is too many at once; the most is {MOST_PROMPTS}."
        raise Refused(sentence, field="prompts")
    for index, one in enumerate(prompts):
        if not isinstance(one, dict):
            field = f"prompts.{index}"
            raise Refused(f"{field}: each prompt is an object with a prompt in it.", field=field)
    return [shared | one for one in prompts]


def _result(index: int, view: View) -> Told:
    job = view.job
    told: Told = {
        "index": index,
        "success": job.state == "done" and bool(view.pictures),
        "prompt": job.request["prompt"],
        "filename": job.request.get("filename"),
        "job_id": job.id,
        "slot": job.slot,
        "generation_time": _seconds(view),
        "warnings": list(job.warnings),
    }
    if job.state != "done" or not view.pictures:
        code = job.error_code or job.state
        return told | {"error": {"code": code, "message": view.words, "field": None}}
    first = view.pictures[0]
    return told | {
        "image_url": f"/pictures/{first.id}",
        "images": [tell_picture(picture) for picture in view.pictures],
        "seed": first.seed,
        "width": first.width,
        "height": first.height,
    }


def _seconds(*views: View) -> float:
    """From the moment a slot took the first until the last picture was kept."""
    started = [view.job.started_at for view in views if view.job.started_at]
    finished = [view.job.finished_at for view in views if view.job.finished_at]
    return round(max(finished) - min(started), 3) if started and finished else 0.0


def _tidied(studio: Studio) -> Told | None:
    done = last_tidied(studio.settings.data)
    return asdict(done) if done else None


def _no_change(body: Mapping[str, object]) -> Refused:
    if "place" in body:
        sentence = 'place: give "first", "last" or {"before": the id of another}, and nothing else.'
        return Refused(sentence, field="place")
    known = ", ".join(get_args(Priority))
    return Refused(
        f"priority: give one of {known}, and nothing else; or a place.", field="priority"
    )
