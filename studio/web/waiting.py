"""Waiting for jobs on behalf of someone who may hang up: an HTTP client or a Gradio event.

Who hangs up before the work began gets it cancelled; what has begun is finished and kept.
"""

import asyncio
from collections.abc import Mapping, Sequence

from starlette.requests import Request

from studio.errors import Conflict, DarkroomError, NotFound, Refused
from studio.jobs.line import Line
from studio.jobs.view import View
from studio.web.asking import ask

SHOWN = 60  # letters of a prompt in a sentence


class Gone(DarkroomError):
    """Nobody is there to read this."""

    status = 499
    code = "gone"


class NotPainted(DarkroomError):
    code = "failed"


def key_of(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key == "":
        raise Refused("Idempotency-Key: it is empty; give one, or none.", field="Idempotency-Key")
    return key


class Withheld(NotPainted):
    """Not the studio's fault: asked again, it would say the same again."""

    status = 422


async def paint(line: Line, wishes: Sequence[Mapping[str, object]], request: Request) -> list[View]:
    """The final views of these wishes. The same Idempotency-Key waits for the same jobs.

    Or Gone when the client hung up first. One with a key may come back for what it began.
    """
    key = key_of(request)
    jobs = [job.id for job in await asyncio.to_thread(ask, line, wishes, key=key)]
    ends = ended(line, jobs)
    hung_up = asyncio.ensure_future(_hung_up(request))
    await asyncio.wait((ends, hung_up), return_when=asyncio.FIRST_COMPLETED)
    hung_up.cancel()
    if ends.done():
        return ends.result()
    ends.cancel()
    if key is None:
        await asyncio.to_thread(give_up, line, jobs)
    raise Gone("The client hung up.")


def ended(line: Line, jobs: Sequence[str]) -> asyncio.Task[list[View]]:
    """A task, since a gathering that is cancelled logs that nobody heard of it."""

    async def all_of_them() -> list[View]:
        return await asyncio.gather(*(line.ended(job) for job in jobs))

    return asyncio.create_task(all_of_them())


def give_up(line: Line, jobs: Sequence[str]) -> None:
    for job in jobs:
        try:
            if line.view(job).job.state == "queued":
                line.cancel(job)
        except NotFound:
            continue


def painted(view: View) -> View:
    """The view of a job that is done; any other end is raised as its sentence."""
    if view.job.state == "cancelled":
        raise Conflict("The job was cancelled.")
    if view.job.state == "failed":
        asked_for = view.job.error_code in ("unsafe", "precision")
        error = Withheld(view.words) if asked_for else NotPainted(view.words)
        error.code = view.job.error_code or error.code
        raise error
    if not view.pictures:
        raise Conflict("It was painted, and its pictures were deleted since.")
    return view


def those_painted(views: Sequence[View]) -> tuple[list[View], list[str]]:
    """Of a wish that became several jobs: those that are done, and what became of the others.
    Where none is done, its end is raised as its sentence."""
    done = [view for view in views if view.pictures] or [painted(views[0])]
    lost = [view for view in views if not view.pictures]
    said = [f"{view.job.request['prompt'][:SHOWN]!r} is missing: {view.words}" for view in lost]
    return done, said


def warnings_of(views: Sequence[View], lost: Sequence[str] = ()) -> list[str]:
    """Each once."""
    return list(dict.fromkeys((*lost, *(said for view in views for said in view.job.warnings))))


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
