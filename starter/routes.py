"""The painter's first weights look up each cell where the words draw it.

Half of the heads of its attention to words begin with a bearing. What they ask for is where they
are (the compass makes that visible), and what they find is the place of a caption that draws this
cell of the picture. It might learn this by itself, in hours. Training may change it as it likes.
The network stays a stock one.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from starter.layout import CELLS, GRID

SHARP = 12.0  # how much less a cell is looked at whose middle is 1 away
LOST = 0.6  # a layer that knows less of where it is has no bearing
ELSEWHERE = 1.5  # ... and a place that draws nothing, as if it were so far away


@torch.no_grad()
def lay(unet: UNet2DConditionModel, given: Mapping[str, Any]) -> UNet2DConditionModel:
    """`given` is an example of all that the network is called with."""
    seen: dict[nn.Module, torch.Tensor] = {}

    def look(layer: nn.Module, at: tuple[torch.Tensor, ...], more: Mapping[str, Any]) -> None:
        seen[layer] = at[0].float()

    layers = [part for name, part in unet.named_modules() if name.endswith("attn2")]
    hooks = [part.register_forward_pre_hook(look, with_kwargs=True) for part in layers]
    unet.to(given["sample"].device)(**given)
    for hook in hooks:
        hook.remove()
    for layer in layers:
        _bear(layer, seen[layer].cpu(), given["encoder_hidden_states"].float().cpu())
    return unet


def middles(side: int) -> torch.Tensor:
    """The middle of each cell (side² x 2), row by row, from -1 to 1."""
    along = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(along, along, indexing="ij")
    return torch.stack([x, y], -1).view(-1, 2)


def _bear(layer: nn.Module, seen: torch.Tensor, tokens: torch.Tensor) -> None:
    """The second half of its heads: where I am, and where that is drawn."""
    count, places, width = seen.shape
    here = middles(math.isqrt(places)).repeat(count, 1)
    asks, knows = _fit(seen.reshape(-1, width), torch.cat([here, torch.ones(len(here), 1)], 1))
    if knows < LOST:
        return
    # What is asked times what is answered is -|here - cell|², but for what all cells share.
    cells = middles(GRID)
    drawn = torch.cat([2 * cells, -cells.square().sum(1, keepdim=True)], 1)
    plain = torch.tensor([[0.0, 0.0, -(ELSEWHERE**2)]]).expand(tokens.shape[1] - CELLS, 3)
    answers, _ = _fit(tokens.flatten(0, 1), torch.cat([plain, drawn]).repeat(count, 1))
    size = layer.to_q.weight.shape[0] // layer.heads
    strength = SHARP**0.5 * size**0.25  # attention divides by the root of the size
    half = layer.heads // 2 * size
    layer.to_q.weight[half:] *= 0.1
    layer.to_k.weight[half:] *= 0.1
    for head in range(half, layer.heads * size, size):
        layer.to_q.weight[head : head + 3] = strength * asks.T
        layer.to_k.weight[head : head + 3] = strength * answers.T


def _fit(given: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The straight function that comes nearest, and how near: 1 is exactly."""
    square = given.T @ given
    square += 1e-5 * square.diagonal().mean() * torch.eye(len(square))
    found = torch.linalg.solve(square, given.T @ wanted)
    missed = (given @ found - wanted)[:, :2].square().mean() / wanted[:, :2].square().mean()
    return found, 1 - missed.item()
