"""On a real card: `python -m pytest -m gpu`. The promises of the engine, where they are hardest."""

import io
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image

from starter import denoiser
from starter.album import SHARD, Album
from starter.evaluate import Easel
from starter.train import OUT, words_of
from studio.engine.device import be_steady, find_libraries
from studio.engine.ladder import Ladder
from studio.engine.paint import paint, paint_together
from studio.engine.painter import Painter
from studio.engine.plan import Plan
from studio.engine.residents import Residents
from studio.engine.ways import Offload
from studio.messages import Cancelled, Paint, Painted
from studio.models.precision import Quant
from studio.request import Precision
from studio.settings import ROOT, Attention
from studio.wishes.catalog import Catalog
from tests.engine.conftest import Job
from tests.engine.test_families import CARDS, Atelier
from tests.engine.test_families import pytestmark as quiet
from tests.engine.test_redraw import HALF, begun
from tests.engine.test_worker import Worker

pytestmark = [
    pytest.mark.gpu,
    *quiet,  # of diffusers, of the compiler, and of torch before 2.13 about the switches of TF32
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card here"),
]
PLACES: tuple[tuple[Offload, Quant], ...] = (
    ("none", "none"),
    ("model", "none"),
    ("sequential", "none"),
    ("none", "fp8"),
    ("model", "fp8"),
)
LARGE = {"width": 512, "height": 512, "steps": 2}


@pytest.fixture(autouse=True)
def steady() -> None:
    """As in a worker."""
    be_steady()


@pytest.fixture
def card_residents(models: Path) -> Residents:
    return Residents("cuda", models, "auto")


def pixels(painted: Painted) -> np.ndarray:  # type: ignore[type-arg]
    return np.asarray(Image.open(io.BytesIO(painted.pictures[0].data)).convert("RGB"), np.int16)


def done(job: Paint, residents: Residents) -> Painted:
    return paint(job, residents, False, lambda word: None)


def apart(one: Painted, other: Painted) -> int:
    return int(np.abs(pixels(one) - pixels(other)).max())


def test_the_plan_is_the_cards(card_residents: Residents, job: Job) -> None:
    told = done(job(), card_residents).recipe["fingerprint"]
    assert told["device"].startswith("cuda")
    assert told["dtype"] in ("bf16", "fp16")
    assert told["offload"] == "none"
    assert torch.cuda.get_device_name() in told["plan"]


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_the_same_wish_is_the_same_picture(
    card_residents: Residents, job: Job, models: Path, precision: str
) -> None:
    wish = job(precision=precision, width=512, height=512)
    once = done(wish, card_residents)
    done(job(precision=precision, prompt="another (thing:1.3)"), card_residents)
    assert apart(done(wish, card_residents), once) == 0
    assert apart(done(wish, Residents("cuda", models, "auto")), once) == 0  # loaded anew


@pytest.mark.parametrize(("precision", "most"), [("fp32", 1), ("auto", 12)])
def test_beside_others_it_is_the_picture_it_is_alone(
    card_residents: Residents, job: Job, precision: str, most: int
) -> None:
    jobs = [job(f"job{n}", seed=n, precision=precision) for n in range(4)]
    ends: dict[str, Painted | Cancelled] = {}
    paint_together(
        [replace(one, at_once=4) for one in jobs],
        card_residents,
        False,
        lambda word: None,
        lambda end: ends.__setitem__(end.job, end),
    )
    for one in jobs:
        together = ends[one.job]
        assert isinstance(together, Painted)
        assert together.timings["together"] == 4
        far = apart(together, done(one, card_residents))
        print(f"{precision}: {far} levels apart")
        assert far <= most


def test_a_cpu_and_a_card_agree_in_fp32(
    card_residents: Residents, residents: Residents, job: Job
) -> None:
    wish = job(precision="fp32")
    far = apart(done(wish, card_residents), done(wish, residents))
    print(f"card and CPU: {far} levels apart")
    assert far <= 2


@pytest.mark.parametrize("kernel", ["math", "flash", "efficient", "cudnn"])
def test_each_of_torchs_kernels_paints_the_same_to_the_eye(
    models: Path, job: Job, kernel: Attention
) -> None:
    wish = job(precision="auto", width=256, height=256)
    usual = done(wish, Residents("cuda", models, "auto"))
    asked = done(wish, Residents("cuda", models, "auto", attention=kernel))
    print(f"{kernel}: {apart(asked, usual)} levels from {usual.recipe['fingerprint']['attention']}")
    assert asked.recipe["fingerprint"]["attention"] == f"AttnProcessor2_0 ({kernel})"
    assert apart(asked, usual) <= 12


