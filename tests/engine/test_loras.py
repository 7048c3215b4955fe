"""LoRAs on a real tiny SDXL: put on, weighed, counted, and taken off without a trace."""

import gc
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from studio.engine.failures import PaintError
from studio.engine.paint import paint
from studio.engine.painter import Painter
from studio.engine.residents import Residents
from studio.formats.metadata import read_recipe
from studio.messages import Paint, Painted
from studio.models.lora_hub import Source
from studio.models.lora_shapes import MOST_RANK
from studio.request import read_request
from tests.engine.conftest import NUMPY_COPY, SMALL, Job

pytestmark = NUMPY_COPY
Do = Callable[..., Painted]
Tensors = dict[str, torch.Tensor]

DOWN = "down_blocks.1.attentions.0.transformer_blocks.0."
LAYERS = {
    f"{DOWN}attn1.to_q": (48, 48),
    f"{DOWN}attn2.to_k": (48, 64),
    "mid_block.attentions.0.transformer_blocks.0.attn1.to_v": (64, 64),
}
CONVOLUTION = "down_blocks.0.resnets.0.conv1"
ENCODER = "text_model.encoder.layers.0.self_attn.q_proj"
RANK = 2


def pairs(seed: int = 0) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Both halves of each layer of the UNet."""
    dice = torch.Generator().manual_seed(seed)
    return {
        name: (torch.randn(RANK, wide, generator=dice), torch.randn(high, RANK, generator=dice))
        for name, (high, wide) in LAYERS.items()
    }


def peft(seed: int = 0) -> Tensors:
    found = {}
    for name, (down, up) in pairs(seed).items():
        found |= {f"unet.{name}.lora_A.weight": down, f"unet.{name}.lora_B.weight": up}
    return found


def old_diffusers(seed: int = 0) -> Tensors:
    found = {}
    for name, (down, up) in pairs(seed).items():
        found |= {f"unet.{name}.lora.down.weight": down, f"unet.{name}.lora.up.weight": up}
    return found


def kohya(seed: int = 0) -> Tensors:
    """With an alpha of half the rank, so twice as large to paint the same."""
    found = {}
    for name, (down, up) in pairs(seed).items():
        flat = f"lora_unet_{name.replace('.', '_')}"
        found |= {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up * 2}
        found[f"{flat}.alpha"] = torch.tensor(RANK / 2)
    return found


@pytest.fixture
def asked(job: Job, tmp_path: Path) -> Callable[..., Paint]:
    """A job with LoRAs; their files are written now."""

    def make(files: dict[str, Tensors], weights: tuple[float, ...] = (1.0,), **more: Any) -> Paint:
        for name, tensors in files.items():
            save_file(tensors, tmp_path / f"{name}.safetensors")
        uses = [{"name": n, "weight": w} for n, w in zip(files, weights, strict=True)]
        message = job(**more)
        loras = read_request({"prompt": "x", "loras": uses}).model_dump(mode="json")["loras"]
        paths = {name: str(tmp_path / f"{name}.safetensors") for name in files}
        return replace(message, request=message.request | {"loras": loras}, loras=paths)

    return make


def pixels(painted: Painted) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(painted.pictures[0].data)).convert("RGB")).astype(int)


def hung(part: torch.nn.Module) -> list[torch.nn.Module]:
    """Those of its layers that a LoRA hangs beside."""
    return [one for one in part.modules() if one._forward_hooks or one._forward_pre_hooks]


def differ(one: Painted, other: Painted) -> float:
    return float(np.abs(pixels(one) - pixels(other)).mean())


Asked = Callable[..., Paint]


def test_it_paints_as_if_it_were_in_the_weights(
    asked: Asked, job: Job, do: Do, painter: Painter
) -> None:
    worn = do(asked({"ink": peft()}, (0.5,)))
    do(job())
    unet = painter.family.pipeline.unet
    before = {name: unet.get_submodule(name).weight.detach().clone() for name in LAYERS}
    try:
        for name, (down, up) in pairs().items():
            unet.get_submodule(name).weight.data += 0.5 * up @ down
        by_hand = do(job())
    finally:
        for name, weight in before.items():
            unet.get_submodule(name).weight.data.copy_(weight)
    assert differ(worn, do(job())) > 1
    assert np.abs(pixels(worn) - pixels(by_hand)).max() <= 1


def makers() -> Tensors:
    """As kohya's scripts call them: by the row of blocks that SDXL's makers count."""
    names = {
        "down_blocks_1_attentions_0": "input_blocks_3_1",
        "mid_block_attentions_0": "middle_block_1",
    }
    found = kohya()
    for ours, theirs in names.items():
        found = {name.replace(ours, theirs): tensor for name, tensor in found.items()}
    return found


@pytest.mark.parametrize("layout", [old_diffusers, kohya, makers])
def test_every_layout_paints_the_same(asked: Asked, do: Do, layout: Callable[[], Tensors]) -> None:
    first = do(asked({"ink": peft()}))
    other = do(asked({"other": layout()}))
    assert np.array_equal(pixels(first), pixels(other))
    assert other.warnings == ()


def test_diffusers_own_note_of_its_scale_is_honoured(asked: Asked, job: Job, do: Do) -> None:
    message = asked({"ink": peft()})
    half = do(asked({"half": peft()}, (0.5,)))
    says = {"unet.lora_alpha": RANK / 2, "unet.r": RANK}
    note = {"lora_adapter_metadata": json.dumps(says)}
    save_file(peft(), Path(message.loras["ink"]), note)
    assert np.abs(pixels(do(message)) - pixels(half)).max() <= 1
    source = Source("a/b", "0" * 40, "adapter_model.safetensors", "", alpha=RANK / 2)
    bare = {f"base_model.model.{name}": tensor for name, tensor in peft().items()}
    message = asked({"from-peft": bare})
    note_file = Path(message.loras["from-peft"]).with_suffix(".json")
    note_file.write_text(json.dumps(asdict(source)))
    assert np.abs(pixels(do(message)) - pixels(half)).max() <= 1


def test_the_text_encoder_may_have_another_weight_than_the_painter(asked: Asked, do: Do) -> None:
    encoder = {f"text_encoder_2.{ENCODER}.lora_A.weight": torch.randn(RANK, 32)}
    encoder[f"text_encoder_2.{ENCODER}.lora_B.weight"] = torch.randn(32, RANK) * 5
    both = peft() | encoder

    def worn(**use: Any) -> Painted:
        message = asked({"both": both})
        uses = read_request({"prompt": "x", "loras": [{"name": "both", **use}]})
        return do(replace(message, request=message.request | uses.model_dump(include={"loras"})))

    alone = do(asked({"ink": peft()}))
    assert np.array_equal(pixels(worn(components={"text_encoder": 0.0})), pixels(alone))
    mixed = worn(weight=0.0, components={"unet": 1.0})
    assert np.array_equal(pixels(mixed), pixels(alone))
    assert mixed.recipe["fingerprint"]["loras"][0]["components"] == {"unet": 1.0}
    assert differ(worn(), alone) > 0.1


@pytest.mark.slow
def test_a_hundred_switches_keep_no_memory(asked: Asked, do: Do, painter: Painter) -> None:
    """Each file is of a megabyte: what stayed of one in ten would be seen."""
    dice = torch.Generator().manual_seed(0)
    unet = painter.family.pipeline.unet
    names = [name for name, _ in unet.named_modules() if name.endswith("attn1.to_q")]
    rank = 2**20 // sum(4 * sum(unet.get_submodule(name).weight.shape) for name in names)

    def large() -> Tensors:
        found = {}
        for name in names:
            high, wide = unet.get_submodule(name).weight.shape
            found[f"unet.{name}.lora_A.weight"] = torch.randn(rank, wide, generator=dice) / rank
            found[f"unet.{name}.lora_B.weight"] = torch.randn(high, rank, generator=dice) / rank
        return found

    process = psutil.Process()
    messages = [asked({name: large()}, steps=1) for name in ("one", "two")]
    worn = [(read_request(message.request).loras, message.loras) for message in messages]

    def switch(times: int) -> int:
        for turn in range(times):
            painter.loras.wear(*worn[turn % 2])
            if turn % 20 < 2:
                do(messages[turn % 2])
        gc.collect()
        return int(process.memory_info().rss)

    before = switch(20)
    assert switch(100) - before < 10 * 2**20


def test_the_next_picture_without_it_is_the_one_before_bit_by_bit(
    asked: Asked, job: Job, do: Do, painter: Painter
) -> None:
    encoder = {f"text_encoder.{ENCODER}.lora_A.weight": torch.randn(RANK, 32)}
    encoder[f"text_encoder.{ENCODER}.lora_B.weight"] = torch.randn(32, RANK)
    convolution = {f"unet.{CONVOLUTION}.lora_A.weight": torch.randn(RANK, 32, 3, 3)}
    convolution[f"unet.{CONVOLUTION}.lora_B.weight"] = torch.randn(32, RANK, 1, 1)
    before = do(job())
    own = [hung(part) for part in painter.modules()]
    worn = do(asked({"ink": peft() | encoder | convolution, "neon": kohya(1)}, (0.8, -0.5)))
    after = do(job())
    assert worn.warnings == ()
    assert differ(worn, before) > 1
    assert np.array_equal(pixels(before), pixels(after))
    assert [hung(part) for part in painter.modules()] == own


def test_words_are_heard_by_the_encoders_it_changes(asked: Asked, job: Job, do: Do) -> None:
    encoder = {f"text_encoder_2.{ENCODER}.lora_A.weight": torch.randn(RANK, 32)}
    encoder[f"text_encoder_2.{ENCODER}.lora_B.weight"] = torch.randn(32, RANK) * 5
    assert differ(do(asked({"ink": encoder})), do(job())) > 0.1


def test_it_stays_while_the_next_wish_wants_the_same(
    asked: Asked, job: Job, do: Do, painter: Painter
) -> None:
    loads = []
    load = painter.loras._put_on
    painter.loras._put_on = lambda *given: (loads.append(1), load(*given))[1]  # type: ignore[method-assign]
    try:
        one = do(asked({"ink": peft()}, (0.4,)))
        other = do(asked({"ink": peft()}, (0.8,)))
        again = do(asked({"ink": peft()}, (0.4,)))
        assert len(loads) == 1
        assert np.array_equal(pixels(one), pixels(again)) and differ(one, other) > 0.5
        do(asked({"ink": peft(seed=5)}))  # another file of the same name
        assert len(loads) == 2
        assert np.array_equal(pixels(do(asked({"ink": peft()}, (0.4,)))), pixels(one))
    finally:
        painter.loras._put_on = load  # type: ignore[method-assign]
        do(job())


def test_a_weight_of_zero_is_no_lora_at_all(asked: Asked, job: Job, do: Do) -> None:
    painted = do(asked({"ink": peft()}, (0.0,)))
    assert np.array_equal(pixels(painted), pixels(do(job())))
    assert "loras" not in painted.recipe["fingerprint"]


@pytest.mark.parametrize(
    ("name", "sides", "why"),
    [
        ("down_blocks.7.conv", (8, 8), "down_blocks_7_conv is none of its layers"),
        (
            "mid_block.attentions.0.transformer_blocks.0.attn1.to_q",
            (7, 64),
            "mid_block_attentions_0_transformer_blocks_0_attn1_to_q there is 64 wide and 64 high, "
            "here 7 and 64",
        ),
        (CONVOLUTION, (32, 32), "down_blocks_0_resnets_0_conv1 there looks at another number of"),
    ],
)
def test_what_fits_in_part_is_counted_and_said(
    asked: Asked, do: Do, name: str, sides: tuple[int, int], why: str
) -> None:
    stray = {f"unet.{name}.lora_A.weight": torch.randn(RANK, sides[0])}
    stray[f"unet.{name}.lora_B.weight"] = torch.randn(sides[1], RANK)
    painted = do(asked({"ink": peft() | stray}))
    (sentence,) = painted.warnings
    assert sentence.startswith(
        "The LoRA 'ink' fits in part: 3 of its 4 layers have a place in Test pattern (untrained); "
        + why
    )
    assert sentence in painted.recipe["warnings"]
    (mark,) = painted.recipe["fingerprint"]["loras"]
    assert (mark["fitting"], mark["layers"]) == (3, 4)
    assert do(asked({"ink": peft() | stray})).warnings == (sentence,)  # also when it stayed on
    assert np.array_equal(pixels(painted), pixels(do(asked({"ink": peft()}))))


@pytest.mark.parametrize(
    "damage", ["elsewhere", "kohya", "nan", "cut", "loha", "dora", "oft", "rank"]
)
def test_what_does_not_fit_fails_by_the_name_of_its_file(
    asked: Asked, job: Job, do: Do, damage: str
) -> None:
    before = do(job())
    tensors = peft()
    if damage == "elsewhere":
        tensors = {f"transformer.{name}": tensor for name, tensor in tensors.items()}
    elif damage == "rank":
        tensors[f"unet.{DOWN}attn1.to_q.lora_A.weight"] = torch.zeros(MOST_RANK + 1, 48)
    elif damage == "dora":
        tensors[f"unet.{DOWN}attn1.to_q.dora_scale"] = torch.ones(47)
    elif damage == "oft":
        tensors[f"unet.{DOWN}attn1.to_q.oft_blocks"] = torch.ones(4, 4)
    elif damage == "kohya":
        flat = "lora_unet_double_blocks_0_img_attn_proj"
        tensors = {f"{flat}.lora_down.weight": torch.zeros(RANK, 8)}
        tensors |= {f"{flat}.lora_up.weight": torch.zeros(8, RANK)}
    elif damage == "nan":
        tensors[f"unet.{DOWN}attn1.to_q.lora_A.weight"][0, 0] = float("nan")
    elif damage == "loha":
        tensors = {f"lora_unet_{DOWN.replace('.', '_')}attn1_to_q.hada_w1_a": torch.zeros(8, 8)}
    message = asked({"other": peft(3), "ink": tensors}, (1.0, 1.0))
    if damage == "cut":
        file = Path(message.loras["ink"])
        file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(PaintError, match=r"^loras: ink\.safetensors .*pick another\.$") as error:
        do(message)
    assert error.value.code == "model_invalid"
    assert np.array_equal(pixels(do(job())), pixels(before))


def test_a_file_that_went_away_is_missing(asked: Asked, do: Do) -> None:
    message = asked({"ink": peft()})
    Path(message.loras["ink"]).unlink()
    with pytest.raises(PaintError, match=r"ink\.safetensors is no longer there") as error:
        do(message)
    assert error.value.code == "model_missing"


def test_the_picture_says_what_it_wore(asked: Asked, do: Do) -> None:
    painted = do(asked({"ink": peft(), "neon": peft(1), "off": peft(2)}, (0.8, 1.0, 0.0)))
    info = Image.open(io.BytesIO(painted.pictures[0].data)).info
    worn = read_recipe(info["darkroom"])["fingerprint"]["loras"]
    assert [(one["name"], one["weight"], len(one["sha256"])) for one in worn] == [
        ("ink", 0.8, 64),
        ("neon", 1.0, 64),
    ]
    content = Path(asked({"ink": peft()}).loras["ink"]).read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    assert worn[0]["autov3"] == hashlib.sha256(content[header:]).hexdigest()[:12]
    hashes = ", ".join(f"{one['name']}: {one['autov3']}" for one in worn)
    assert f'Lora hashes: "{hashes}"' in info["parameters"]
    tags = "<lora:ink:0.8> <lora:neon:1> <lora:off:0>"
    assert info["parameters"].startswith(f"{SMALL['prompt']} {tags}\n")


def test_a_lora_is_worn_by_a_model_stored_in_fp8_and_leaves_nothing_behind(
    asked: Callable[..., Paint], models: Path, job: Job
) -> None:
    residents = Residents("cpu", models, "auto")

    def done(message: Paint) -> Painted:
        return paint(message, residents, False, lambda word: None)

    bare = done(job(precision="fp8"))
    worn = done(asked({"mine": peft()}, precision="fp8"))
    assert worn.recipe["fingerprint"]["quant"] == "fp8"
    assert differ(worn, bare) > 1
    (painter,) = residents._painters.values()
    layer = painter.family.pipeline.unet.get_submodule(next(iter(LAYERS)))
    down, up = pairs()[next(iter(LAYERS))]
    assert layer.weight.dtype == torch.float8_e4m3fn
    (change,) = painter.loras._beside[layer].changes
    assert torch.equal(change.form.down, down)  # nothing of it was rounded
    assert torch.equal(change.form.up, up)
    assert np.array_equal(pixels(done(job(precision="fp8"))), pixels(bare))
