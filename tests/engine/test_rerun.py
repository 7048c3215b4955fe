"""Rerun exactly: a picture of the history painted again by the real engine, and what came of it."""

import io
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from studio.engine.failures import PaintError
from studio.engine.paint import paint, paint_together
from studio.engine.residents import Residents
from studio.errors import NotFound, Refused
from studio.formats.compare import Comparison
from studio.formats.enlargers import ORIGINAL
from studio.jobs import fake
from studio.jobs.studio import Studio
from studio.jobs.view import View
from studio.messages import Cancelled, Failed, FromWorker, Paint, Painted
from studio.request import read_request
from studio.store.rows import Picture
from tests.conftest import OpenStudio
from tests.engine.conftest import NUMPY_COPY, SMALL
from tests.engine.test_loras import peft
from tests.networks import compact

pytestmark = NUMPY_COPY
WAIT = 60


@pytest.fixture
def own(models: Path, tmp_path: Path) -> Path:
    """A model folder that a test may change."""
    return Path(shutil.copytree(models, tmp_path / "models"))


def slot(residents: Residents | Path, name: str = "one", precision: str = "auto") -> fake.FakeSlot:
    """The real engine, in a thread of this process; of a folder of models it loads its own."""
    if isinstance(residents, Path):
        residents = Residents("cpu", residents, precision)

    def script(message: Paint, cancelled: threading.Event) -> Iterator[FromWorker]:
        torch.set_num_threads(1)
        try:
            yield paint(message, residents, False, lambda word: None)
        except PaintError as error:
            yield Failed(message.job, message.token, error.code, str(error))

    return fake.FakeSlot(name, script)


def painted(studio: Studio, **fields: object) -> tuple[Picture, ...]:
    job = studio.line.submit([read_request(SMALL | fields)])[0]
    return ended(studio, job.id).pictures


def ended(studio: Studio, job: str) -> View:
    view = studio.line.wait(job, WAIT)
    assert view.job.state == "done", view.words
    return view


def again(studio: Studio, picture: Picture) -> tuple[Comparison, View]:
    view = ended(studio, studio.line.rerun(picture.id).id)
    assert view.rerun and view.rerun.comparison and view.rerun.of == picture.id
    return view.rerun.comparison, view


def test_after_a_restart_and_on_another_slot_it_is_identical(
    open_studio: OpenStudio, models: Path, residents: Residents
) -> None:
    studio = open_studio(slot(residents), models=models)
    wish = {"count": 3, "look": "ink", "negative_prompt": "grey", "tags": ["mine"]}
    second = painted(studio, **wish)[1]
    studio.close()
    studio = open_studio(slot(models, "two"), models=models)
    studio.catalog.looks.clear()  # the presets may say what they like by now
    comparison, view = again(studio, second)
    assert (comparison.answer, comparison.changed) == ("identical", ())
    assert view.rerun and view.rerun.words == "identical, pixel by pixel"
    assert (view.job.request["seed"], view.job.request["count"]) == (8, 1)
    assert view.job.wish["prompt"] == "a red boat"
    assert view.pictures[0].recipe["request"]["prompt"] == second.recipe["request"]["prompt"]
    studio.close()
    studio = open_studio(slot(models), models=models)
    assert studio.line.view(view.job.id).rerun == view.rerun  # it knows that for good


def test_what_was_painted_among_others_is_painted_alone_and_said_to_be(
    open_studio: OpenStudio, models: Path, residents: Residents
) -> None:
    studio = open_studio(slot(residents), models=models)
    studio.line.pause(True)
    wishes = [read_request(SMALL | {"seed": seed}) for seed in range(4)]
    waiting = studio.line.submit(wishes)
    studio.store.pause(False)  # which the pool is not told
    jobs = [studio.store.claim(job.id, "other") for job in waiting]
    card = studio.catalog.default.model_dump(mode="json")
    ends: list[Painted | Failed | Cancelled] = []
    messages = [
        Paint(job.id, job.token, job.request, card, "", at_once=4)
        for job in jobs
        if job is not None
    ]
    paint_together(messages, residents, False, lambda word: None, ends.append)
    assert len(ends) == 4
    for end in ends:
        assert isinstance(end, Painted)
        studio.store.keep(end.job, end)
    studio.line.pause(False)
    comparison, _ = again(studio, studio.store.pictures(job=messages[2].job)[0])
    assert comparison.distance and comparison.distance.most <= 1
    assert comparison.answer in ("identical", "same to the eye")
    assert [(one.field, one.was, one.now) for one in comparison.changed] == [("together", 4, None)]


def test_after_a_lora_came_and_went_both_are_identical(open_studio: OpenStudio, own: Path) -> None:
    (own / "loras").mkdir()
    save_file(peft(), own / "loras" / "ink.safetensors")
    studio = open_studio(slot(own), models=own)
    plain = painted(studio)[0]
    worn = painted(studio, loras=[{"name": "ink", "weight": 0.8}])[0]
    assert again(studio, plain)[0].answer == "identical"
    assert again(studio, worn)[0].answer == "identical"
    assert again(studio, plain)[0].changed == ()


def test_what_was_painted_from_a_picture_needs_that_picture(
    open_studio: OpenStudio, models: Path, residents: Residents
) -> None:
    studio = open_studio(slot(residents), models=models)
    start, file = Image.linear_gradient("L").convert("RGB").resize((96, 64)), io.BytesIO()
    start.save(file, "PNG")
    name = studio.store.keep_input(file.getvalue())
    picture = painted(studio, start_image=name, strength=0.7, fit="contain")[0]
    comparison, view = again(studio, picture)
    assert (comparison.answer, comparison.changed) == ("identical", ())
    assert view.job.request["start_image"] == name
    studio.store.input_file(name).unlink()
    with pytest.raises(Refused, match="^start_image: there is no picture") as refused:
        studio.line.rerun(picture.id)
    assert refused.value.field == "start_image"


