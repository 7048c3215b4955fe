"""Models from a hub that is played here: what is fetched, taken up, refused."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import app
from studio.errors import DarkroomError, Refused
from studio.models import disk, hub
from studio.models.disk import repositories
from studio.models.safety import load_checkers
from studio.models.weights import absent, find_weights
from studio.settings import Settings
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog
from tests.models.test_checkpoints import SDXL as IN_ONE_FILE
from tests.models.test_checkpoints import without, write
from tests.played_hub import SHA, Hub, Repo, played
from tests.spoilt import file_of


def weights(name: str = "") -> bytes:
    """Two that are the same would come once."""
    tensor = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    return file_of({"a": tensor}, bytes(16), {"name": name})


SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
SD35 = "stabilityai/stable-diffusion-3.5-medium"


def diffusers_folder(kind: str, *parts: str, ending: str = "") -> dict[str, bytes]:
    """A repository of a pipeline: its components with weights, a tokenizer, and odds and ends."""
    index: dict[str, Any] = {"_class_name": kind, "safety_checker": [None, None]}
    index |= {part: ["diffusers", "Network"] for part in parts}
    index |= {"tokenizer": ["transformers", "CLIPTokenizer"]}
    return {
        "model_index.json": json.dumps(index).encode(),
        "tokenizer/vocab.json": b"{}",
        "model.safetensors": weights(),  # the whole model once more, for other programs
        "README.md": b"---\n---\n",
        **{f"{part}/config.json": json.dumps({"of": part}).encode() for part in parts},
        **{f"{part}/model{ending}.safetensors": weights(part) for part in parts},
        **{f"{part}/model{ending}.bin": b"pickled" for part in parts},
    }


@dataclass
class Stage:
    hub: Hub
    catalog: Catalog
    models: Path

    def pull(self, name: str, token: str | None = None) -> set[str]:
        """What comes for it."""
        self.hub.fetched.clear()
        hub.pull(self.catalog.find(name), self.models, token)
        return {one.partition(" ")[2] for one in self.hub.fetched}

    def add(self, repo: str, name: str = "") -> str:
        return hub.add(
            repo, name, [*self.catalog.cards.values()], self.catalog.presets, self.models
        )


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    repos = {
        SDXL: Repo(
            diffusers_folder("StableDiffusionXLPipeline", "unet", "vae", ending=".fp16")
            | {"unet/model.safetensors": weights("other")}
        ),
        SD35: Repo(
            diffusers_folder("StableDiffusion3Pipeline", "transformer", "text_encoder")
            | {"text_encoder/model.fp16.safetensors": weights("other")}
            | {"text_encoders/t5xxl_fp16.safetensors": weights("other")}
        ),
        "someone/My_XL": Repo(
            diffusers_folder("StableDiffusionXLPipeline", "unet", "vae"),
            {"license": "other", "license_name": "fair", "base_model": SDXL},
        ),
        "someone/flux": Repo(
            diffusers_folder("FluxPipeline", "transformer")
            | {"transformer/config.json": b'{"guidance_embeds": true}'}
        ),
        "someone/old": Repo(diffusers_folder("StableDiffusionPipeline", "unet")),
        "someone/pickled": Repo(
            {
                name: data
                for name, data in diffusers_folder("FluxPipeline", "transformer").items()
                if not name.endswith(".safetensors")
            }
        ),
        "someone/lora": Repo({"lora.safetensors": weights("other")}),
        "someone/gated": Repo(diffusers_folder("FluxPipeline", "transformer"), gated=True),
    }
    models = tmp_path / "models"
    with played(repos, monkeypatch, tmp_path / "cache") as stage:
        yield Stage(stage, load_catalog(Settings().presets, models=models), models)


def test_only_what_is_loaded_is_fetched(stage: Stage) -> None:
    words = {"model_index.json", "tokenizer/vocab.json", "unet/config.json", "vae/config.json"}
    weights = {"unet/model.fp16.safetensors", "vae/model.fp16.safetensors"}
    assert stage.pull("sdxl") == words | weights
    assert stage.pull("sdxl") == set()
    assert stage.pull("sd3.5-medium") == {
        "model_index.json",
        "tokenizer/vocab.json",
        "transformer/config.json",
        "transformer/model.safetensors",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
    }
    assert not absent(stage.catalog.find("sd3.5-medium"), stage.models)


def test_a_part_that_comes_from_elsewhere_is_not_fetched_twice(stage: Stage) -> None:
    fast = stage.catalog.find("sdxl-lightning").parts["unet"]
    stage.hub.repos[fast.repo] = Repo({fast.file: weights("other")})
    came = stage.pull("sdxl-lightning")
    assert {fast.file, "unet/config.json", "vae/model.fp16.safetensors"} <= came
    assert "unet/model.fp16.safetensors" not in came
    assert "is not whole" in absent(stage.catalog.find("sdxl"), stage.models)
    assert stage.pull("sdxl") == {"unet/model.fp16.safetensors"}


def test_a_refiner_comes_without_what_it_shares(stage: Stage) -> None:
    part = stage.catalog.find("sdxl-refined").parts["refiner"]
    others = {"unet/model.safetensors": weights("other"), "vae/config.json": b"{}"}
    stage.hub.repos[part.repo] = Repo({part.file: weights("other"), part.config: b"{}", **others})
    stage.pull("sdxl")
    assert "models pull sdxl-refined" in absent(stage.catalog.find("sdxl-refined"), stage.models)
    assert stage.pull("sdxl-refiner") == {part.file, part.config}
    assert not absent(stage.catalog.find("sdxl-refined"), stage.models)


def test_a_checkpoint_is_brought_what_its_file_lacks_and_no_more(stage: Stage) -> None:
    stage.models.mkdir()
    write(stage.models / "mine.safetensors", IN_ONE_FILE)
    card = stage.catalog.find("mine")
    assert "models pull mine" in absent(card, stage.models)
    words = {"model_index.json", "tokenizer/vocab.json", "unet/config.json", "vae/config.json"}
    assert stage.pull("mine") == words
    assert absent(card, stage.models) == ""
    with pytest.raises(Refused, match="mine is here; nothing has to be fetched"):
        stage.pull("mine")
    assert "is not whole" in absent(stage.catalog.find("sdxl"), stage.models)
    write(stage.models / "bare.safetensors", without(IN_ONE_FILE, "first_stage_model"))
    assert stage.pull("bare") == {"vae/model.fp16.safetensors"}
    disk.remove(card, list(stage.catalog.cards.values()), stage.models)
    assert absent(stage.catalog.find("bare"), stage.models) == ""


def test_how_much_will_come_is_known_before(stage: Stage) -> None:
    card = stage.catalog.find("sdxl")
    files = stage.hub.repos[SDXL].files
    whole = hub.whole(card)
    stage.pull("sdxl")
    here = (
        *find_all(stage.models.parent / "cache", "*.json"),
        *find_all(stage.models.parent, "*.fp16.*"),
    )
    assert whole == sum(len(files[name]) for name in here) <= hub.begun(repositories(card))
    assert hub.whole(stage.catalog.find("flux-dev")) is None


def test_how_much_of_a_checker_will_come_is_known_before(stage: Stage) -> None:
    card = load_checkers(Settings().presets)["falconsai"]
    assert hub.whole_checker(card) is None
    files = {
        "config.json": b"{}",
        "preprocessor_config.json": b"{}",
        "model.safetensors": weights(),
    }
    stage.hub.repos[card.repo] = Repo({**files, "pytorch_model.bin": bytes(900)})
    assert hub.whole_checker(card) == sum(map(len, files.values()))


def find_all(folder: Path, pattern: str) -> list[str]:
    """Of the snapshots there, as their repositories call them."""
    found = [file for file in folder.rglob(pattern) if "snapshots" in file.parts]
    return ["/".join(file.parts[file.parts.index("snapshots") + 2 :]) for file in found]


def test_what_came_along_or_is_no_repository_is_not_fetched(stage: Stage) -> None:
    with pytest.raises(Refused, match="Starter is here; nothing has to be fetched"):
        stage.pull("starter")
    elsewhere = stage.catalog.find("sdxl").model_copy(update={"repo": "/nowhere/model"})
    with pytest.raises(Refused, match="/nowhere/model is no name of the hub's"):
        hub.pull(elsewhere, stage.models)


def test_a_repository_becomes_a_model_while_the_studio_is_open(stage: Stage) -> None:
    said = stage.add("someone/My_XL")
    assert "is the model my_xl, painted as SDXL 1.0 is" in said
    assert said.endswith("python app.py models pull my_xl")
    card, base = stage.catalog.find("my_xl"), stage.catalog.find("sdxl")
    assert (card.repo, card.revision, card.variant) == ("someone/My_XL", SHA, None)
    assert (card.sizes, card.samplers, card.can) == (base.sizes, base.samplers, base.can)
    assert (card.steps, card.guidance, card.lora_base) == (30, 5.0, base.lora_base)
    assert (card.title, card.licence, card.parts) == ("My_XL", "fair", {})
    assert "python app.py models pull my_xl" in absent(card, stage.models)
    assert "unet/model.safetensors" in stage.pull("my_xl")
    assert SHA in find_weights(card, stage.models)
    disk.remove(card, list(stage.catalog.cards.values()), stage.models)
    assert not (stage.models / "cards" / "my_xl.toml").exists()
    with pytest.raises(Refused, match="there is no model 'my_xl'"):
        stage.catalog.find("my_xl")


def test_its_card_takes_after_the_nearest_of_its_family(stage: Stage) -> None:
    stage.add("someone/flux", "mine")
    assert stage.catalog.find("mine").steps == 28  # it takes guidance, as FLUX.1 dev does
    stage.hub.repos["someone/flux"].page["base_model"] = ["black-forest-labs/FLUX.1-schnell"]
    stage.add("someone/flux", "fast")
    assert stage.catalog.find("fast").steps == 4  # its page says what it was made from
    stage.hub.repos["other/XL"] = Repo(
        diffusers_folder("StableDiffusionXLPipeline", "unet", ending=".fp16")
    )
    stage.add("other/XL")
    assert stage.catalog.find("xl").variant == "fp16"
    own = stage.models / "cards" / "xl.toml"
    own.write_text(own.read_text() + "guidance = 7\n")
    assert stage.catalog.find("xl").guidance == 7


@pytest.mark.parametrize(
    ("repo", "name", "said"),
    [
        ("someone/old", "", "it is a StableDiffusionPipeline; this studio paints with StableDiff"),
        ("someone/pickled", "", "its transformer has no safetensors"),
        ("someone/lora", "", "is no folder of diffusers.*in one file can be put into"),
        ("someone/nothing", "", "The hub has no someone/nothing"),
        ("someone/gated", "", "those who agreed to its licence.*co/someone/gated.*HF_TOKEN"),
        ("no name", "", "no name is no name of the hub's"),
        (SDXL, "", "is the model sdxl already: python app.py models pull sdxl"),
        ("someone/flux", "sdxl", "sdxl is a model already"),
        ("someone/flux", "lightning", "lightning is a model already"),
        ("someone/flux", "Mine!", "'Mine!' is none"),
        ("someone/flux", "", "flux is a model already; give another with --name"),
    ],
)
def test_what_cannot_be_added_is_refused_in_a_sentence(
    stage: Stage, repo: str, name: str, said: str
) -> None:
    with pytest.raises(DarkroomError, match=said):
        stage.add(repo, name)
    assert not (stage.models / "cards").exists()


def test_what_the_hub_refuses_is_a_sentence(stage: Stage) -> None:
    dev = stage.catalog.find("flux-dev")
    with pytest.raises(DarkroomError, match="The hub has no black-forest-labs/FLUX.1-dev, or not"):
        stage.pull("flux-dev")
    stage.hub.repos[dev.repo] = Repo(diffusers_folder("FluxPipeline", "transformer"), gated=True)
    with pytest.raises(DarkroomError, match="agreed to its licence.*FLUX.1-dev.*HF_TOKEN"):
        stage.pull("flux-dev")
    assert "transformer/model.safetensors" in stage.pull("flux-dev", token="hf_mine")
    assert "Bearer hf_mine" in stage.hub.tokens


def test_without_a_way_out_what_has_come_is_kept(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}",
    )
    for act in (stage.pull, stage.add):
        with pytest.raises(
            DarkroomError, match=r"fetched: the hub cannot be reached.*\. What.*is kept; ask again"
        ):
            act("sd3.5-medium" if act == stage.pull else "someone/My_XL")


def test_a_page_that_answers_in_the_hubs_place_is_no_answer(stage: Stage) -> None:
    stage.hub.portal = b"<!DOCTYPE html><title>Log in</title>"
    assert hub.whole(stage.catalog.find("sdxl")) is None
    with pytest.raises(hub.CannotFetch, match="someone/My_XL could not be fetched: "):
        stage.add("someone/My_XL")


def test_a_full_disk_is_said(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*asked: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hub, "snapshot_download", full)
    with pytest.raises(DarkroomError, match="No space left.*kept; ask again"):
        stage.pull("sdxl")


def test_what_was_begun_is_not_whole_and_says_so(stage: Stage) -> None:
    stage.pull("sdxl")
    (snapshot,) = (stage.models.parent / "cache").glob("models--stab*xl*/snapshots/*")
    shutil.rmtree(snapshot / "unet")
    card = stage.catalog.find("sdxl")
    assert "models pull sdxl" in absent(card, stage.models)
    assert disk.survey([card], stage.models)[0].place == "not whole"


def test_the_command_line_adds_lists_and_removes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DARKROOM_MODELS", str(stage.models))
    assert app.main(["models", "add", "someone/My_XL", "--name", "mine"]) == 0
    assert app.main(["models", "pull", "mine"]) == 0
    capsys.readouterr()
    assert app.main(["models", "list", "mine"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[0] == "mine" and "in the hub cache" in line
    assert app.main(["models", "remove", "mine"]) == 0
    assert app.main(["models", "list", "mine"]) == 1
    assert app.main(["models", "add"]) == 1
