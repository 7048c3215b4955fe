"""Painting from a start image: a stock image-to-image pipeline over the weights that are loaded.

Outside a mask the latents are set back, after each step, to those of the start image with the noise
that is left. So every such pipeline paints inside a mask, whatever its network was taught.
"""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from torch.nn.functional import adaptive_max_pool2d

from studio.engine.stepping import AfterStep, run_steps
from studio.request import ImageRequest

MARGIN = 0.01  # of a step
Pack = Callable[[torch.Tensor], torch.Tensor]


def strength(request: ImageRequest, margin: float) -> float:
    """With which a pipeline takes just as many steps as were promised. Some count those to do, and
    some those that are left out, and both round down."""
    assert request.steps
    taken = request.steps_taken()
    return 1.0 if taken == request.steps else (taken + margin) / request.steps


def pixels_of(image: Image.Image) -> torch.Tensor:
    """From -1 to 1."""
    array = np.asarray(image, np.float32) / 127.5 - 1
    return torch.from_numpy(array).permute(2, 0, 1)[None].contiguous()


def greys_of(mask: Image.Image) -> torch.Tensor:
    """From 0 to 1."""
    return torch.from_numpy(np.asarray(mask, np.float32) / 255)[None, None]


def cells_of(mask: Image.Image, latents: torch.Tensor) -> torch.Tensor:
    """The brightest of the mask that each latent covers."""
    return adaptive_max_pool2d(greys_of(mask), latents.shape[-2:])


def begin(
    pipeline: Any, look: Pack, start: Image.Image, free: Image.Image | None
) -> dict[str, torch.Tensor]:
    """A start image as latents, by `look`, and its mask as a number for each."""
    pipeline.maybe_free_model_hooks()  # of what read the words
    latents = look(pixels_of(start))
    pipeline.maybe_free_model_hooks()
    return {"start": latents} | ({} if free is None else {"free": cells_of(free, latents)})


def another_way(pipeline: Any, kind: Any) -> Any:
    """A pipeline of another kind with the same parts, wherever they lie."""
    parts, options = kind._get_signature_keys(kind)
    given = {name: part for name, part in pipeline.components.items() if name in parts}
    given |= {name: pipeline.config[name] for name in options if name in pipeline.config}
    way = kind(**given)
    way._exclude_from_cpu_offload = pipeline._exclude_from_cpu_offload
    way.maybe_free_model_hooks = pipeline.maybe_free_model_hooks  # the parts are moved by its hooks
    way.set_progress_bar_config(disable=True)
    return way


def redraw(
    pipeline: Any,
    arguments: dict[str, Any],
    start: torch.Tensor,
    mask: torch.Tensor | None,
    after_step: AfterStep,
    pack: Pack,
) -> torch.Tensor:
    """`start` are latents, `mask` a number for each; `pack` lays out as the network has them."""
    pipeline.image_processor = VaeImageProcessor(vae_latent_channels=start.shape[1])
    noise = _Noise(pipeline.scheduler, forget=arguments["strength"] == 1)

    def held(latents: torch.Tensor) -> torch.Tensor:
        noise.steps += 1
        if mask is None:
            return latents
        origin = noise.left()
        free = mask.to(origin) if origin.ndim == mask.ndim else mask.to(origin)[:, None]
        free, origin = pack(free.expand_as(origin)), pack(origin)
        return (free * latents + (1 - free) * origin).to(latents.dtype)

    with noise:
        return run_steps(pipeline, arguments | {"image": start}, after_step, held)


class _Noise:
    """Hears which noise the pipeline draws, and puts it on the start image again, step by step.

    What is to be forgotten is not under it from the first.
    """

    def __init__(self, scheduler: Any, *, forget: bool) -> None:
        self.steps = 0  # taken so far
        self._scheduler, self._forget = scheduler, forget
        self._flows = hasattr(scheduler, "scale_noise")
        self._put_on = scheduler.scale_noise if self._flows else scheduler.add_noise

    def __enter__(self) -> None:
        setattr(self._scheduler, "scale_noise" if self._flows else "add_noise", self._begin)

    def __exit__(self, *_: object) -> None:
        delattr(self._scheduler, "scale_noise" if self._flows else "add_noise")

    def _begin(self, start: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        timestep, noise = rest if self._flows else rest[::-1]
        self._start, self._noise = start, noise
        places = (self._scheduler.timesteps == timestep[0]).nonzero()
        self._left = self._scheduler.timesteps[int(places[0]) + 1 :]
        if self._forget:
            return noise * getattr(self._scheduler, "init_noise_sigma", 1.0)
        return self._noised(timestep)

    def left(self) -> torch.Tensor:
        """The start image with the noise that is left now."""
        if self.steps > len(self._left):
            return self._start
        return self._noised(self._left[self.steps - 1 : self.steps])

    def _noised(self, timestep: torch.Tensor) -> torch.Tensor:
        rest = (timestep, self._noise) if self._flows else (self._noise, timestep)
        noised: torch.Tensor = self._put_on(self._start, *rest)
        return noised
