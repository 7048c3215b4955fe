"""The safety checker: a real tiny classifier looks at what was painted; blurred, withheld, told."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ViTConfig, ViTForImageClassification

from studio.engine.failures import PaintError
from studio.engine.paint import paint, paint_together
from studio.engine.residents import Residents
from studio.engine.safety import Checker, blurred
from studio.formats.metadata import read_recipe
from studio.messages import Cancelled, Failed, Painted, Picture, Progress
from studio.models.safety import Safety, read_safety, safety_text
from tests.engine.conftest import NUMPY_COPY, Job
from tests.engine.test_worker import Worker

pytestmark = NUMPY_COPY
SIDE = 32
# As Falconsai's preprocessor_config.json has it, but for the size.
PREPROCESSOR = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "ViTImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": SIDE, "width": SIDE},
}
Make = Callable[..., Safety]
Paints = Callable[..., Painted]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of random weights that finds some pictures worse than others."""
    folder = tmp_path_factory.mktemp("checker")
    torch.manual_seed(5)
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=SIDE,
        patch_size=8,
        initializer_range=0.5,
        id2label={0: "normal", 1: "nsfw"},
        label2id={"normal": 0, "nsfw": 1},
    )
    ViTForImageClassification(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return folder


@pytest.fixture(scope="module")
def make(folder: Path) -> Make:
    def safety(mode: Literal["blur", "refuse"] = "blur", limit: float = 0.5, **more: Any) -> Safety:
        return Safety(**{"mode": mode, "title": "Tiny", "folder": str(folder)} | more, limit=limit)

    return lambda *given, **more: safety(*given, **{"unsafe": ("nsfw",)} | more)


@pytest.fixture(scope="module")
def plain(job: Job, residents: Residents) -> tuple[Picture, ...]:
    """Three pictures as they are."""
    return paint(job(count=3), residents, False, lambda word: None).pictures


@pytest.fixture(scope="module")
def limit(make: Make, plain: tuple[Picture, ...]) -> float:
    """Between the worst of the three and the other two."""
    checker = Checker(make())
    scores = sorted(checker.score(image(picture)) for picture in plain)
    assert scores[2] - scores[1] > 1e-4
    return (scores[1] + scores[2]) / 2


@pytest.fixture
def checked(models: Path, make: Make, job: Job) -> Paints:
    def paint_checked(mode: str, limit: float, **fields: Any) -> Painted:
        residents = Residents("cpu", models, "auto", make(mode, limit))
        return paint(job(**fields), residents, False, lambda word: None)

    return paint_checked


def image(picture: Picture) -> Image.Image:
    return Image.open(io.BytesIO(picture.data)).convert("RGB")


def same(one: Picture, other: Picture) -> bool:
    return np.array_equal(np.asarray(image(one)), np.asarray(image(other)))


def test_a_picture_is_looked_at_as_its_makers_say(folder: Path, make: Make) -> None:
    """Resized by Pillow, from 0 to 1, then mean and deviation: without torchvision."""
    dice = np.random.default_rng(3)
    picture = Image.fromarray(dice.integers(0, 256, (50, 90, 3), np.uint8))
    small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)
    pixels = torch.from_numpy((small / 255 - 0.5) / 0.5).permute(2, 0, 1)[None]
    network = ViTForImageClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        wanted = network(pixels).logits.softmax(1)[0, 1]
    assert Checker(make()).score(picture) == pytest.approx(float(wanted), abs=1e-6)


def test_only_the_unsafe_picture_of_a_job_is_blurred_and_that_is_told(
    checked: Paints, plain: tuple[Picture, ...], limit: float
) -> None:
    painted = checked("blur", limit, count=3)
    (bad,) = [place for place, one in enumerate(painted.pictures) if "blurred" in one.own]
    assert [same(one, other) for one, other in zip(painted.pictures, plain, strict=True)] == [
        place != bad for place in range(3)
    ]
    (said,) = [warning for warning in painted.warnings if "blurred" in warning]
    assert said.startswith(f"Picture {bad + 1} of 3 (seed {7 + bad}) was blurred: Tiny takes it")
    hidden = painted.pictures[bad]
    assert image(hidden).size == image(plain[bad]).size
    recipes = [read_recipe(image_info(picture)) for picture in painted.pictures]
    assert ["blurred" in recipe for recipe in recipes] == [place == bad for place in range(3)]
    assert all(recipe["fingerprint"]["safety"] == "blur" for recipe in recipes)
    thumb = np.asarray(Image.open(io.BytesIO(hidden.thumb)).convert("RGB"), np.int16)
    assert np.abs(thumb - np.asarray(image(hidden), np.int16)).mean() < 6  # and no other picture


