"""The trainer, the examiner, the upscaler and the LoRA on a toy budget: each learns something."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from starter import autoencoder, compass, denoiser, enlarger, examiner, lora, train, words
from starter.album import SHARD, Album, exam_scene, scene
from starter.lesson import Lesson
from starter.world import held_out

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
TOY = 2 / 60  # minutes


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("starter")


@pytest.fixture(scope="module")
def album(work: Path) -> Album:
    album = Album(work / "album")
    album.grow(SHARD)
    return album


@pytest.fixture(scope="module")
def starter(work: Path, album: Album) -> Path:
    """A starter that was at school for a few seconds, saved as a pipeline."""
    said = words.learn(work, TOY, "cpu")
    vae = autoencoder.learn(album, SHARD, work, TOY, "cpu")
    unet = denoiser.learn(album, vae, said, work, 32, TOY, "cpu", compass.lay(denoiser.build()))
    train.save(said, vae, unet, work / "weights")
    return work / "weights"


def test_the_album_never_shows_what_is_held_out() -> None:
    assert not any(held_out(scene(number)) for number in range(2000))
    assert any(held_out(exam_scene(number)) for number in range(200))


def test_an_album_goes_on_where_it_was_interrupted(album: Album) -> None:
    before = [file.stat().st_mtime_ns for file in album.folder.iterdir()]
    album.grow(SHARD)
    assert [file.stat().st_mtime_ns for file in album.folder.iterdir()] == before
    numbers, pictures, masks = next(album.shards(SHARD))
    assert len(numbers) == len(pictures) == len(masks) == SHARD


def test_a_lesson_learns_and_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    truth = torch.randn(4, 1)

    def loss(network: nn.Module, done: float) -> torch.Tensor:
        given = torch.randn(64, 4)
        return (network(given).float() - given @ truth).square().mean()

    first = Lesson("line", nn.Linear(4, 1), tmp_path, 0.02, 0.05, "cpu")
    first.run(loss)
    again = Lesson("line", nn.Linear(4, 1), tmp_path, 0.04, 0.05, "cpu")
    assert again.steps == first.steps > 10
    learned = again.run(loss)
    assert again.steps > first.steps
    assert torch.allclose(learned.weight, truth.T, atol=0.1)
    spent = Lesson("line", nn.Linear(4, 1), tmp_path, 0.04, 0.05, "cpu")
    assert torch.equal(spent.run(loss).weight, learned.weight)


def test_every_word_of_the_captions_is_one_token() -> None:
    said = words.Words()
    for text in ("a red car on an island", "three puppies, 8 bit"):
        assert len(said.tokenizers[0](text).input_ids) == len(text.replace(",", " ,").split()) + 2


def test_any_text_has_tokens() -> None:
    ids = words.Words().tokenizers[0]("猫 Ünïcode \N{SNOWMAN} zebra").input_ids
    assert len(ids) > 10


def test_what_is_saved_is_a_stock_pipeline_that_paints(starter: Path) -> None:
    pipeline = StableDiffusionXLPipeline.from_pretrained(starter, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.vae.dtype == torch.float32
    picture = pipeline("a red car", width=256, height=256, num_inference_steps=2).images[0]
    assert picture.size == (256, 256)
    with safe_open(starter / "unet" / "diffusion_pytorch_model.safetensors", "pt") as file:
        assert file.get_tensor("conv_in.weight").dtype == torch.float16


def test_a_lora_says_what_it_is_and_changes_the_picture(starter: Path, work: Path) -> None:
    learned = lora.learn("blueprint", starter, work, TOY, "cpu", scenes=16)
    file = work / "blueprint.safetensors"
    save_file(learned, file, metadata=lora.header("blueprint"))
    assert file.stat().st_size < 1_500_000
    with safe_open(file, "pt") as kept:
        assert kept.metadata()["modelspec.trigger_phrase"] == "blueprint"
        assert kept.metadata()["darkroom.base"] == "starter"
    pipeline = StableDiffusionXLPipeline.from_pretrained(starter, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)

    def painted() -> np.ndarray:
        generator = torch.Generator("cpu").manual_seed(1)
        wish = {"prompt": "a red car", "width": 256, "height": 256, "num_inference_steps": 2}
        return np.asarray(pipeline(**wish, generator=generator).images[0])

    before = painted()
    pipeline.load_lora_weights(file.parent, weight_name=file.name)
    assert not np.array_equal(painted(), before)


def test_the_upscaler_doubles_and_learns(starter: Path, work: Path) -> None:
    vae = StableDiffusionXLPipeline.from_pretrained(starter, dtype=torch.float32).vae
    network = enlarger.learn(vae, work, TOY, "cpu", scenes=2)
    assert network(torch.rand(1, 3, 24, 16)).shape == (1, 3, 48, 32)
    assert set(network.state_dict()) >= {"body.0.weight", "body.1.weight", "body.2.bias"}


def test_the_examiner_learns_from_renders_and_reads_in_words(work: Path) -> None:
    album = Album(work / "exam", exam_scene)
    album.grow(SHARD)
    judge = examiner.learn(album, SHARD, work, 5 * TOY, "cpu")
    _, pictures, _ = next(album.shards(SHARD))
    read = judge.read([Image.fromarray(picture) for picture in pictures])
    right = sum(
        reading["position"] == exam_scene(number).items[0].position
        for number, reading in enumerate(read)
    )
    assert set(read[0]) == set(examiner.READS)
    assert right / len(read) > 0.5
