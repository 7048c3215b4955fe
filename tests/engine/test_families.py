"""Every card of every family paints with real classes at tiny size, from a folder on disk."""

import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image
from sentencepiece import SentencePieceTrainer
from transformers import T5Tokenizer

from studio.engine import preview
from studio.engine.family import FAMILIES
from studio.engine.job import Stopped
from studio.engine.paint import paint, paint_together
from studio.engine.residents import Residents
from studio.formats.metadata import read_recipe
from studio.messages import Cancelled, Failed, Paint, Painted, Progress
from studio.models import pipelines
from studio.models.card import ModelCard
from studio.request import read_request
from studio.settings import Settings
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog
from tests.engine import tiny
from tests.engine.conftest import NUMPY_COPY, handed

pytestmark = [
    NUMPY_COPY,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
MODULES = [
    import_module(f"{tiny.__name__}.{found.name}")
    for found in iter_modules(tiny.__path__)
    if found.name != "parts"
]
CARDS = {card: module for module in MODULES for card in module.CARDS}
STEPS, SIDE = 3, 64


class Atelier:
    """One family in small, loaded by the engine from the folder that it was saved to."""

    def __init__(self, card: ModelCard, models: Path, module: Any) -> None:
        fields: dict[str, Any] = {"min_side": 64, "memory_gb": 0.1, "weights": {}}
        fields |= {"variant": None}
        fields["parts"] = module.parts(card.name, models) if hasattr(module, "parts") else {}
        self.side = getattr(module, "SIDE", SIDE)
        fields["sizes"] = {"square": {"width": self.side, "height": self.side}}
        self.card = ModelCard.model_validate(card.model_dump() | fields)
        self.folder = models / card.name
        torch.manual_seed(7)  # the same weights, whatever was made before
        module.build(card.name).save_pretrained(self.folder)
        self.residents = Residents("cpu", models, "fp32")
        self._catalog = Catalog([self.card.model_copy(update={"default": True})], [])

    def job(self, name: str = "job", images: Sequence[Image.Image] = (), **fields: Any) -> Paint:
        wish = read_request({"prompt": "a red boat", "seed": 7, "steps": STEPS} | fields)
        files, sizes = handed(*images)
        settled = self._catalog.settle(wish, (), sizes)
        return Paint(
            inputs=files,
            job=name,
            token=1,
            request=settled.request.model_dump(mode="json"),
            card=settled.card.model_dump(mode="json"),
            folder=str(self.folder),
            wish=wish.model_dump(mode="json"),
            warnings=settled.warnings,
        )

    def paint(self, tell: Callable[[Any], None] = lambda word: None, **fields: Any) -> Painted:
        return paint(self.job(**fields), self.residents, False, tell)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Cards that differ from the first of their module in numbers alone pass the first test and
    the last; all others pass all. But the first, they are of the slow matrix."""
    if "atelier" in metafunc.fixturenames:
        brief = metafunc.function in (
            test_the_same_wish_is_the_same_picture_and_another_is_another,
            test_every_sampler_of_the_card_paints,
        )
        alike = {card for module in MODULES for card in getattr(module, "ALIKE", ())}
        first = {next(iter(module.CARDS)) for module in MODULES}
        cards = [
            pytest.param(card, id=card, marks=() if card in first else pytest.mark.slow)
            for card in sorted(CARDS if brief else CARDS.keys() - alike)
        ]
        metafunc.parametrize("atelier", cards, indirect=True, scope="module")


def open_atelier(
    request: pytest.FixtureRequest, catalog: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Atelier]:
    card, folder = request.param, tmp_path_factory.mktemp("models")
    atelier = Atelier(catalog.cards[card], folder, CARDS[card])
    yield atelier
    atelier.residents.clear()


atelier = pytest.fixture(scope="module")(open_atelier)


def pixels(painted: Painted, index: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    return np.asarray(Image.open(io.BytesIO(painted.pictures[index].data)).convert("RGB"), np.int16)


def test_the_same_wish_is_the_same_picture_and_another_is_another(atelier: Atelier) -> None:
    once = pixels(atelier.paint())
    assert once.std() > 1  # it is a picture
    assert np.array_equal(pixels(atelier.paint()), once)
    assert not np.array_equal(pixels(atelier.paint(seed=8)), once)
    assert not np.array_equal(pixels(atelier.paint(prompt="three cats in the snow")), once)


def test_beside_others_and_on_another_slot_it_is_the_picture_it_is_alone(atelier: Atelier) -> None:
    prompts = (*["a red boat"] * 8, "a cat", "three tall houses in the snow at night")
    jobs = [atelier.job(f"job{n}", prompt=words, seed=n) for n, words in enumerate(prompts)]
    ends: dict[str, Painted | Failed | Cancelled] = {}
    paint_together(
        [replace(job, at_once=8) for job in jobs],
        atelier.residents,
        False,
        lambda word: None,
        lambda end: ends.__setitem__(end.job, end),
    )
    elsewhere = Residents("cpu", atelier.folder.parent, "fp32")
    for job in (jobs[0], jobs[7], jobs[-1]):
        beside = ends[job.job]
        assert isinstance(beside, Painted)
        assert (beside.timings.get("together") == 8) or job is jobs[-1]
        alone = paint(job, atelier.residents, False, lambda word: None)
        assert np.abs(pixels(beside) - pixels(alone)).max() <= 1
    assert np.array_equal(pixels(paint(job, elsewhere, False, lambda word: None)), pixels(alone))


def test_every_step_is_told_and_after_each_it_can_be_stopped(atelier: Atelier) -> None:
    told: list[int] = []
    atelier.paint(tell=lambda word: told.append(word.step) if isinstance(word, Progress) else None)
    assert [step for step in dict.fromkeys(told) if step] == list(range(1, STEPS + 1))
    for last in range(STEPS + 1):

        def stop(word: Any, last: int = last) -> None:
            if isinstance(word, Progress) and word.step == last:
                raise Stopped

        with pytest.raises(Stopped):
            atelier.paint(tell=stop)
    atelier.paint()  # and it paints on


def test_a_sketch_is_a_small_picture_or_none(
    atelier: Atelier, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = atelier.residents.key(atelier.card, str(atelier.folder), "auto")
    family = atelier.residents.get(atelier.card, key).family
    monkeypatch.setattr(family, "quick", True, raising=False)  # as on a card
    monkeypatch.setattr(preview, "PAUSE_SECONDS", 0.0)
    sketches: list[bytes] = []

    def look(word: Any) -> None:
        if isinstance(word, Progress) and word.preview:
            sketches.append(word.preview)

    paint(atelier.job(), atelier.residents, True, look)
    # After the last step the picture itself follows.
    assert len(sketches) == getattr(CARDS[atelier.card.name], "SKETCHED", STEPS - 1)
    assert all(max(Image.open(io.BytesIO(one)).size) <= 256 for one in sketches)


def test_a_sketch_that_fails_costs_no_picture(
    atelier: Atelier, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = atelier.residents.key(atelier.card, str(atelier.folder), "auto")
    family = atelier.residents.get(atelier.card, key).family
    monkeypatch.setattr(preview, "PAUSE_SECONDS", 0.0)
    tried: list[int] = []

    def fail(latents: Any, request: Any) -> Any:
        tried.append(1)
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(family, "sketch", fail)
    assert paint(atelier.job(), atelier.residents, True, lambda word: None).pictures
    assert tried == [1]


def test_the_recipe_says_what_painted_it(atelier: Atelier) -> None:
    picture = Image.open(io.BytesIO(atelier.paint().pictures[0].data))
    recipe = read_recipe(picture.info["darkroom"])
    assert recipe["request"]["model"] == atelier.card.name
    assert recipe["fingerprint"]["model_hash"]
    assert recipe["fingerprint"]["scheduler"]
    assert recipe["fingerprint"]["dtype"] == "fp32"
    assert recipe["read"]["prompt"][0]["tokens"] > 3


def test_what_it_does_not_read_is_said(atelier: Atelier) -> None:
    if "long_prompts" in atelier.card.can:
        pytest.skip("it reads all")
    long = atelier.paint(prompt="a boat and " * 900)
    assert any(f"reads the first {atelier.card.tokens}" in said for said in long.warnings)
    assert not any("reads the first" in said for said in atelier.paint().warnings)


def test_a_negative_prompt_counts_where_the_card_says_so(atelier: Atelier) -> None:
    if "negative" not in atelier.card.can:
        pytest.skip("it takes none")
    wish = {"guidance": 4.0, "steps": 2}
    plain = pixels(atelier.paint(**wish))
    assert not np.array_equal(pixels(atelier.paint(**wish, negative_prompt="snow, rain")), plain)


def test_guidance_counts_where_the_card_says_so(atelier: Atelier) -> None:
    if "guidance" not in atelier.card.can:
        pytest.skip("it has none")
    weak, strong = (pixels(atelier.paint(guidance=scale, steps=2)) for scale in (1.5, 6.0))
    assert not np.array_equal(weak, strong)


PHOTO = Image.fromarray(np.random.default_rng(1).integers(0, 255, (8, 8, 3), np.uint8)).resize(
    (SIDE, SIDE), Image.Resampling.BICUBIC
)
OTHER = PHOTO.rotate(90)
MASK = Image.new("L", (SIDE, SIDE), 0)
MASK.paste(255, (0, 0, SIDE // 2, SIDE))
FREE = np.asarray(MASK) == 255


def name_of(image: Image.Image) -> str:
    return next(iter(handed(image)[0]))


def begun(image: Image.Image = PHOTO, **more: Any) -> dict[str, Any]:
    return {"images": [image, MASK], "start_image": name_of(image), **more}


MASKED = {"mask": name_of(MASK)}


def test_a_start_image_is_forgotten_at_strength_1_and_counts_below(atelier: Atelier) -> None:
    if "start_image" not in atelier.card.can:
        pytest.skip("it begins from none")
    forgotten = pixels(atelier.paint(**begun(strength=1)))
    assert np.abs(forgotten - pixels(atelier.paint())).max() <= 1
    one, other = (pixels(atelier.paint(**begun(of, strength=0.4))) for of in (PHOTO, OTHER))
    assert not np.array_equal(one, other) and not np.array_equal(one, forgotten)


def test_from_a_start_image_the_steps_are_as_many_as_promised(atelier: Atelier) -> None:
    if not {"start_image", "mask"} & atelier.card.can:
        pytest.skip("it begins from none")
    more = {} if "start_image" in atelier.card.can else MASKED
    ways = ((4, 0.5, 2), (7, 0.3, 2), (5, 0.61, 3))
    for steps, strength, taken in [way for way in ways if way[0] <= atelier.card.max_steps]:
        told: list[tuple[int, int]] = []

        def hear(word: Any, told: list[tuple[int, int]] = told) -> None:
            if isinstance(word, Progress):
                told.append((word.step, word.steps))

        atelier.paint(hear, **begun(steps=steps, strength=strength, **more))
        assert [step for step, _ in told if step] == list(range(1, taken + 1))
        assert {steps for _, steps in told} == {taken}


def test_what_a_mask_keeps_is_kept_to_the_bit(atelier: Atelier) -> None:
    if "mask" not in atelier.card.can:
        pytest.skip("it takes none")
    photo = np.asarray(PHOTO, np.int16)
    for strength in (0.7, 1.0):
        picture = pixels(atelier.paint(**begun(strength=strength, **MASKED)))
        assert np.array_equal(picture[~FREE], photo[~FREE])
        assert np.abs(picture[FREE] - photo[FREE]).mean() > 1


def test_beside_others_from_other_start_images_it_is_what_it_is_alone(atelier: Atelier) -> None:
    if "mask" not in atelier.card.can:
        pytest.skip("it begins from none")
    jobs = [
        atelier.job(f"job{n}", prompt=words, seed=n, **begun(image, strength=0.7, **MASKED))
        for n, (words, image) in enumerate((("a boat", PHOTO), ("a coat", OTHER)))
    ]
    ends: dict[str, Any] = {}
    paint_together(
        [replace(job, at_once=4) for job in jobs],
        atelier.residents,
        False,
        lambda word: None,
        lambda end: ends.__setitem__(end.job, end),
    )
    for job in jobs:
        alone = paint(job, atelier.residents, False, lambda word: None)
        assert ends[job.job].timings["together"] == 2
        assert np.abs(pixels(ends[job.job]) - pixels(alone)).max() <= 1


def test_references_are_read_in_their_order(atelier: Atelier) -> None:
    if "references" not in atelier.card.can:
        pytest.skip("it takes none")
    large = [image.resize((96, 64)) for image in (PHOTO, OTHER)]
    ids = [{"id": name_of(image)} for image in large]
    size = {"width": SIDE, "height": SIDE}
    none, one, both, turned = (
        pixels(atelier.paint(images=large, references=some, **size))
        for some in ((), ids[:1], ids, ids[::-1])
    )
    for picture, other in ((none, one), (one, both), (both, turned)):
        assert picture.shape == other.shape and not np.array_equal(picture, other)
    beside = {"images": [*large, PHOTO, MASK], "start_image": name_of(PHOTO), **MASKED}
    masked = [pixels(atelier.paint(**beside, references=some)) for some in ((), ids[:1])]
    assert not np.array_equal(*masked)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_each_family_is_known_by_its_pipeline(family: str) -> None:
    module = import_module(f"studio.engine.families.{family}")
    kind = getattr(module, FAMILIES[family])
    pipeline = getattr(kind, "kind", StableDiffusionXLPipeline)
    named = {name for name, known in pipelines.FAMILIES.items() if known == family}
    assert named & {base.__name__ for base in pipeline.__mro__}


def test_every_sampler_of_the_card_paints(atelier: Atelier) -> None:
    painted = {
        one.name: pixels(atelier.paint(sampler=one.name, steps=4)) for one in atelier.card.samplers
    }
    assert all(picture.std() > 1 for picture in painted.values())


def test_a_new_checkpoint_of_a_known_family_is_one_file(tmp_path: Path) -> None:
    presets = Path(shutil.copytree(Settings().presets, tmp_path / "presets"))
    card = (presets / "models" / "flux-schnell.toml").read_text()
    card = card.replace('title = "FLUX.1 schnell"', 'title = "Mine"').replace('["flux"]', "[]")
    card = card.replace("black-forest-labs/FLUX.1-schnell", "someone/mine")
    (presets / "models" / "mine.toml").write_text(card)
    mine = load_catalog(presets, "").cards["mine"]
    painted = Atelier(mine, tmp_path / "models", CARDS["flux-schnell"]).paint()
    assert painted.recipe["request"]["model"] == "mine"
    assert pixels(painted).std() > 1


def test_a_vocabulary_of_sentencepiece_alone_is_read(tmp_path: Path) -> None:
    """As PixArt and Hunyuan have it: without a tokenizer.json."""
    text = tmp_path / "text"
    text.write_text("\n".join(["a red boat on the sea", "three cats in the snow at night"] * 60))
    SentencePieceTrainer.train(
        input=str(text), model_prefix=str(tmp_path / "spiece"), vocab_size=24,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
    )  # fmt: skip
    config = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "model_max_length": 512}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = T5Tokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert tokenizer.decode(tokenizer("a red boat").input_ids, skip_special_tokens=True) == (
        "a red boat"
    )
