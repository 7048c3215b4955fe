"""How a job is painted: load, words, steps, pixels, files, told as messages while it happens.

Whoever listens decides whether it goes on: what `tell` raises stops the picture where it stands.
It knows no queue and no process.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from studio.catalog import ModelCard
from studio.engine.encode import encode, thumbnail, to_image
from studio.engine.preview import Previews
from studio.engine.residents import Residents
from studio.engine.stepping import run_steps
from studio.formats.metadata import parameters_text, recipe_text
from studio.messages import Loading, Paint, Painted, Picture, Progress
from studio.request import ImageRequest, read_request

Tell = Callable[[Loading | Progress], None]


def paint(message: Paint, residents: Residents, previews: bool, tell: Tell) -> Painted:
    """Pictures are painted one after another, so that none depends on how many were asked for."""
    clock, sketches = _Clock(), Previews(previews)
    request = read_request(message.request)
    card = ModelCard.model_validate(message.card)
    key = residents.key(card, message.folder, request.precision)
    if key not in residents:
        tell(Loading(message.job, message.token, f"loading {card.title}"))
    with clock.part("load"):
        painter = residents.get(card, key)
    tell(_progress(message, request, 0, 0))  # nothing is done yet, but a cancel is heard here
    with clock.part("encode"):
        recipe = _recipe(message, request, painter.take_sampler(request.sampler or ""))
        arguments = painter.family.condition(request) | painter.family.arguments(request)
    pictures: list[Picture] = []
    warnings: dict[str, None] = {}
    for index, seed in enumerate(request.seeds()):

        def after_step(number: int, latents: torch.Tensor, index: int = index) -> None:
            last = number == request.steps  # the picture itself follows at once
            sketch = b"" if last else sketches.of(painter.family, latents)
            tell(_progress(message, request, index, number, sketch))

        arguments["generator"] = torch.Generator("cpu").manual_seed(seed)
        with clock.part("steps"):
            latents = run_steps(painter.family.pipeline, arguments, after_step)
        with clock.part("decode"):
            image = to_image(painter.family.decode(latents))
        with clock.part("save"):
            parameters = parameters_text(request, card, recipe["fingerprint"], seed)
            own = recipe_text({**recipe, "seed": seed, "index": index})
            data, lost = encode(image, request.output_format, parameters, own)
            thumb = thumbnail(image)
        pictures.append(Picture(index, seed, *image.size, request.output_format, data, thumb))
        warnings |= dict.fromkeys(lost)
    return Painted(
        message.job, message.token, tuple(pictures), recipe, clock.seconds(), tuple(warnings)
    )


def _progress(
    message: Paint, request: ImageRequest, index: int, step: int, preview: bytes = b""
) -> Progress:
    return Progress(message.job, message.token, index, step, request.steps or 0, preview)


def _recipe(message: Paint, request: ImageRequest, fingerprint: dict[str, Any]) -> dict[str, Any]:
    """What is needed to paint it again, and what the person wrote where settling changed it."""
    settled = request.model_dump(mode="json")
    wished = {
        name: message.wish[name]
        for name in ("prompt", "negative_prompt", "look")
        if name in message.wish and message.wish[name] != settled[name]
    }
    return {
        "version": 1,
        "request": settled,
        "wish": wished,
        "fingerprint": fingerprint,
        "warnings": list(message.warnings),
    }


class _Clock:
    """Seconds by stage, added up over the pictures of a job."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._parts = dict.fromkeys(("load", "encode", "steps", "decode", "save"), 0.0)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self._parts[name] += time.perf_counter() - start

    def seconds(self) -> dict[str, float]:
        return {**self._parts, "total": time.perf_counter() - self._start}