def test_the_upscaler_is_known_by_the_pickle_that_it_was_made_of(
    open_studio: OpenStudio, own: Path
) -> None:
    file = compact(own / "upscalers" / "mine.safetensors")
    weights = load_file(file)
    save_file(weights, file, metadata={ORIGINAL: "a" * 64})
    studio = open_studio(slot(own), models=own)
    picture = painted(studio, upscale=2, upscaler="mine")[0]
    assert picture.recipe["fingerprint"]["upscaler_hash"] == "a" * 64
    comparison, view = again(studio, picture)
    assert (comparison.answer, comparison.changed) == ("identical", ())
    assert not any("upscaler" in warning for warning in view.job.warnings)
    save_file(weights, file, metadata={ORIGINAL: "b" * 64})
    told = studio.line.rerun(picture.id).warnings
    assert "The upscaler is another than when it was painted (upscaler_hash bbb" in told[0]


def test_other_weights_are_told_before_and_named_after(open_studio: OpenStudio, own: Path) -> None:
    studio = open_studio(slot(own), models=own)
    picture = painted(studio)[0]
    part = own / "test-pattern" / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(part)
    weights["conv_out.bias"] += 1.0
    save_file(weights, part)
    studio.close()
    studio = open_studio(slot(own), models=own)
    job = studio.line.rerun(picture.id)
    assert "The weights of Test pattern (untrained) are others" in job.warnings[0]
    assert "model_hash" in job.warnings[0]
    rerun = ended(studio, job.id).rerun
    assert rerun and rerun.comparison and rerun.comparison.answer == "different"
    assert [one.field for one in rerun.comparison.changed] == ["model_hash"]


def test_another_lora_of_the_same_name_is_told_before_and_one_that_is_gone_refused(
    open_studio: OpenStudio, own: Path
) -> None:
    file = own / "loras" / "ink.safetensors"
    file.parent.mkdir()
    save_file(peft(), file)
    studio = open_studio(slot(own), models=own)
    picture = painted(studio, loras=[{"name": "ink", "weight": 0.8}])[0]
    save_file(peft(seed=1), file)
    job = studio.line.rerun(picture.id)
    assert "The LoRA 'ink' is another" in job.warnings[0]
    rerun = ended(studio, job.id).rerun
    assert rerun and rerun.comparison and rerun.comparison.answer == "different"
    fields = [one.field for one in rerun.comparison.changed]
    assert "loras.ink.sha256" in fields
    assert all(field.startswith("loras.ink.") for field in fields)
    file.unlink()
    with pytest.raises(Refused, match="there is no LoRA 'ink'"):
        studio.line.rerun(picture.id)


def test_another_precision_is_named(
    open_studio: OpenStudio, models: Path, residents: Residents
) -> None:
    studio = open_studio(slot(residents), models=models)
    picture = painted(studio)[0]
    studio.close()
    studio = open_studio(slot(models, precision="bf16"), models=models)
    comparison, _ = again(studio, picture)
    assert comparison.answer != "identical"
    assert [(one.field, one.was, one.now) for one in comparison.changed] == [
        ("dtype", "fp32", "bf16"),
        ("vae_dtype", "fp32", "bf16"),
    ]


def test_what_can_no_longer_be_painted_so_is_refused_by_the_field(
    open_studio: OpenStudio, models: Path, residents: Residents
) -> None:
    studio = open_studio(slot(residents), models=models)
    picture = painted(studio, sampler="ddim")[0]
    cards = studio.catalog.cards
    card = cards["test-pattern"]
    changes: list[tuple[dict[str, object], str]] = [
        ({"max_steps": 2}, "steps"),
        ({"samplers": card.samplers[:2]}, "sampler"),
        ({"can": card.can - {"guidance"}, "guidance": 1.0}, "guidance"),
    ]
    for change, field in changes:
        changed = card.model_copy(update=change)
        studio.catalog._by_alias["test-pattern"] = changed
        with pytest.raises(Refused, match=f"^{field}: ") as refused:
            studio.line.rerun(picture.id)
        assert refused.value.field == field
    del studio.catalog._by_alias["test-pattern"]
    with pytest.raises(Refused, match="^model: there is no model 'test-pattern'"):
        studio.line.rerun(picture.id)
    with pytest.raises(NotFound):
        studio.line.rerun("nothing")


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_a_file_of_another_studio_is_painted_again_here(
    open_studio: OpenStudio, models: Path, residents: Residents, form: str, tmp_path: Path
) -> None:
    there = open_studio(slot(residents), models=models, data=tmp_path / "there")
    picture = painted(there, output_format=form)[0]
    data = there.store.file(picture).read_bytes()
    here = open_studio(slot(residents), models=models)
    for trusted in (True, False):
        view = ended(here, here.line.rerun_file(data, trusted=trusted).id)
        assert view.rerun and view.rerun.comparison
        assert (view.rerun.of == picture.sha256) == trusted
        assert (view.rerun.comparison.answer, view.rerun.comparison.changed) == ("identical", ())
    with pytest.raises(Refused, match="painted by its own"):
        here.line.rerun_file(data, model="sdxl")


def test_without_the_picture_there_is_a_reason_instead_of_an_answer(
    open_studio: OpenStudio, models: Path, residents: Residents
) -> None:
    studio = open_studio(slot(residents), models=models)
    picture = painted(studio)[0]
    job = studio.line.rerun(picture.id)
    ended(studio, job.id)
    studio.store.file(picture).unlink()
    rerun = studio.line.view(job.id).rerun
    assert rerun and rerun.comparison is None and "nothing left to compare" in rerun.words
