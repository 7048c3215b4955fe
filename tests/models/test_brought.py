"""What somebody puts into the model folder is a model while the studio is open, or says why not."""

import json
import os
from pathlib import Path

import pytest

import app
from studio.errors import Refused
from studio.models import disk
from studio.models.weights import absent
from studio.request import read_request
from studio.settings import Settings
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog
from studio.wishes.routing import Here, settle_here
from tests.conftest import OpenStudio
from tests.models.test_checkpoints import FLUX, SDXL, without, write
from tests.models.test_hub import diffusers_folder, weights
from tests.spoilt import SPOILT


def unfold(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def refusal(catalog: Catalog, name: str) -> str:
    with pytest.raises(Refused) as error:
        catalog.find(name)
    return str(error.value)


def test_a_checkpoint_is_a_model_as_soon_as_it_is_there(catalog: Catalog, models: Path) -> None:
    assert "there is no model 'my-best_xl.v2'" in refusal(catalog, "my-best_xl.v2")
    says = {
        "modelspec.title": "My best",
        "modelspec.license": "MIT",
        "modelspec.description": "Hm.",
    }
    file = write(models / "My Best_XL.v2.safetensors", SDXL, says)
    card, base = catalog.find("my-best_xl.v2"), catalog.find("sdxl")
    assert (card.title, card.licence) == ("My best", "MIT")
    assert (card.sizes, card.samplers, card.can) == (base.sizes, base.samplers, base.can)
    assert (card.steps, card.guidance, card.lora_base) == (30, 5.0, base.lora_base)
    assert "checkpoint of SDXL 1.0 in one file" in card.about and card.about.endswith("Hm.")
    assert set(card.parts) == {"unet", "vae", "text_encoder", "text_encoder_2"}
    assert catalog.find(file.name) is catalog.find("My Best_XL.v2") is card
    assert catalog.cards[card.name] is card
    settled = catalog.settle(read_request({"prompt": "a", "model": file.name}))
    assert settled.request.model == "my-best_xl.v2"
    file.unlink()
    assert card.name not in catalog.cards


def test_what_its_file_lacks_comes_from_the_folder_of_its_base(
    catalog: Catalog, models: Path
) -> None:
    write(models / "mine.safetensors", SDXL)
    write(models / "flux-mine.safetensors", FLUX)
    said = absent(catalog.find("mine"), models)
    assert "needs what its file does not hold, from stabilityai/stable-diffusion-xl" in said
    assert "python app.py models pull mine" in said and "as sdxl" in said
    words = diffusers_folder("StableDiffusionXLPipeline", *catalog.find("mine").parts)
    unfold(
        models / "sdxl", {n: data for n, data in words.items() if not n.endswith(".safetensors")}
    )
    assert absent(catalog.find("mine"), models) == ""
    assert "models pull sdxl" in absent(catalog.find("sdxl"), models)  # it has no weights
    flux = diffusers_folder("FluxPipeline", "transformer", "vae", "text_encoder")
    unfold(models / "flux-dev", flux)
    assert absent(catalog.find("flux-mine"), models) == ""
    (models / "flux-dev" / "text_encoder" / "model.safetensors").unlink()
    assert "models pull flux-mine" in absent(catalog.find("flux-mine"), models)


def test_a_checkpoint_of_v_prediction_is_painted_so(catalog: Catalog, models: Path) -> None:
    write(models / "noob.safetensors", SDXL | {"v_pred": (0,)})
    samplers = catalog.find("noob").samplers
    assert [sampler.name for sampler in samplers] == [s.name for s in catalog.find("sdxl").samplers]
    assert {sampler.options["prediction_type"] for sampler in samplers} == {"v_prediction"}


def test_a_card_of_its_own_changes_that_of_a_model(catalog: Catalog, models: Path) -> None:
    write(models / "fast.safetensors", SDXL)
    assert catalog.find("fast").steps == 30
    unfold(models / "cards", {"fast.toml": b'base = "sdxl-lightning"\nmax_steps = 6\n'})
    card, lightning = catalog.find("fast"), catalog.find("sdxl-lightning")
    assert (card.steps, card.guidance, card.max_steps) == (4, 0.0, 6)
    assert (card.samplers, card.can) == (lightning.samplers, lightning.can)
    assert (card.beside, card.repo) == ("sdxl", catalog.find("sdxl").repo)
    unfold(models / "cards", {"fast.toml": b"stepps = 6\n"})
    assert "fast.toml: stepps is not known here" in refusal(catalog, "fast")
    unfold(models / "cards", {"fast.toml": b"steps = 6\n"})
    settled = catalog.settle(read_request({"prompt": "a", "model": "fast"}))
    assert settled.request.steps == 6  # not those that the base means by balanced
    (models / "cards" / "fast.toml").unlink()
    assert catalog.find("fast").steps == 30


def test_a_folder_of_diffusers_is_a_model_too(catalog: Catalog, models: Path) -> None:
    files = diffusers_folder("FluxPipeline", "transformer", "vae")
    folder = unfold(models / "My Flux v1.5", files | {"transformer/config.json": b"{}"})
    card = catalog.find("my-flux-v1.5")
    assert (card.family, card.title, card.variant) == ("flux", "My Flux v1.5", None)
    assert absent(card, models) == ""
    assert disk.survey([card], models)[0].place == "in the model folder"
    (folder / "transformer" / "config.json").write_text('{"guidance_embeds": false}')
    os.utime(folder / "model_index.json", ns=(1, 1))
    assert catalog.find("my-flux-v1.5").steps == 4
    assert "My Flux v1.5 is gone" in disk.remove(card, list(catalog.cards.values()), models)
    assert not folder.exists()


def test_a_folder_that_is_still_copied_is_a_model_when_it_is_whole(
    catalog: Catalog, models: Path
) -> None:
    files = diffusers_folder("FluxPipeline", "transformer")
    folder = unfold(models / "mine", {n: d for n, d in files.items() if "safetensors" not in n})
    assert "its transformer has no safetensors" in refusal(catalog, "mine")
    unfold(folder, files)
    assert catalog.find("mine").family == "flux"
    (folder / "model_index.json").write_text("{")
    assert "its model_index.json cannot be read" in refusal(catalog, "mine")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": ["own", "Code"]}))
    assert "it is a ['own', 'Code']; this studio paints with" in refusal(catalog, "mine")


def test_what_is_no_model_is_named_and_read_again_when_it_changes(
    catalog: Catalog, models: Path
) -> None:
    whole = write(models / "whole.safetensors", SDXL).read_bytes()
    for what, (spoil, why) in SPOILT.items():
        file = models / f"{what}.safetensors"
        file.write_bytes(spoil(whole))
        said = refusal(catalog, file.name)
        assert said.startswith(f"model: {file.name} cannot be used: ") and why in said
        assert not any(card.title == what for card in catalog.cards.values())
    for file in models.glob("*.safetensors"):
        file.write_bytes(whole)
        assert catalog.find(file.name).beside == "sdxl"
    write(models / "whole.safetensors", ("lora_unet.lora_up.weight",))
    assert "it is a LoRA; put it into the folder `loras`" in refusal(catalog, "whole")
    (models / "old.ckpt").write_bytes(b"PK\x03\x04")
    assert "it is pickled, which could run code" in refusal(catalog, "old.ckpt")
    (models / "q.gguf").write_bytes(b"GGUF")
    assert "it is one part of a model; a card" in refusal(catalog, "q")


def test_a_card_may_be_made_of_parts(catalog: Catalog, models: Path) -> None:
    (models / "q.gguf").write_bytes(b"GGUF")
    assert [one.name for one in catalog.brought()] == ["q"]
    card = b"""
        base = "flux-dev"
        repo = "black-forest-labs/FLUX.1-dev"
        beside = "flux-dev"
        parts = { transformer = { repo = "", file = "q.gguf" } }
    """
    unfold(models / "cards", {"small.toml": card})
    assert [one.name for one in catalog.brought()] == ["small"]
    unfold(models / "flux-dev", diffusers_folder("FluxPipeline", "vae"))
    assert absent(catalog.find("small"), models) == ""
    assert disk.survey([catalog.find("small")], models)[0].place == "in the model folder"


def test_names_that_are_taken_or_none_are_said(catalog: Catalog, models: Path) -> None:
    write(models / "SDXL.safetensors", SDXL)
    write(models / "lightning.safetensors", SDXL)
    write(models / "a b.safetensors", SDXL)
    write(models / "a-b.safetensors", SDXL)
    write(models / f"{'x' * 65}.safetensors", SDXL)
    write(models / "___.safetensors", SDXL)
    unfold(models / "cards", {"flux.toml": b'base = "sdxl"\nrepo = "a/b"\n'})
    brought = {one.path.name: one for one in catalog.brought()}
    for name in ("SDXL.safetensors", "lightning.safetensors", "a-b.safetensors", "flux.toml"):
        assert "of this name is there already; rename it" in brought[name].refused
    assert brought["a b.safetensors"].card
    assert "must be of 1 to 64 small letters" in brought[f"{'x' * 65}.safetensors"].refused
    assert "must be of 1 to 64 small letters" in brought["___.safetensors"].refused
    assert catalog.find("sdxl").parts == {}


def test_what_is_not_a_model_at_all_is_left_alone(catalog: Catalog, models: Path) -> None:
    unfold(models, {"loras/a.safetensors": b"", "upscalers/b.safetensors": b"", "notes.txt": b"x"})
    unfold(
        models, {"sdxl/model_index.json": b"{}", "empty/readme.md": b"", ".part.safetensors": b""}
    )
    (models / "gone.safetensors").symlink_to(models / "nowhere")
    os.mkfifo(models / "pipe.safetensors")
    assert catalog.brought() == ()
    assert load_catalog(Settings().presets, models=models / "nowhere").brought() == ()


@pytest.mark.parametrize(
    ("card", "why"),
    [
        ('base = "sdxk"', "base: the presets have no card 'sdxk'"),
        ('base = "sdxl"', "it changes the model mine, which is not there"),
        ("steps = ", "Invalid value"),
        ('base = "sdxl"\nrepo = "a/b"\nname = "other"', "is called as its file is"),
        ('base = "sdxl"\nrepo = "a/b"\ndefault = true', "DARKROOM_DEFAULT_MODEL names"),
        ('base = "sdxl"\nrepo = "a/b"\nsteps = 0', "steps: 0 is too small; the least is 1"),
    ],
)
def test_a_card_that_is_wrong_names_its_key(
    catalog: Catalog, models: Path, card: str, why: str
) -> None:
    unfold(models / "cards", {"mine.toml": card.encode()})
    assert why in refusal(catalog, "mine")
    whole = b'base = "sdxl"\nrepo = "a/b"\ntitle = "Mine"\naliases = ["own"]\n'
    unfold(models / "cards", {"mine.toml": whole})
    assert catalog.find("own").title == "Mine"


def test_only_its_own_files_are_removed(catalog: Catalog, models: Path) -> None:
    file = write(models / "mine.safetensors", without(SDXL, "first_stage"))
    unfold(models / "cards", {"mine.toml": b"steps = 12\n"})
    unfold(models / "sdxl", diffusers_folder("StableDiffusionXLPipeline", "unet", "vae"))
    card = catalog.find("mine")
    (standing,) = disk.survey([card], models)
    assert (standing.place, standing.gb) == (
        "in the model folder",
        file.stat().st_size / 1e9 + 11e-9,
    )
    assert "mine is gone" in disk.remove(card, list(catalog.cards.values()), models)
    assert not file.exists() and not list((models / "cards").iterdir())
    assert absent(catalog.find("sdxl"), models) == ""


def test_the_command_line_lists_what_can_be_used_and_what_cannot(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DARKROOM_MODELS", str(models))
    write(models / "mine.safetensors", SDXL)
    (models / "bad.safetensors").write_bytes(weights())
    assert app.main(["models", "list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "needs more" in lines["mine"]
    assert "cannot be used       bad.safetensors: it holds nothing that is known" in lines["bad"]
    assert app.main(["models", "check", "bad"]) == 1
    assert "bad.safetensors cannot be used: it holds nothing" in capsys.readouterr().err


def test_a_wish_for_it_is_refused_with_the_command_that_helps(
    open_studio: OpenStudio, models: Path
) -> None:
    studio = open_studio(models=models)
    wish = read_request({"prompt": "a", "model": "mine"})
    with pytest.raises(Refused, match="there is no model 'mine'"):
        studio.line.settle(wish)
    write(models / "mine.safetensors", SDXL)
    with pytest.raises(Refused, match="python app.py models pull mine"):
        studio.line.settle(wish)
    unfold(models / "sdxl", diffusers_folder("StableDiffusionXLPipeline", "unet"))
    (job,) = studio.line.submit([wish])
    assert studio.line.wait(job.id, 20).job.state == "done"


ODD = {
    "thing/model_index.json": (
        b'{"_class_name": "StableDiffusionXLPipeline", "unet": []}',
        "its model_index.json names no network",
    ),
    "cards/a.toml": (b'base = "sdxl"\nrepo = "a/b"\nsizes = {square = [64]}', "sizes.square"),
    "cards/b.toml": (b'base = "sdxl"\nrepo = "~nobody-here/x"', "repo: nobody here has the home"),
    "cards/c.toml": (b"a = " + b"[" * 5000, "nested too deeply"),
}


@pytest.mark.parametrize("name", ODD)
def test_whatever_lies_there_the_others_are_found(
    catalog: Catalog, models: Path, name: str
) -> None:
    content, why = ODD[name]
    unfold(models, {name: content})
    assert "sdxl" in catalog.cards
    (one,) = catalog.brought()
    assert one.card is None and why in one.refused


def test_a_quality_whose_model_is_not_there_is_refused(catalog: Catalog, models: Path) -> None:
    own = b'base = "sdxl"\nrepo = "a/b"\nvariants = {draft = "nowhere"}'
    unfold(models, {"cards/mine.toml": own})
    wish = read_request({"prompt": "a", "model": "mine", "quality": "draft"})
    with pytest.raises(Refused, match="there is no model 'nowhere'"):
        settle_here(wish, Here(catalog, models))
