"""Compiled by region where the plan lets it; painted without where that fails, and it says so.

That what is compiled paints the same is tried on a card: a CPU takes half a minute to compile.
"""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock
from PIL import Image

from studio.engine.compiling import compile_blocks
from studio.engine.ladder import Ladder
from studio.engine.plan import Plan
from studio.engine.residents import Residents
from studio.messages import Painted
from tests.engine.conftest import NUMPY_COPY, Job
from tests.engine.test_families import CARDS

pytestmark = [NUMPY_COPY, pytest.mark.filterwarnings("ignore")]  # the compiler's own
PLAN = Plan("cpu", "fp32", "fp32", "none", False, "fp32 on a CPU")


def pixels(painted: Painted) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(painted.pictures[0].data)), np.int16)


def painted(residents: Residents, job: Job, **fields: Any) -> Painted:
    return Ladder(residents).paint(job(**fields), False, lambda word: None)


def test_what_cannot_be_compiled_is_painted_without_and_says_so(
    models: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that dynamo refuses, as it does with what a graph cannot hold."""
    torch.compiler.reset()
    usual = painted(Residents("cpu", models, "auto"), job)
    forward = BasicTransformerBlock.forward

    def unsupported(block: Any, *given: Any, **named: Any) -> Any:
        torch._dynamo.graph_break()
        return forward(block, *given, **named)

    monkeypatch.setattr(BasicTransformerBlock, "forward", unsupported)
    residents = Residents("cpu", models, "auto", compiled=True)
    fallen = painted(residents, job)
    assert len(fallen.warnings) == 1
    assert "compiling failed (" in fallen.warnings[0]
    assert "so it was painted without" in fallen.warnings[0]
    assert fallen.recipe["fingerprint"]["compiled"] is False
    assert np.array_equal(pixels(fallen), pixels(usual))
    assert painted(residents, job).warnings == ()  # it is not tried again


def test_an_error_of_a_compiler_where_nothing_was_compiled_ends_the_picture(
    models: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library's own kernels may fail so; to paint again would end in the same for ever."""

    def fail(block: Any, *given: Any, **named: Any) -> Any:
        raise torch._dynamo.exc.TorchRuntimeError("no such kernel")

    monkeypatch.setattr(BasicTransformerBlock, "forward", fail)
    with pytest.raises(torch._dynamo.exc.TorchRuntimeError):
        painted(Residents("cpu", models, "auto"), job)


@pytest.mark.parametrize(
    ("card", "plan", "why"),
    [
        ("pixart-sigma", PLAN, "PixArtTransformer2DModel names no blocks that repeat"),
        ("flux-schnell", replace(PLAN, quant="fp8"), "its weights are stored in fp8"),
        ("flux-schnell", replace(PLAN, spread=True), "its layers move between devices"),
        ("flux-schnell", replace(PLAN, offload="sequential"), "its layers move between devices"),
    ],
)
def test_where_nothing_is_compiled_the_plan_says_why(card: str, plan: Plan, why: str) -> None:
    pipeline = CARDS[card].build(card)
    done = compile_blocks(pipeline, plan)
    assert not done.compiled
    assert done.reason == f"fp32 on a CPU; not compiled: {why}"
