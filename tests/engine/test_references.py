"""References that are looked at once: what klein KV keeps of its first step."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from PIL import Image

from studio.wishes.catalog import Catalog
from tests.engine.conftest import handed
from tests.engine.test_families import CARDS, STEPS, Atelier
from tests.engine.test_families import pytestmark as quiet

pytestmark = quiet
SIDE = 96


@pytest.fixture(params=["flux2-klein-9b", "flux2-klein-9b-kv"])
def atelier(
    request: pytest.FixtureRequest,
    catalog: Catalog,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Atelier]:
    name = request.param
    yield Atelier(catalog.cards[name], tmp_path_factory.mktemp(name), CARDS[name])


def tokens_of_each_step(atelier: Atelier, *images: Image.Image) -> list[int]:
    """Rows of latents that the transformer is given."""
    seen: list[int] = []
    job = atelier.job(images=images, references=[{"id": name} for name in handed(*images)[0]])
    residents = atelier.residents
    painter = residents.get(atelier.card, residents.key(atelier.card, job.folder, "auto"))

    def look(_: Any, given: tuple[Any, ...], named: dict[str, torch.Tensor]) -> None:
        seen.append(named["hidden_states"].shape[1])

    hook = painter.family.pipeline.transformer.register_forward_pre_hook(look, with_kwargs=True)
    try:
        atelier.paint(images=images, references=[{"id": name} for name in handed(*images)[0]])
    finally:
        hook.remove()
    return seen


def test_references_are_read_at_every_step_or_in_the_first_alone(atelier: Atelier) -> None:
    images = [Image.new("RGB", (SIDE, SIDE), colour) for colour in ("red", "blue")]
    own, *_ = tokens_of_each_step(atelier)
    two = 2 * (SIDE // 16) ** 2
    steps = tokens_of_each_step(atelier, *images)
    again = own if atelier.card.name.endswith("-kv") else own + two
    assert steps == [own + two, *[again] * (STEPS - 1)]
