"""A diffusers pipeline call with a word after each step, and no decoding at its end.

Everything stays in the calling thread. A second one would bring a second team of OpenMP threads:
on two cores that made the steps more than twice as slow.
"""

from collections.abc import Callable
from typing import Any

import torch

AfterStep = Callable[[int, torch.Tensor], None]


def run_steps(pipeline: Any, arguments: dict[str, Any], after_step: AfterStep) -> torch.Tensor:
    """The final latents. `after_step` gets the count of finished steps and the latents so far.

    What it raises unwinds the pipeline at once, which is how a picture is stopped.
    """

    def callback(_: Any, index: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        after_step(index + 1, tensors["latents"])
        return {}

    try:
        called = pipeline(
            **arguments,
            output_type="latent",
            return_dict=False,
            callback_on_step_end=callback,
            callback_on_step_end_tensor_inputs=["latents"],
        )
    except BaseException:
        pipeline.maybe_free_model_hooks()  # it does so itself only where nothing is raised
        raise
    latents: torch.Tensor = called[0]
    return latents