def test_a_lora_leaves_nothing_behind() -> None:
    easel = Easel("cuda")
    wish = {"prompt": "a red car", "seed": 3}
    before = np.asarray(easel.paint(**wish))
    worn = np.asarray(easel.paint(**wish, loras=[{"name": "blueprint", "weight": 0.8}]))
    assert not np.array_equal(worn, before)
    assert np.array_equal(np.asarray(easel.paint(**wish)), before)


@pytest.mark.parametrize("start", [{}, begun(mask=HALF)], ids=["words", "a picture"])
def test_parts_that_take_turns_paint_the_same_picture(
    card_residents: Residents, job: Job, start: dict[str, Any]
) -> None:
    """Down the ladder by hand: tiles, then by parts, then layer by layer."""
    wish = job(precision="fp32", width=128, height=128, **start)
    usual = done(wish, card_residents)
    key = next(iter(card_residents._painters))
    seen = []
    while card_residents.lower(key):
        lowered = done(wish, card_residents)
        seen.append(lowered.recipe["fingerprint"]["offload"])
        print(seen[-1], apart(lowered, usual), "levels apart")
        assert apart(lowered, usual) <= 1
    assert seen == ["none", "model", "sequential"]


def test_memory_that_really_runs_out_costs_no_picture(models: Path, job: Job) -> None:
    """Another program takes all but a little; the picture is painted by a cheaper plan."""
    residents, wish = Residents("cuda", models, "auto"), job(**LARGE)
    wish = replace(wish, request={**wish.request, "width": 2048, "height": 2048})
    usual = done(wish, residents)
    rest = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    done(wish, residents)
    needed = torch.cuda.max_memory_allocated() - rest
    residents.clear()
    whole = torch.cuda.get_device_properties(0).total_memory
    try:
        torch.cuda.set_per_process_memory_fraction((rest + 0.7 * needed) / whole)
        ladder = Ladder(residents)
        painted = ladder.paint(wish, False, lambda word: None)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    print(f"needed {needed / 1e6:.0f} MB; {painted.warnings}; {apart(painted, usual)} levels")
    assert ladder.falls >= 1
    assert any("memory ran out" in warning for warning in painted.warnings)
    # Each tile is normalised by itself, and these weights are random: it is near, not equal.
    assert np.abs(pixels(painted) - pixels(usual)).mean() < 10


def test_two_workers_share_one_card(models: Path, job: Job) -> None:
    workers = [Worker(models, "--device", "cuda") for _ in range(2)]
    wish = job("both", precision="fp32", **LARGE)
    for worker in workers:
        worker.hear()
        worker.send(wish)
    ends = [worker.hear_until(Painted)[-1] for worker in workers]
    assert all(isinstance(end, Painted) for end in ends)
    assert apart(*ends) == 0  # type: ignore[arg-type]
    assert [worker.end() for worker in workers] == [0, 0]


def test_a_worker_that_is_killed_gives_its_memory_back(models: Path, job: Job) -> None:
    torch.cuda.empty_cache()
    before, _ = torch.cuda.mem_get_info()
    worker = Worker(models, "--device", "cuda")
    worker.paint(job(**LARGE))
    held, _ = torch.cuda.mem_get_info()
    assert held < before - 100e6
    worker.process.kill()
    worker.process.wait()
    until = time.monotonic() + 20
    while torch.cuda.mem_get_info()[0] < before - 50e6:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_the_whole_studio_paints_on_it(tmp_path: Path) -> None:
    """The pool finds the card, the worker paints on it, the recipe says so."""
    out = tmp_path / "car.png"
    environment = {**os.environ, "DARKROOM_DATA": str(tmp_path), "DARKROOM_DEFAULT_MODEL": ""}
    environment.pop("DARKROOM_DEFAULT_MODEL")
    command = [sys.executable, "app.py", "paint", "a red car", "--seed", "7", "--out", str(out)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=180)
    assert "cuda" in Image.open(out).info["darkroom"]


