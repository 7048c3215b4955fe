"""LoRAs on every family that takes them: where their layers go, in each layout, and off again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    Flux2Transformer2DModel,
    FluxTransformer2DModel,
    QwenImageTransformer2DModel,
    SanaTransformer2DModel,
    SD3Transformer2DModel,
    ZImageTransformer2DModel,
)
from safetensors.torch import save_file
from torch import nn

from bench.architectures import sdxl_unet
from studio.engine.failures import PaintError
from studio.engine.paint import paint
from studio.messages import Painted
from studio.models.lora_bases import bases_of
from studio.models.lora_layers import layers_of
from studio.request import read_request
from tests.engine.conftest import NUMPY_COPY
from tests.engine.lora_files import write
from tests.engine.test_families import Atelier, open_atelier, pixels
from tests.engine.test_loras import hung

pytestmark = [
    NUMPY_COPY,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
Tensors = dict[str, torch.Tensor]
RANK = 2
# Of each card that takes them: a layer as its makers call it, and what diffusers makes of it.
FUSED = {
    "flux-schnell": ("double_blocks.0.img_attn.qkv", "transformer_blocks.0.attn.to_{}", "qkv"),
    "chroma": ("double_blocks.0.img_attn.qkv", "transformer_blocks.0.attn.to_{}", "qkv"),
    "flux2-klein-4b": ("double_blocks.0.img_attn.qkv", "transformer_blocks.0.attn.to_{}", "qkv"),
    "sd3.5-medium": ("joint_blocks.0.x_block.attn.qkv", "transformer_blocks.0.attn.to_{}", "qkv"),
    "z-image-turbo": ("layers.0.attention.qkv", "layers.0.attention.to_{}", "qkv"),
    "qwen-image": ("transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.to_{}", "q"),
    "sana-1.5": ("transformer_blocks.0.attn1.to_q", "transformer_blocks.0.attn1.to_{}", "q"),
}
SINGLE = [f"attn.to_{name}" for name in "qkv"] + ["proj_mlp"]


atelier = pytest.fixture(scope="module", params=sorted(FUSED))(open_atelier)


def transformer(atelier: Atelier) -> Any:
    key = atelier.residents.key(atelier.card, str(atelier.folder), "auto")
    return atelier.residents.get(atelier.card, key).family.pipeline.transformer


def pair(wide: int, high: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    dice = torch.Generator().manual_seed(seed)
    return torch.randn(RANK, wide, generator=dice), torch.randn(high, RANK, generator=dice) * 3


def wear(atelier: Atelier, file: Path, tensors: Tensors, says: Any = None) -> Painted:
    save_file(tensors, file, says)
    message = atelier.job(steps=2)
    loras = read_request({"prompt": "x", "loras": [{"name": "ink"}]}).model_dump(mode="json")
    request = message.request | {"loras": loras["loras"]}
    message = replace(message, request=request, loras={"ink": str(file)})
    return paint(message, atelier.residents, False, lambda word: None)


def test_every_layout_is_the_same_picture_and_off_again_it_is_the_one_before(
    atelier: Atelier, tmp_path: Path
) -> None:
    theirs, ours, letters = FUSED[atelier.card.name]
    names = [ours.format(letter) for letter in letters]
    before = atelier.paint(steps=2)
    sides = [transformer(atelier).get_submodule(name).weight.shape for name in names]
    down, up = pair(sides[0][1], sum(high for high, _ in sides), 0)
    parts = dict(zip(names, up.split([high for high, _ in sides]), strict=True))
    flat = f"lora_unet_{theirs.replace('.', '_')}"
    layouts: dict[str, Tensors] = {
        "diffusers": {
            f"transformer.{name}.lora_{half}.weight": tensor.clone()
            for name, part in parts.items()
            for half, tensor in (("A", down), ("B", part))
        },
        "peft": {
            f"base_model.model.{theirs}.lora_A.weight": down,
            f"base_model.model.{theirs}.lora_B.weight": up,
        },
        "comfy": {
            f"diffusion_model.{theirs}.lora_A.weight": down,
            f"diffusion_model.{theirs}.lora_B.weight": up,
        },
        "kohya": {
            f"{flat}.lora_down.weight": down,
            f"{flat}.lora_up.weight": up * 4,
            f"{flat}.alpha": torch.tensor(RANK / 4),
        },
    }
    worn = {
        layout: wear(atelier, tmp_path / "ink.safetensors", tensors)
        for layout, tensors in layouts.items()
    }
    first = pixels(worn["diffusers"])
    assert np.abs(first - pixels(before)).mean() > 0.1
    for painted in worn.values():
        assert np.array_equal(pixels(painted), first)
        assert painted.warnings == before.warnings
        (mark,) = painted.recipe["fingerprint"]["loras"]
        assert mark["fitting"] == mark["layers"] > 0
    again = atelier.paint(steps=2)
    assert np.array_equal(pixels(again), pixels(before))
    assert not hung(transformer(atelier))


@pytest.mark.parametrize("form", ["lokr", "loha", "whole+rows", "lora+columns", "lokr+columns"])
def test_what_is_one_layer_to_the_makers_is_changed_as_one(
    atelier: Atelier, tmp_path: Path, form: str
) -> None:
    """Their queries, keys and values in every form, held against weights changed by hand."""
    theirs, ours, letters = FUSED[atelier.card.name]
    before = atelier.paint(steps=2)
    layers = [transformer(atelier).get_submodule(ours.format(letter)) for letter in letters]
    weights = [layer.weight.detach().clone() for layer in layers]
    whole = torch.cat(weights)
    written = write(form, tuple(whole.shape))
    changed = written.changed(whole).split([len(weight) for weight in weights])
    prefix = f"lora_unet_{theirs.replace('.', '_')}"
    tensors = {f"{prefix}.{piece}": tensor for piece, tensor in written.pieces.items()}
    worn = wear(atelier, tmp_path / "ink.safetensors", tensors)
    assert worn.warnings == before.warnings
    for letter, layer, weight in zip(letters, layers, changed, strict=True):
        x = torch.randn(2, 5, layer.in_features, generator=torch.Generator().manual_seed(1))
        expected = torch.nn.functional.linear(x, weight, layer.bias)
        with torch.no_grad():
            made = transformer(atelier).get_submodule(ours.format(letter))(x)
        torch.testing.assert_close(made, expected, rtol=1e-3, atol=1e-4)
        assert (made - torch.nn.functional.linear(x, layer.weight, layer.bias)).abs().max() > 0.1
    for layer, weight in zip(layers, changed, strict=True):
        layer.weight.data.copy_(weight)
    by_hand = atelier.paint(steps=2)
    for layer, weight in zip(layers, weights, strict=True):
        layer.weight.data.copy_(weight)
    assert np.abs(pixels(worn) - pixels(by_hand)).max() <= 1
    assert np.array_equal(pixels(atelier.paint(steps=2)), pixels(before))


@pytest.mark.parametrize("form", ["lokr", "loha", "lora+rows"])
def test_what_the_makers_have_the_other_way_round_is_turned(
    atelier: Atelier, tmp_path: Path, form: str
) -> None:
    if atelier.card.name != "flux-schnell":
        pytest.skip("of FLUX.1's last layer")
    atelier.paint(steps=2)
    layer = transformer(atelier).norm_out.linear
    halves = [part.clone() for part in layer.weight.detach().chunk(2)]
    written = write(form, tuple(layer.weight.shape))
    changed = written.changed(torch.cat(halves[::-1])).chunk(2)
    prefix = "lora_unet_final_layer_adaLN_modulation_1"
    tensors = {f"{prefix}.{piece}": tensor for piece, tensor in written.pieces.items()}
    wear(atelier, tmp_path / "ink.safetensors", tensors)
    x = torch.randn(2, layer.in_features, generator=torch.Generator().manual_seed(1))
    expected = torch.nn.functional.linear(x, torch.cat(changed[::-1]), layer.bias)
    with torch.no_grad():
        made = transformer(atelier).norm_out.linear(x)
    torch.testing.assert_close(made, expected, rtol=1e-3, atol=1e-4)
    atelier.paint(steps=2)


def test_of_another_model_none_of_its_layers_has_a_place(atelier: Atelier, tmp_path: Path) -> None:
    before = atelier.paint(steps=2)
    down, up = pair(48, 48, 0)
    name = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    tensors = {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    with pytest.raises(PaintError, match="none of its 1 layers has a place there; down_blocks_1_"):
        wear(atelier, tmp_path / "ink.safetensors", tensors)
    assert np.array_equal(pixels(atelier.paint(steps=2)), pixels(before))


def full_size() -> dict[str, nn.Module]:
    """By base: every architecture as large as its makers made it, without any weights."""
    with torch.device("meta"):
        klein = [(5, 20, 24), (8, 24, 32), (8, 48, 48)]
        flux2 = [
            Flux2Transformer2DModel(num_layers=two, num_single_layers=one, num_attention_heads=high)
            for two, one, high in klein
        ]
        medium = {"num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536}
        large = {"num_layers": 38, "num_attention_heads": 38, "caption_projection_dim": 2432}
        return {
            "stable-diffusion-xl-v1-base": sdxl_unet(tiny=False),
            "flux-1": FluxTransformer2DModel(guidance_embeds=True),
            "flux-2-klein-4b": flux2[0],
            "flux-2-klein-9b": flux2[1],
            "flux-2-dev": flux2[2],
            "qwen-image": QwenImageTransformer2DModel(),
            "z-image": ZImageTransformer2DModel(),
            "sana-1.5": SanaTransformer2DModel(num_attention_heads=70, num_layers=20),
            "stable-diffusion-v3.5-medium": SD3Transformer2DModel(
                **medium, dual_attention_layers=tuple(range(13))
            ),
            "stable-diffusion-v3.5-large": SD3Transformer2DModel(**large),
        }


def test_the_tables_know_every_architecture_by_its_layers() -> None:
    for base, model in full_size().items():
        sides = {
            name: (module.in_features, module.out_features)
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and ("attn" in name or "attention" in name)
        }
        halves = [f"{name}.lora_{half}.weight" for name in sides for half in "AB"]
        layers = layers_of(f"transformer.{half}" for half in halves)
        flat = {name.replace(".", "_"): there for name, there in sides.items()}
        found = bases_of([(layer.place, flat[layer.place]) for layer in layers], [])
        assert found[:1] == (base,), base
