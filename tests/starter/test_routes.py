"""Words that draw, and a painter that looks where it is drawn, before either has learned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import pixel_unshuffle

from starter import compass, denoiser, routes
from starter.album import scene
from starter.layout import CELLS, GRID, SIDE, cells, drawing
from starter.words import LENGTH, SUMMARY, WIDTHS, Words
from starter.world import Item, Spec, render_with_mask


@pytest.mark.parametrize("thing", ["bicycle", "balloon", "fish", "square"])
@pytest.mark.parametrize("position", ["left", "right"])
def test_a_drawing_stands_where_the_thing_is_painted(thing: str, position: str) -> None:
    spec = Spec((Item(thing, "red", "large", position),), "meadow")
    at = []
    for seed in range(6):
        trial = replace(spec, seed=seed)
        painted = np.asarray(render_with_mask(trial)[1].resize((SIDE, SIDE)), np.float32)
        at.append([_middle(drawing(trial)[0]), _middle(painted)])
    drawn, seen = np.mean(at, 0)
    assert np.allclose(drawn, seen, atol=SIDE / 32)  # each stands a little elsewhere, by its seed


def _middle(ink: np.ndarray) -> tuple[float, float]:
    y, x = np.mgrid[:SIDE, :SIDE]
    return float((x * ink).sum() / ink.sum()), float((y * ink).sum() / ink.sum())


def test_no_colour_is_drawn() -> None:
    one, other = (Spec((Item("car", colour),), "street", seed=3) for colour in ("red", "blue"))
    assert np.array_equal(drawing(one), drawing(other))


def test_each_cell_holds_its_part_of_the_drawing() -> None:
    drawn = np.stack([drawing(scene(number)) for number in range(2)])
    parts = cells(drawn)
    side = SIDE // GRID
    third = drawn[1, :, :side, 2 * side : 3 * side].reshape(-1) / 255
    assert parts.shape == (2, CELLS, 2 * side * side)
    assert np.allclose(parts[1, 2], third)


def test_words_read_short_are_the_words_read_whole() -> None:
    said = Words().eval()
    ids = said.tokenize(["a red car on the left", "two cats in the snow"]).unbind(1)
    with torch.no_grad():
        whole, pooled = said(*ids)
        short, same = said(*ids, short=True)
    assert torch.allclose(whole[:, :10], short[:, :10], atol=1e-5)
    assert torch.allclose(pooled, same, atol=1e-5)
    assert short.shape[1] < whole.shape[1] == LENGTH


def test_what_is_painted_looks_where_it_is_drawn() -> None:
    torch.manual_seed(0)
    count = 8
    tokens = torch.randn(count, LENGTH, sum(WIDTHS)) + 2 * torch.randn(1, LENGTH, sum(WIDTHS))
    words = {"text_embeds": torch.randn(count, SUMMARY), "time_ids": torch.zeros(count, 6)}
    given = {
        "sample": torch.randn(count, 8, 32, 32),
        "timestep": torch.full((count,), 800),
        "encoder_hidden_states": tokens,
        "added_cond_kwargs": words,
    }
    unet = routes.lay(compass.lay(denoiser.build()), given).eval()
    layer = unet.up_blocks[1].attentions[0].transformer_blocks[0].attn2
    seen: list[torch.Tensor] = []
    layer.register_forward_pre_hook(lambda part, at, more: seen.append(at[0]), with_kwargs=True)
    with torch.no_grad():
        unet(**given)
        asked, found = layer.to_q(seen[0]), layer.to_k(tokens)
    size = asked.shape[-1] // layer.heads
    scores = asked[..., -size:] @ found[..., -size:].transpose(1, 2) / size**0.5
    looks = scores.softmax(-1)[..., -CELLS:]
    assert looks.sum(-1).mean() > 0.7  # at what is drawn, not at words
    looked = looks / looks.sum(-1, keepdim=True) @ routes.middles(GRID)
    away = looked - routes.middles(8)
    assert away.norm(dim=-1).mean() < 0.5  # a cell is half a unit wide


def test_no_level_of_noise_is_left_out() -> None:
    torch.manual_seed(0)
    drawn = torch.cat([denoiser.levels(8) for _ in range(500)])
    counted = torch.histc(drawn, 20, 0, 1)
    assert counted.min() > 0.6 * 500 * 4 / 20
    low, high = denoiser.MIDDLE
    assert ((low < drawn) & (drawn < high)).float().mean() > 0.75


def test_a_sketch_after_each_step_up_has_a_number_for_each_point_of_the_drawing() -> None:
    torch.manual_seed(0)
    painter = denoiser.Sketching(denoiser.build())
    said = Words()
    lessons = denoiser.Lessons(said, torch.device("cpu"))
    tokens = said.tokenize(["a red car", "two boats"])
    given, wanted = lessons.given(torch.randn(2, 8, 32, 32), tokens)
    told, sketches = painter(**given)
    assert told.shape == wanted.shape
    drawings = torch.randint(0, 256, (2, 2, SIDE, SIDE), dtype=torch.uint8)
    assert [sketch[0].numel() for sketch in sketches] == [drawings[0].numel()] * 4
    folded = [pixel_unshuffle(drawings / 255.0, SIDE // side) for side in (8, 16, 32, 32)]
    assert denoiser.sketched(folded, drawings) < 1e-9
    assert denoiser.sketched([torch.zeros_like(part) for part in folded], drawings) == 1
    heads = torch.optim.SGD(painter.heads.parameters(), 0.1)
    for _ in range(2):  # the heads begin as an empty sheet, and teach the painter once they are not
        denoiser.sketched(painter(**given)[1], drawings).backward()
        heads.step()
    assert painter.unet.up_blocks[0].resnets[0].conv1.weight.grad.abs().max() > 0