def test_the_trainer_learns_on_it(tmp_path: Path) -> None:
    kept = StableDiffusionXLPipeline.from_pretrained(OUT, dtype=torch.float32)
    learned = denoiser.learn(
        Album(tmp_path), kept.vae, words_of(kept), tmp_path, 64 * SHARD, 0.1, "cuda", kept.unet
    )
    assert next(learned.parameters()).is_cuda
    assert all(torch.isfinite(weight).all() for weight in learned.parameters())


FIRST = {module: card for card, module in reversed(CARDS.items())}


@pytest.mark.parametrize("name", [*sorted(FIRST.values()), "sdxl-refined"])
def test_every_family_takes_turns_is_cut_and_is_stored_in_fp8(
    catalog: Catalog, tmp_path: Path, name: str
) -> None:
    """Each by hand, at tiny size; only what is stored in fewer bits may be another picture."""
    atelier = Atelier(catalog.cards[name], tmp_path, CARDS[name])
    key = atelier.residents.key(atelier.card, str(atelier.folder), "auto")
    parts = atelier.residents._parts(atelier.card)
    usual: np.ndarray | None = None  # type: ignore[type-arg]
    for offload, quant in PLACES:
        plan = Plan("cuda:0", "fp32", "fp32", offload, False, "by hand", quant=quant)
        painter = Painter(atelier.card, atelier.folder, parts, plan, "a card")
        atelier.residents._painters[key] = painter
        painted = atelier.paint()
        usual = pixels(painted) if usual is None else usual
        far = np.abs(pixels(painted) - usual)
        print(f"{name}, {offload}, {quant}: {far.max()} levels, {far.mean():.2f} in the mean")
        assert painted.recipe["fingerprint"]["device"] == "cuda:0"
        assert far.max() <= 1 if quant == "none" else far.mean() < 0.5 * usual.std()
        atelier.residents.clear()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one card here")
@pytest.mark.parametrize("name", sorted(FIRST.values()))
def test_every_family_is_spread_over_two_cards(catalog: Catalog, tmp_path: Path, name: str) -> None:
    atelier = Atelier(catalog.cards[name], tmp_path, CARDS[name])
    key = atelier.residents.key(atelier.card, str(atelier.folder), "auto")
    seen = []
    for spread in (False, True):
        plan = Plan("cuda:0", "fp32", "fp32", "none", False, "by hand", spread=spread)
        atelier.residents._painters[key] = Painter(atelier.card, atelier.folder, {}, plan, "cards")
        seen.append(pixels(atelier.paint()))
        atelier.residents.clear()
    assert np.abs(seen[0] - seen[1]).max() <= 1


@pytest.mark.parametrize("precision", ["int8", "nf4"])
def test_the_libraries_for_fewer_bits_do_what_they_say(
    catalog: Catalog, tmp_path: Path, precision: Precision
) -> None:
    needed = {"int8": "torchao", "nf4": "bitsandbytes"}[precision]
    if needed not in find_libraries():
        pytest.skip(f"{needed} is not installed; requirements-gpu.txt has it")
    atelier = Atelier(catalog.cards["flux-schnell"], tmp_path, CARDS["flux-schnell"])
    residents = Residents("cuda", tmp_path, "auto")
    usual = paint(atelier.job(), residents, False, lambda word: None)
    painted = paint(atelier.job(precision=precision), residents, False, lambda word: None)
    assert painted.recipe["fingerprint"]["quant"] == precision
    far = np.abs(pixels(painted) - pixels(usual)).mean()
    print(f"{precision}: {far:.2f} levels in the mean")
    assert 0 < far < 0.5 * pixels(usual).std()


def test_a_compiled_model_paints_nearly_the_same_and_says_so(models: Path, job: Job) -> None:
    plain = done(job(**LARGE), Residents("cuda", models, "auto"))
    compiled = done(job(**LARGE), Residents("cuda", models, "auto", compiled=True))
    assert compiled.recipe["fingerprint"]["compiled"] is True
    assert "its blocks are compiled" in compiled.recipe["fingerprint"]["plan"]
    assert np.abs(pixels(compiled) - pixels(plain)).mean() < 5


def test_words_that_were_read_once_are_read_no_more_and_paint_the_same(
    card_residents: Residents, job: Job, models: Path
) -> None:
    first = done(job(), card_residents)
    painter = next(iter(card_residents._painters.values()))
    read: list[int] = []
    painter.family.pipeline.text_encoder.register_forward_pre_hook(lambda *_: read.append(1))
    again = done(job(), card_residents)
    assert not read
    assert apart(first, again) == 0
