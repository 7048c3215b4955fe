"""A job or a picture as a frame: which words, which bar, which recipe. What it looks like is HTML.

Pure: everything it says comes from the rows it is given.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from studio.jobs.view import View
from studio.models.enlarge import alone
from studio.store.rows import Job, Picture
from studio.web import frame
from studio.web.frame import Frame
from studio.web.pace import share

RECIPE = ("prompt", "negative_prompt", "model", "steps", "guidance", "sampler", "precision")
ENLARGED = ("prompt", "enlarged_from")  # all that is to be said of what was not painted here


def unfinished(view: View, after: int, left: float | None, passable: bool) -> Frame:
    """A job that waits, is painted, or came to nothing. `after` more of the same page follow it;
    one that is `passable` waits and could be moved forward."""
    job = view.job
    size = (int(job.request["width"]), int(job.request["height"]))
    if view.final:
        end = "Stopped. Nothing of it was kept." if job.state == "cancelled" else view.words
        return Frame("sorry", size, words=end, notes=job.warnings)
    words = [view.words]
    words += [f"about {seconds(max(1, round(left)))} left"] if left else []
    words += [f"{after} more of yours after it"] if after else []
    return Frame(
        "live",
        size,
        source=frame.preview_source(view.live.preview),
        alt="the picture while it develops",
        words=" · ".join(words),
        done=share(view),
        follow="" if view.place else job.id,
        notes=job.warnings,
        acts=frame.acts_of_waiting(job.id) if passable else "",
        many=job.request["count"] > 1,
    )


def still(
    view: View,
    one: Picture,
    title: str,
    *,
    back: bool,
    enlarge: Sequence[int] = (),
    words: Mapping[str, str] = frame.WAYS,
) -> Frame:
    """One finished picture among those painted with it; `back` leads to what was there before."""
    job, pictures = view.job, view.pictures
    line = [title, f"{one.width} × {one.height}"]
    if alone(job.request):
        line.append(f"{job.request['upscale']}× by {job.request['upscaler']}")
    else:
        line += [] if one.known_seed is None else [f"seed {one.seed}"]
        line += [f"{job.request['steps']} steps"] if job.request["steps"] else []
    if tool := one.recipe.get("imported", {}).get("tool"):
        line.append(f"brought, from {tool}")
    elif "imported" in one.recipe:
        line.append("brought")
    elif job.started_at and job.finished_at:
        line.append(seconds(job.finished_at - job.started_at))
    return Frame(
        "still",
        (one.width, one.height),
        source=f"/pictures/{one.id}",
        alt=one.prompt,
        words=f"Painted again: {view.rerun.words}." if view.rerun else "",
        thumbs=frame.thumbs(pictures, one.id) if len(pictures) > 1 else "",
        recipe=frame.recipe(line, _facts(job, one)),
        notes=job.warnings,
        acts=frame.acts(
            one,
            back=back,
            ways={way: words[way] for way in _ways(job)},
            enlarge=enlarge,
            among=len(pictures),
        ),
        many=len(pictures) > 1,
    )


def _ways(job: Job) -> tuple[str, ...]:
    """To another picture like it. What was only enlarged leads back to what was painted."""
    if alone(job.request):
        return ("reuse", "begin") if job.request["enlarged_from"] else ("begin",)
    told = not job.elsewhere or job.request["prompt"]
    return ("reuse", "begin", "rerun") if told else ("begin", "rerun")


def seconds(number: float) -> str:
    if number < 10 and isinstance(number, float):
        return f"{number:.1f} s"
    return f"{number:.0f} s" if number < 120 else f"{number / 60:.0f} min"


def _worn(use: Mapping[str, Any], picture: Picture) -> str:
    """`ink 0.8 (264 of 264 layers)`"""
    own = use.get("components") or {}
    words = f"{use['name']} {use['weight']:g}"
    words += "".join(f", {weight:g} in {part}" for part, weight in own.items())
    for mark in picture.recipe.get("fingerprint", {}).get("loras", ()):
        if mark["name"] == use["name"] and "layers" in mark:
            kind = f"{mark['kind']}, " if "kind" in mark else ""
            words += f" ({kind}{mark['fitting']} of {mark['layers']} layers)"
    return words


def _facts(job: Job, picture: Picture) -> dict[str, object]:
    """What painted the picture, in one flat list; the file itself holds the rest."""
    names = ENLARGED if alone(job.request) else RECIPE
    facts = {
        name.replace("_", " "): job.request[name]
        for name in names
        if job.request[name] not in ("", None)
    }
    if job.wish["prompt"] != job.request["prompt"]:
        facts["you wrote"] = job.wish["prompt"]
    if job.wish.get("look"):
        facts["looks"] = job.wish["look"]
    if job.request["loras"]:
        facts["LoRAs"] = ", ".join(_worn(use, picture) for use in job.request["loras"])
    if job.request["upscale"] != 1:
        facts["enlarged"] = f"{job.request['upscale']}×"
    facts |= {} if picture.known_seed is None else {"seed": picture.seed}
    facts |= {"brought as": brought["file"]} if (brought := picture.recipe.get("imported")) else {}
    facts |= {"size": f"{picture.width} × {picture.height}"}
    for name, value in picture.recipe.get("fingerprint", {}).items():
        if isinstance(value, str | int | float) and value is not False:  # what was not done
            facts[name.replace("_", " ")] = "yes" if value is True else value
    facts |= {"file": picture.path, "sha256": picture.sha256, "job": job.id}
    return {
        name: f"{value:g}" if isinstance(value, float) else value for name, value in facts.items()
    }
