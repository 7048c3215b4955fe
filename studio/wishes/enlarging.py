"""Enlarging alone: a model that keeps its start image, so that the line has one kind of job.

It has no weights of its own; what it does is done by an upscaler. `Catalog.settle` comes here with
a wish for it.
"""

from collections.abc import Mapping, Sequence

from studio.canvas import Input
from studio.errors import Refused
from studio.models.card import ModelCard
from studio.models.upscalers import Upscaler, choose, say
from studio.request import ImageRequest

TIMES = 4  # if none says
# What a wish may say beside what is enlarged, and how.
HEARD = {
    *("version", "model", "prompt", "start_image", "enlarged_from", "upscale", "upscaler"),
    *("output_format", "seed", "tags", "filename", "owner", "priority", "upload_urls"),
}


def settle(
    wish: ImageRequest,
    card: ModelCard,
    inputs: Mapping[str, Input],
    upscalers: Sequence[Upscaler] | None,
    most: int,
) -> tuple[dict[str, object], list[str]]:
    """The fields of the settled request, and what there is to say."""
    if wish.start_image is None:
        raise Refused("start_image: enlarging needs a picture. Give one.", field="start_image")
    start, times = inputs[wish.start_image], wish.upscale or TIMES
    if times == 1:
        raise Refused("upscale: 1 leaves the picture as it is. Give 2 or 4.", field="upscale")
    side = max(start.width, start.height)
    if side * times > most:
        raise Refused(
            f"upscale: {side} pixels enlarged {times} times are {side * times}; "
            f"the most is {most}.",
            field="upscale",
        )
    name, said = wish.upscaler, list[str]()
    if upscalers is not None:
        chosen = choose(wish.upscaler, card.upscaler, times, upscalers).card
        name, said = chosen.name, say(chosen, times)
    whole = {field: getattr(wish, field) for field in HEARD} | {
        "width": start.width,
        "height": start.height,
        "seed": wish.seed or 0,
        "steps": card.steps,
        "strength": 0.0,  # the start image is kept
        "guidance": card.guidance,
        "sampler": card.samplers[0].name,
        "upscale": times,
        "upscaler": name,
        "expand": "no",
        "nth": None,
    }
    unheard = [
        field
        for field, value in wish.model_dump().items()
        if value not in (ImageRequest.model_fields[field].default, whole.get(field))
        and field not in HEARD
    ]
    if unheard:
        said.append(f"Nothing is painted, so these have no effect: {', '.join(unheard)}.")
    return whole, said