def image_info(picture: Picture) -> str:
    return str(Image.open(io.BytesIO(picture.data)).info["darkroom"])


def test_what_is_withheld_is_not_among_the_pictures(
    checked: Paints, plain: tuple[Picture, ...], limit: float
) -> None:
    painted = checked("refuse", limit, count=3)
    assert len(painted.pictures) == 2
    assert all(same(one, plain[one.index]) for one in painted.pictures)
    (bad,) = {0, 1, 2} - {one.index for one in painted.pictures}
    (said,) = [warning for warning in painted.warnings if "withheld" in warning]
    assert said.startswith(f"Picture {bad + 1} of 3 (seed {7 + bad}) was withheld: Tiny takes it")


def test_a_job_of_which_all_is_withheld_fails_with_a_sentence(checked: Paints) -> None:
    with pytest.raises(PaintError) as refused:
        checked("refuse", 1e-6, count=2)
    assert refused.value.code == "unsafe"
    assert "Picture 1 of 2" in str(refused.value) and "Picture 2 of 2" in str(refused.value)


def test_side_by_side_each_job_answers_for_itself(
    models: Path, make: Make, job: Job, plain: tuple[Picture, ...], limit: float
) -> None:
    ends: dict[str, Painted | Failed | Cancelled] = {}
    jobs = [replace(job(f"job{n}", seed=7 + n), at_once=4) for n in range(3)]
    residents = Residents("cpu", models, "auto", make("refuse", limit))
    paint_together(
        jobs, residents, False, lambda word: None, lambda end: ends.__setitem__(end.job, end)
    )
    failed = [end for end in ends.values() if isinstance(end, Failed)]
    assert len(ends) == 3 and [end.code for end in failed] == ["unsafe"]


def test_without_one_nothing_is_said_of_it(plain: tuple[Picture, ...]) -> None:
    recipe = read_recipe(image_info(plain[0]))
    assert not {"safety", "checker", "checker_hash"} & set(recipe["fingerprint"])


def test_nothing_is_left_of_a_blurred_picture_but_sixteen_patches_a_side() -> None:
    """Another picture of the same patches is blurred to the same, so neither can be told."""
    dice = np.random.default_rng(1)
    patches = dice.integers(0, 200, (16, 16, 3)).repeat(8, 0).repeat(8, 1)
    mirrored = dice.integers(0, 28, (128, 64, 3)) * 2
    noise = np.concatenate([mirrored, mirrored[:, ::-1]], 1)
    one, other = (
        blurred(Image.fromarray((patches + more).astype(np.uint8)))
        for more in (noise, noise.reshape(16, 8, 16, 8, 3)[:, ::-1].reshape(128, 128, 3))
    )
    assert one.size == (128, 128)
    assert np.array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize(
    ("broken", "why"),
    [({"unsafe": ("gore",)}, "has the labels normal, nsfw"), ({"folder": "/nowhere"}, "loaded")],
)
def test_a_checker_that_cannot_check_paints_nothing(
    models: Path, make: Make, job: Job, broken: dict[str, Any], why: str
) -> None:
    residents = Residents("cpu", models, "auto", make(**broken))
    with pytest.raises(PaintError, match=why) as refused:
        paint(job(), residents, False, lambda word: None)
    assert refused.value.code == "model_invalid"


def test_what_a_worker_is_told_comes_over_whole(make: Make) -> None:
    assert read_safety(safety_text(make())) == make()
    assert read_safety(safety_text(None)) is None


@pytest.mark.slow
def test_a_worker_that_checks_shows_nothing_before(models: Path, make: Make, job: Job) -> None:
    worker = Worker(models, "--safety", safety_text(make("blur", 1e-6)))
    worker.send(job(steps=40))
    *words, painted = worker.hear_until(Painted, Failed)
    assert isinstance(painted, Painted) and "blurred" in painted.pictures[0].own
    assert len([word for word in words if isinstance(word, Progress)]) > 40
    assert not any(word.preview for word in words if isinstance(word, Progress))
    assert worker.end() == 0
