"""Pictures larger than a model was taught: it is said, and memory is looked after."""

from pathlib import Path

import pytest
import torch

from studio.engine.tiles import decode
from studio.errors import Refused
from studio.models.memory import picture_gb
from studio.request import read_request
from studio.wishes.catalog import Catalog
from tests.engine.conftest import NUMPY_COPY
from tests.engine.test_families import Atelier
from tests.engine.tiny import pixart

pytestmark = [
    NUMPY_COPY,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.mark.parametrize(
    ("model", "width", "height", "said"),
    [
        ("pixart-sigma", 4096, 4096, "more than 16 times as long"),
        ("pixart-sigma", 2048, 1024, ""),
        ("sdxl", 2048, 2048, ""),
    ],
)
def test_what_to_expect_beyond_what_it_was_taught_is_said(
    catalog: Catalog, model: str, width: int, height: int, said: str
) -> None:
    wish = {"model": model, "prompt": "a boat", "width": width, "height": height}
    settled = catalog.settle(read_request(wish))
    assert (settled.request.width, settled.request.height) == (width, height)
    beyond = [warning for warning in settled.warnings if "taught" in warning]
    assert len(beyond) == bool(said)
    assert said in "".join(beyond)


def test_between_its_steps_nothing_is_painted(catalog: Catalog) -> None:
    wish = {"model": "pixart-sigma", "prompt": "a boat", "width": 4088, "height": 4096}
    with pytest.raises(Refused, match="not a multiple of 16"):
        catalog.settle(read_request(wish))


def test_a_picture_takes_memory_by_its_pixels(catalog: Catalog) -> None:
    card = catalog.cards["pixart-sigma"]
    usual = picture_gb(card, "bf16", 1024 * 1024)
    assert usual == pytest.approx(card.memory_gb - sum(card.weights.values()))
    assert picture_gb(card, "bf16", 4096 * 4096) == pytest.approx(16 * usual)
    assert picture_gb(card, "bf16", 512 * 512) == usual


def test_a_large_one_is_decoded_in_tiles_where_memory_is_short(
    catalog: Catalog, tmp_path: Path
) -> None:
    atelier = Atelier(catalog.cards["pixart-sigma"], tmp_path, pixart)
    job = atelier.job(width=256, height=128)
    painter = atelier.residents.get(
        atelier.card, atelier.residents.key(atelier.card, str(atelier.folder), "auto")
    )
    vae, request = painter.family.pipeline.vae, read_request(job.request)
    latents = torch.randn(1, 4, *(side // 2 for side in (128, 256)))
    tiled: list[bool] = []
    vae.decoder.register_forward_pre_hook(lambda *_: tiled.append(vae.use_tiling))
    whole, said = decode(painter, latents, request, lambda device: 1e9)
    assert (said, tiled) == ("", [False])
    pieces, said = decode(painter, latents, request, lambda device: 0.0)
    assert said == "Memory was too short for 256x128 at once, so it was decoded in tiles."
    assert all(tiled[1:])
    assert pieces.shape == whole.shape
    assert not vae.use_tiling  # the next one is what it would have been
    small = request.model_copy(update={"width": 64, "height": 64})
    assert decode(painter, latents[..., :32, :32], small, lambda device: 0.0)[1] == ""
