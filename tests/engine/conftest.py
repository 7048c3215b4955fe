"""Shared by the engine's tests: the test pattern, built once, and jobs for it. One thread."""

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from studio.canvas import Input, read_head
from studio.engine.embedded import ensure
from studio.engine.paint import paint
from studio.engine.painter import Painter
from studio.engine.residents import Residents
from studio.messages import Loading, Paint, Painted, Progress
from studio.models.card import ModelCard
from studio.request import read_request
from studio.settings import Settings
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog

# diffusers 0.42.1 hands torch tensors to numpy 2.4 in a way that numpy will not take for ever.
NUMPY_COPY = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
SMALL: dict[str, Any] = {"prompt": "a red boat", "seed": 7, "steps": 3, "width": 64, "height": 64}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog(Settings().presets, "test-pattern")


@pytest.fixture(scope="session")
def card(catalog: Catalog) -> ModelCard:
    return catalog.cards["test-pattern"]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, card: ModelCard) -> Path:
    """A model folder with the test pattern in it."""
    folder = tmp_path_factory.mktemp("models")
    ensure("test-pattern", folder / card.name)
    return folder


@pytest.fixture(scope="session")
def residents(models: Path) -> Residents:
    return Residents("cpu", models, "auto")


@pytest.fixture(scope="session")
def painter(residents: Residents, card: ModelCard) -> Painter:
    painter = residents.get(card, residents.key(card, "", "auto"))
    painter.take_sampler("euler")
    return painter


Job = Callable[..., Paint]


@pytest.fixture(scope="session")
def job(catalog: Catalog) -> Job:
    """A small wish, settled and wrapped for the worker."""

    def make(job_id: str = "job", images: Sequence[Image.Image] = (), **fields: Any) -> Paint:
        wish = read_request(SMALL | fields)
        files, sizes = handed(*images)
        settled = catalog.settle(wish, (), sizes)
        return Paint(
            inputs=files,
            job=job_id,
            token=1,
            request=settled.request.model_dump(mode="json"),
            card=settled.card.model_dump(mode="json"),
            folder="",
            wish=wish.model_dump(mode="json"),
            warnings=settled.warnings,
        )

    return make


def handed(*images: Image.Image) -> tuple[dict[str, bytes], dict[str, Input]]:
    """The pictures as the store keeps them: their files and their sizes, by their hashes."""
    files = {}
    for image in images:
        file = io.BytesIO()
        image.save(file, "PNG")
        files[hashlib.sha256(file.getvalue()).hexdigest()] = file.getvalue()
    return files, {name: read_head(name, data) for name, data in files.items()}


Told = list[Loading | Progress]


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture(scope="session")
def do(residents: Residents) -> Callable[..., Painted]:
    """Paints one job without previews; `tell` hears of it."""

    def paint_now(message: Paint, tell: Callable[..., None] = lambda word: None) -> Painted:
        return paint(message, residents, False, tell)

    return paint_now
