"""Rerun exactly from pictures of other tools: settled as near as can be, painted, compared, and
told what could not be honoured. With the real engine where the answer is of pixels."""

import io
from pathlib import Path

import pytest
from PIL import Image

import app
from studio.engine.residents import Residents
from studio.errors import Refused
from studio.formats.rewrite import saying
from studio.request import ImageRequest, read_request
from studio.wishes.honour import NOTHING
from tests.conftest import OpenStudio
from tests.engine.conftest import NUMPY_COPY
from tests.engine.test_rerun import ended, painted, slot
from tests.formats.fixtures.every import FIXTURES
from tests.formats.pictures import plain, png

pytestmark = NUMPY_COPY
ROW = "Steps: 2, Sampler: DDIM, CFG scale: 2.5, Seed: 7, Size: 96x64"
TEXT = f"a red boat\nNegative prompt: fog\n{ROW}, Model: TestPattern, RNG: CPU, Version: v1.10.1"


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_the_text_that_other_tools_read_is_enough_to_paint_ours_again(
    open_studio: OpenStudio, models: Path, residents: Residents, form: str
) -> None:
    studio = open_studio(slot(residents), models=models)
    wish = {"negative_prompt": "fog (bad:1.2)", "sampler": "ddim", "guidance": 2.55, "seed": 7}
    picture = painted(studio, prompt="a ((red)) boat", output_format=form, **wish)[0]
    data = saying(studio.store.file(picture).read_bytes(), "parameters")
    assert b"fingerprint" not in data
    view = ended(studio, studio.line.rerun_file(data).id)
    assert view.rerun and view.rerun.comparison
    far = view.rerun.comparison
    assert far.answer in ("identical", "same to the eye")
    assert (far.answer == "identical") == (form == "png")  # it is written as PNG again
    assert far.changed == ()
    assert view.rerun.not_honoured == ()
    assert view.job.request["negative_prompt"] == "fog (bad:1.2)"


def test_a_picture_of_another_tool_is_painted_as_near_as_can_be(
    open_studio: OpenStudio, models: Path, residents: Residents
) -> None:
    studio = open_studio(slot(residents), models=models)
    text = TEXT.replace("DDIM", "LMS").replace("96x64", "100x64") + ", Hires upscale: 2"
    view = ended(studio, studio.line.rerun_file(png({"parameters": text})).id)
    assert view.rerun and view.rerun.comparison
    assert view.rerun.comparison.answer == "different"
    request = view.job.request
    assert (request["model"], request["seed"], request["steps"]) == ("test-pattern", 7, 2)
    for piece in ("The sampler 'LMS' is not known here", "does not paint 100x64", "Hires fix"):
        assert any(piece in sentence for sentence in view.rerun.not_honoured)
        assert any(piece in sentence for sentence in view.job.warnings)
    assert view.rerun.words.startswith("different: another size; ")
    assert view.rerun.words.endswith("3 things of its recipe could not be honoured")
    assert {one.field for one in view.rerun.comparison.changed} == {"width", "height", "sampler"}


def test_where_its_model_is_missing_one_must_be_named(
    open_studio: OpenStudio, models: Path, residents: Residents
) -> None:
    studio = open_studio(slot(residents), models=models)
    data = png({"parameters": TEXT.replace("TestPattern", "dreamy_8")})
    with pytest.raises(Refused, match=r"^model: Its model 'dreamy_8' is not here\. Name the model"):
        studio.line.rerun_file(data)
    view = ended(studio, studio.line.rerun_file(data, model="test-pattern").id)
    assert view.rerun and view.rerun.comparison
    changed = {one.field: (one.was, one.now) for one in view.rerun.comparison.changed}
    assert changed["model"] == ("dreamy_8", "test-pattern")
    assert any("in place of its own model" in sentence for sentence in view.rerun.not_honoured)


def test_the_answer_outlives_a_restart(
    open_studio: OpenStudio, models: Path, residents: Residents
) -> None:
    studio = open_studio(slot(residents), models=models)
    view = ended(studio, studio.line.rerun_file(png({"parameters": TEXT})).id)
    studio.close()
    studio = open_studio(slot(residents), models=models)
    assert studio.line.view(view.job.id).rerun == view.rerun


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (plain("PNG"), NOTHING),
        (png({"darkroom": "{"}), "not JSON"),
        (b"GIF89a", "This is no PNG, JPEG or WebP"),
        (FIXTURES["ComfyUI: a node of somebody else's"].data, "^prompt: it is not told"),
    ],
)
def test_what_cannot_be_painted_again_is_refused_in_words(
    open_studio: OpenStudio, models: Path, residents: Residents, data: bytes, sentence: str
) -> None:
    studio = open_studio(slot(residents), models=models)
    with pytest.raises(Refused, match=sentence):
        studio.line.rerun_file(data)


def test_a_file_that_only_begins_like_a_picture_is_stopped_at_the_gate(
    open_studio: OpenStudio, models: Path, residents: Residents
) -> None:
    studio = open_studio(slot(residents), models=models)
    whole = png({"parameters": TEXT})
    with pytest.raises(Refused, match="^image: it begins like a PNG and is damaged or cut"):
        studio.line.rerun_file(whole[: whole.index(b"IDAT") + 6])


def test_what_is_kept_to_compare_with_is_pixels_and_what_was_read(
    open_studio: OpenStudio, models: Path, residents: Residents
) -> None:
    studio = open_studio(slot(residents), models=models)
    job = studio.line.rerun_file(png({"parameters": TEXT, "secret": "mine"}))
    assert job.rerun_of
    kept = studio.store.input(job.rerun_of)
    assert b"mine" not in kept and b"secret" not in kept
    with Image.open(io.BytesIO(kept)) as image, Image.open(io.BytesIO(plain("PNG"))) as whole:
        assert image.tobytes() == whole.tobytes()
        assert set(image.info) == {"darkroom"}
    with pytest.raises(Refused, match="there is no picture"):  # it is none to paint from
        studio.line.submit([_begin_from(job.rerun_of)])


def test_the_command_line_reads_pictures_and_paints_them_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, none = tmp_path / "boat.png", tmp_path / "none.png"
    file.write_bytes(png({"parameters": TEXT}))
    none.write_bytes(plain("PNG"))
    data = ["--data", str(tmp_path / "data")]
    assert app.main(["read", str(file), *data]) == 0
    said = capsys.readouterr().out
    assert f"{file}: A1111 1.10.1" in said
    assert "TestPattern is test-pattern here, by its name" in said and "seed: 7" in said
    assert app.main(["read", str(file), str(none), "--json", *data]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert '"tool": "A1111"' in first and '"tool": null' in second
    assert app.main(["read", str(tmp_path / "gone.png"), *data]) == 1
    assert "No such file" in capsys.readouterr().err


def _begin_from(name: str) -> ImageRequest:

    return read_request({"prompt": "a", "model": "test-pattern", "start_image": name})
