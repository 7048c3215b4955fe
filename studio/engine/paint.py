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
from studio.engine.loras import marks
from studio.engine.preview import Previews
from studio.engine.residents import Residents
from studio.engine.stepping import run_steps
from studio.formats.metadata import parameters_text, recipe_text
from studio.messages import Loading, Paint, Painted, Picture, Progress
from studio.request import ImageRequest, read_request

Tell = Callable[[Loading | Progress], None]


def paint(
    message: Paint, residents: Residents, previews: bool, tell: Tell, notes: tuple[str, ...] = ()
) -> Painted:
    """Pictures are painted one after another, so that none depends on how many were asked for.

    `notes` say what was done about it before.
    """
    clock, sketches = _Clock(), Previews(previews)
    request = read_request(message.request)
    card = ModelCard.model_validate(message.card)
    key = residents.key(card, message.folder, request.precision)

    def progress(index: int, step: int, preview: bytes = b"", stage: str = "") -> None:
        steps = request.steps or 0
        tell(Progress(message.job, message.token, index, step, steps, preview, stage))

    if key not in residents:
        tell(Loading(message.job, message.token, f"loading {card.title}"))
    with clock.part("load"):
        painter = residents.get(card, key)
        partial = painter.loras.wear(request.loras, message.loras)
        upscaler = residents.upscaler(message.upscaler, painter.plan.device)
    progress(0, 0)  # nothing is done yet, but a cancel is heard here
    with clock.part("encode"):
        recipe = _recipe(message, request, painter.take_sampler(request.sampler or ""))
        recipe["fingerprint"] |= upscaler.marks if upscaler else {}
        if used := marks(request.loras, message.loras):
            recipe["fingerprint"]["loras"] = used
        recipe["warnings"] += [*partial, *notes]
        arguments = painter.family.condition(request) | painter.family.arguments(request)
    pictures: list[Picture] = []
    warnings = dict.fromkeys([*partial, *notes])
    for index, seed in enumerate(request.seeds()):

        def after_step(number: int, latents: torch.Tensor, index: int = index) -> None:
            last = number == request.steps  # the picture itself follows at once
            sketch = b"" if last else sketches.of(painter.family, latents)
            progress(index, number, sketch)

        arguments["generator"] = torch.Generator("cpu").manual_seed(seed)
        with clock.part("steps"):
            latents = run_steps(painter.family.pipeline, arguments, after_step)
        with clock.part("decode"):
            image = to_image(painter.family.decode(latents))
        if upscaler:

            def before_tile(done: int, tiles: int, index: int = index) -> None:
                part = f", part {done + 1} of {tiles}" if tiles > 1 else ""
                progress(index, request.steps or 0, stage=f"enlarging{part}")

            with clock.part("upscale"):
                image = upscaler.enlarge(image, request.upscale or 1, before_tile)
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
        self._parts = dict.fromkeys(("load", "encode", "steps", "decode", "upscale", "save"), 0.0)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self._parts[name] += time.perf_counter() - start

    def seconds(self) -> dict[str, float]:
        return {**self._parts, "total": time.perf_counter() - self._start}
