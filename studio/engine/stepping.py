"""A diffusers pipeline call with a word after each step, and no decoding at its end.

Everything stays in the calling thread. A second one would bring a second team of OpenMP threads:
on two cores that made the steps more than twice as slow.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch

AfterStep = Callable[[int, torch.Tensor], None]
Change = Callable[[torch.Tensor], torch.Tensor]


def run_steps(
    pipeline: Any, arguments: dict[str, Any], after_step: AfterStep, change: Change | None = None
) -> torch.Tensor:
    """The final latents. `after_step` gets the count of finished steps and the latents so far,
    as `change` made them.

    What it raises unwinds the pipeline at once, which is how a picture is stopped.
    """

    def callback(_: Any, index: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        latents = change(tensors["latents"]) if change else tensors["latents"]
        after_step(index + 1, latents)
        return {"latents": latents} if change else {}

    def older(index: int, _: Any, latents: torch.Tensor) -> None:
        after_step(index + 1, latents)

    if "callback_on_step_end" in inspect.signature(pipeline.__call__).parameters:
        called_back: dict[str, Any] = {"callback_on_step_end": callback}
        called_back["callback_on_step_end_tensor_inputs"] = ["latents"]
    else:
        called_back = {"callback": older, "callback_steps": 1}
    try:
        called = pipeline(**arguments, output_type="latent", return_dict=False, **called_back)
    except BaseException:
        pipeline.maybe_free_model_hooks()  # it does so itself only where nothing is raised
        raise
    # Not every pipeline wraps what it returns.
    latents: torch.Tensor = called if isinstance(called, torch.Tensor) else called[0]
    return latents
