"""LoRAs of every form on a real tiny SDXL, held against weights that were changed by hand."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from accelerate import cpu_offload
from safetensors.torch import save_file
from torch import nn
from torch._dynamo.testing import CompileCounter

from studio.engine.compiling import compile_blocks
from studio.engine.failures import PaintError
from studio.engine.paint import paint
from studio.engine.painter import Painter
from studio.engine.quantise import as_numbers
from studio.engine.recall import Recall
from studio.engine.residents import Residents
from studio.messages import Paint, Painted
from studio.request import LoraUse, read_request
from tests.engine.conftest import NUMPY_COPY, Job
from tests.engine.lora_files import FORMS, TUCKER, Tensors, write
from tests.engine.test_loras import differ, pixels

pytestmark = NUMPY_COPY
Do = Callable[..., Painted]
Hand = Callable[[nn.Module], torch.Tensor]

BLOCK = "down_blocks.1.attentions.0.transformer_blocks.0"
CONVOLUTION = "unet.down_blocks.0.resnets.0.conv1"
LAYERS = {
    f"unet.{BLOCK}.attn1.to_q": f"lora_unet_{BLOCK.replace('.', '_')}_attn1_to_q",
    f"unet.{BLOCK}.attn2.to_k": f"lora_unet_{BLOCK.replace('.', '_')}_attn2_to_k",
    CONVOLUTION: "lora_unet_input_blocks_1_0_in_layers_2",
    "unet.down_blocks.1.resnets.0.conv_shortcut": "lora_unet_down_blocks_1_resnets_0_conv_shortcut",
    "text_encoder.encoder.layers.0.self_attn.q_proj": (
        "lora_te1_text_model_encoder_layers_0_self_attn_q_proj"
    ),
    "text_encoder_2.text_model.encoder.layers.1.mlp.fc1": (
        "lora_te2_text_model_encoder_layers_1_mlp_fc1"
    ),
}
DORAS = ("lora", "locon", "loha", "lokr", "lokr of halves", "whole")
EVERY = [
    *FORMS,
    *(f"{form}+{axis}" for form in DORAS for axis in ("rows", "columns")),
    "lora+peft",
]


class Easel:
    """A painter, and files of LoRAs for it, each with the weights it makes of the model's."""

    def __init__(self, painter: Painter, folder: Path) -> None:
        self.painter, self.folder = painter, folder
        self.pipeline = painter.family.pipeline
        self.hands: dict[str, dict[str, Callable[[torch.Tensor], torch.Tensor]]] = {}

    def layer(self, name: str) -> Any:
        component, _, rest = name.partition(".")
        return getattr(self.pipeline, component).get_submodule(rest)

    def file(
        self,
        name: str,
        form: str,
        layers: Sequence[str] = tuple(LAYERS),
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> str:
        tensors: Tensors = {}
        self.hands[name] = {}
        for number, layer in enumerate(layers):
            shape = tuple(self.layer(layer).weight.shape)
            if form.partition("+")[0] in TUCKER and shape[2:] != (3, 3):
                continue
            written = write(form, shape, seed + number, dtype)
            self.hands[name][layer] = written.changed
            tensors |= {f"{LAYERS[layer]}.{piece}": t for piece, t in written.pieces.items()}
        path = self.folder / f"{name}.safetensors"
        save_file(tensors, path)
        return str(path)

    def wear(self, files: dict[str, str], *weights: float) -> list[str]:
        uses = [LoraUse(name=n, weight=w) for n, w in zip(files, weights, strict=True)]
        return self.painter.loras.wear(uses, files)

    def by_hand(self, layer: str, **weights: float) -> torch.Tensor:
        """The weight of a layer, and the sum of what each LoRA makes of it times its weight."""
        own = as_numbers(self.layer(layer))[0]
        return own + sum(
            weight * (self.hands[name][layer](own) - own)
            for name, weight in weights.items()
            if layer in self.hands[name]
        )


@pytest.fixture
def easel(painter: Painter, tmp_path: Path) -> Any:
    painter.loras.wear([], {})  # of the tests before
    yield Easel(painter, tmp_path)
    painter.loras.wear([], {})


def made_of(layer: Any, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = layer(x)
        return found


def through(layer: Any, weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        if isinstance(layer, nn.Conv2d):
            return torch.nn.functional.conv2d(
                x, weight, layer.bias, layer.stride, layer.padding, layer.dilation
            )
        return torch.nn.functional.linear(x, weight, layer.bias)


def for_layer(layer: Any) -> torch.Tensor:
    dice = torch.Generator().manual_seed(1)
    if isinstance(layer, nn.Conv2d):
        return torch.randn(2, layer.in_channels, 6, 5, generator=dice)
    return torch.randn(2, 7, layer.in_features, generator=dice)


@pytest.mark.parametrize("form", EVERY)
def test_every_form_is_what_its_trainer_meant(easel: Easel, form: str) -> None:
    """Layer by layer, at two weights; and off again each gives what it gave, bit by bit."""
    plain = {name: easel.layer(name) for name in LAYERS}
    before = {name: made_of(layer, for_layer(layer)) for name, layer in plain.items()}
    hand = {}
    file = easel.file("ink", form)
    for weight in (1.0, -0.6):
        hand = {name: easel.by_hand(name, ink=weight) for name in easel.hands["ink"]}
        assert easel.wear({"ink": file}, weight) == []
        for name, changed in hand.items():
            x = for_layer(plain[name])
            expected = through(plain[name], changed, x)
            assert (expected - before[name]).abs().max() > 0.01
            torch.testing.assert_close(
                made_of(easel.layer(name), x), expected, rtol=1e-3, atol=1e-4
            )
        easel.wear({}, *())
    for name, layer in plain.items():
        assert easel.layer(name) is layer
        assert torch.equal(made_of(layer, for_layer(layer)), before[name])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("form", ["loha+columns", "lokr of halves+rows", "locon+peft", "whole"])
def test_files_in_half_width_are_read_as_they_are(
    easel: Easel, form: str, dtype: torch.dtype
) -> None:
    file = easel.file("ink", form, [CONVOLUTION], dtype=dtype)
    plain = easel.layer(CONVOLUTION)
    expected = through(plain, easel.by_hand(CONVOLUTION, ink=0.5), for_layer(plain))
    easel.wear({"ink": file}, 0.5)
    made = made_of(easel.layer(CONVOLUTION), for_layer(plain))
    torch.testing.assert_close(made, expected, rtol=1e-3, atol=1e-4)


def message(job: Job, files: dict[str, str], *weights: float, **more: Any) -> Paint:
    uses = [{"name": n, "weight": w} for n, w in zip(files, weights, strict=True)]
    asked = job(**more)
    loras = read_request({"prompt": "x", "loras": uses}).model_dump(mode="json")["loras"]
    return replace(asked, request=asked.request | {"loras": loras}, loras=files)


MIXED = {"a": "lora", "b": "lokr+rows", "c": "loha", "d": "lora+rows", "e": "whole", "f": "lokr"}


def test_all_at_once_paint_as_if_they_were_in_the_weights(easel: Easel, job: Job, do: Do) -> None:
    """Six files on the same layers of the painter and of what reads, and none of them again."""
    before = do(job())
    files = {name: easel.file(name, form, seed=ord(name)) for name, form in MIXED.items()}
    weights = dict(zip(files, (0.2, 0.15, -0.1, 0.1, 0.05, 0.1), strict=True))
    hand = {name: easel.by_hand(name, **weights) for name in LAYERS}
    worn = do(message(job, files, *weights.values()))
    after = do(job())
    kept = {name: easel.layer(name).weight.detach().clone() for name in LAYERS}
    try:
        for name, weight in hand.items():
            easel.layer(name).weight.data.copy_(weight)
        easel.painter._recall = Recall()
        by_hand = do(job())
    finally:
        for name, weight in kept.items():
            easel.layer(name).weight.data.copy_(weight)
        easel.painter._recall = Recall()
    assert differ(worn, before) > 1
    assert np.abs(pixels(worn) - pixels(by_hand)).max() <= 1
    assert np.array_equal(pixels(before), pixels(after))
    marks = worn.recipe["fingerprint"]["loras"]
    kinds = ["LoRA", "LoKr with DoRA", "LoHa", "DoRA", "whole weights", "LoKr"]
    assert [mark.get("kind", "LoRA") for mark in marks] == kinds
    assert {(mark["fitting"], mark["layers"]) for mark in marks} == {(6, 6)}
    (met,) = worn.warnings
    assert met == (
        "The LoRAs 'b' and 'd' are DoRAs both and meet in 6 layers: each changes the model as it "
        "does alone, and both changes are added."
    )


def test_some_layers_are_of_one_form_and_some_of_another(easel: Easel) -> None:
    """As LyCORIS writes them, biases too; a layer that is not there is counted and named."""
    query, key, convolution, *_ = LAYERS
    plain = {name: easel.layer(name) for name in (query, key, convolution)}
    forms = {query: "lokr", key: "lora+rows", convolution: "loha tucker"}
    tensors: Tensors = {}
    hand = {}
    for name, form in forms.items():
        written = write(form, tuple(plain[name].weight.shape))
        tensors |= {f"{LAYERS[name]}.{piece}": t for piece, t in written.pieces.items()}
        own = plain[name].weight
        hand[name] = own + 0.5 * (written.changed(own) - own)
    bias = torch.linspace(-1, 1, len(plain[convolution].bias))
    tensors[f"{LAYERS[convolution]}.diff_b"] = bias
    tensors["lora_unet_nowhere.lokr_w1"] = torch.ones(2, 2)
    tensors["lora_unet_nowhere.lokr_w2"] = torch.ones(2, 2)
    file = easel.folder / "ink.safetensors"
    save_file(tensors, file)
    (said,) = easel.wear({"ink": str(file)}, 0.5)
    assert "3 of its 4 layers have a place" in said and "nowhere is none of its layers" in said
    assert easel.painter.loras._fits["ink"].kind == "DoRA, LoHa and LoKr"
    for name, weight in hand.items():
        x = for_layer(plain[name])
        expected = through(plain[name], weight, x)
        if name == convolution:
            expected = expected + 0.5 * bias[:, None, None]
        torch.testing.assert_close(made_of(easel.layer(name), x), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ({"lokr_w1": (4, 2), "lokr_w2": (12, 25)}, "there is 48 wide and 48 high, here 50 and 48"),
        ({"diff": (47, 48)}, "there is 48 wide and 48 high, here 48 and 47"),
        ({"diff": (48, 48, 3, 3)}, "there looks at another number of points"),
        ({"diff": (48, 48), "dora_scale": (47, 1)}, "the 47 lengths of its layer"),
        ({"diff": (48, 48), "lora_magnitude_vector": (1, 47)}, "the 47 lengths of its layer"),
    ],
)
def test_what_is_of_another_size_is_refused(
    easel: Easel, pieces: dict[str, tuple[int, ...]], why: str
) -> None:
    name = LAYERS[next(iter(LAYERS))]
    file = easel.folder / "ink.safetensors"
    save_file({f"{name}.{piece}": torch.ones(sides) for piece, sides in pieces.items()}, file)
    with pytest.raises(PaintError, match=why):
        easel.wear({"ink": str(file)}, 1.0)
    assert easel.painter.loras._beside == {}


@pytest.mark.parametrize("form", ["lokr+columns", "loha", "lora+rows", "whole"])
def test_a_model_stored_in_fp8_wears_every_form(
    easel: Easel, models: Path, job: Job, form: str
) -> None:
    residents = Residents("cpu", models, "auto")

    def done(asked: Paint) -> Painted:
        return paint(asked, residents, False, lambda word: None)

    bare = done(job(precision="fp8"))
    (painter,) = residents._painters.values()
    small = Easel(painter, easel.folder)
    name = next(iter(LAYERS))
    plain = small.layer(name)
    assert plain.weight.dtype == torch.float8_e4m3fn
    files = {"ink": small.file("ink", form, [name])}
    hand = small.by_hand(name, ink=0.7)
    worn = done(message(job, files, 0.7, precision="fp8"))
    assert differ(worn, bare) > 0.1
    x = for_layer(plain)
    expected = x @ hand.T + (0 if plain.bias is None else plain.bias.float())
    torch.testing.assert_close(made_of(small.layer(name), x), expected, rtol=1e-3, atol=1e-4)
    assert np.array_equal(pixels(done(job(precision="fp8"))), pixels(bare))


def test_blocks_that_are_compiled_already_see_what_is_put_on(
    easel: Easel, models: Path, job: Job
) -> None:
    """And neither another LoRA of that form nor another weight is another program."""
    residents, counter = Residents("cpu", models, "auto"), CompileCounter()

    def done(asked: Paint) -> np.ndarray[Any, Any]:
        return pixels(paint(asked, residents, False, lambda word: None))

    layers = [f"unet.{BLOCK}.attn1.to_q", f"unet.{BLOCK}.attn2.to_k"]
    files = {name: easel.file(name, "lokr", layers, seed) for seed, name in enumerate("ab")}
    a, b = ({name: file} for name, file in files.items())
    usual = [done(job()), done(message(job, a, 0.5)), done(message(job, b, 0.8))]
    (painter,) = residents._painters.values()
    torch.compiler.reset()
    compile_blocks(painter.family.pipeline, painter.plan)
    painter.family.pipeline.unet.compile_repeated_blocks(fullgraph=True, backend=counter)
    once = [done(job()), done(message(job, a, 0.5))]
    programs = counter.frame_count
    once.append(done(message(job, b, 0.8)))
    assert done(message(job, b, 0.2)).std() > 0
    assert np.array_equal(done(job()), usual[0])
    assert 0 < counter.frame_count == programs
    for made, expected in zip(once, usual, strict=True):
        assert np.abs(made - expected).max() <= 1
    assert np.abs(usual[1] - usual[0]).mean() > 0.5
    torch.compiler.reset()


def test_weights_are_read_as_they_count_where_they_are_elsewhere() -> None:
    layer = nn.Linear(3, 2)
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    cpu_offload(nn.Sequential(layer), execution_device=torch.device("cpu"))
    assert layer.weight.is_meta
    found, own = as_numbers(layer)
    assert torch.equal(found, weight) and own is not None and torch.equal(own, bias)
    assert layer.weight.is_meta


def test_weights_in_four_bits_are_read_as_they_count() -> None:
    bits = pytest.importorskip("bitsandbytes")
    layer = nn.Linear(64, 64, bias=False)
    packed = bits.nn.Linear4bit(64, 64, False, quant_type="nf4", compute_dtype=torch.float32)
    packed.load_state_dict(layer.state_dict())
    found, _ = as_numbers(packed.to("cpu"))
    assert (found - layer.weight).abs().max() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("form", ["lokr+rows", "loha+columns", "lora+rows", "whole"])
def test_a_hundred_switches_of_every_form_keep_no_memory(
    easel: Easel, job: Job, do: Do, form: str
) -> None:
    """Whole weights of these layers are two megabytes: what stayed of one in ten would be seen."""
    pipeline = easel.pipeline
    names = [name for name, one in pipeline.unet.named_modules() if isinstance(one, nn.Linear)]
    flat = {f"unet.{name}": f"lora_unet_{name.replace('.', '_')}" for name in names}
    files = []
    for seed in range(2):
        tensors: Tensors = {}
        for name, there in flat.items():
            sides = tuple(easel.layer(name).weight.shape)
            if sides[0] % 4 == 0 and sides[1] % 2 == 0:
                written = write(form, sides, seed)
                tensors |= {f"{there}.{piece}": t for piece, t in written.pieces.items()}
        files.append({f"ink{seed}": str(easel.folder / f"ink{seed}.safetensors")})
        save_file(tensors, files[-1][f"ink{seed}"])
    process = psutil.Process()

    def switch(times: int) -> int:
        for turn in range(times):
            easel.wear(files[turn % 2], 1.0)
            if turn % 50 < 2:
                do(message(job, files[turn % 2], 1.0, steps=1))
        gc.collect()
        return int(process.memory_info().rss)

    before = switch(20)
    assert switch(100) - before < 10 * 2**20
