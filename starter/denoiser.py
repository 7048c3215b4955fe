"""The painter itself: a small stock UNet that learns to take noise off latents, told by words.

Half of its loss is around the things: the places behind them are learned far sooner. Around, not
on: weights that follow an outline teach that what may be a thing most likely is one.
While it learns, it is asked after every step up what stands where. `Sketching` is thrown away.
"""

# mypy: disable-error-code="no-untyped-call"
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderTiny, DPMSolverMultistepScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from torch.nn.functional import interpolate, max_pool2d, mse_loss, pixel_unshuffle

from starter import compass
from starter.album import CELL, Album, Sight, scene
from starter.autoencoder import CHANNELS, encode
from starter.layout import SIDE, drawing
from starter.lesson import Lesson, accelerator
from starter.words import SUMMARY, WIDTHS, Words, said
from starter.world import SIZE, Spec

RATE = 6e-4
BATCH = {"cpu": 8, "cuda": 256}  # for each process
THING = 1.0  # what the things of a picture count, large or small, beside all of its place
AROUND = 4  # latent cells on each side of a thing that count with it
WORDLESS = 0.1  # of the scenes are shown without words: guidance compares with these
UNPOOLED = 0.25  # ... with the words one by one only, so that none relies on the summary
SKETCH = 0.4  # what a sketch that says nothing costs, at first
MIDDLE = 0.3, 0.9  # of the noise; every second lesson is about as much
SOME = 96  # scenes of an example
FIRST = 768  # scenes seen before the first step; then so many new ones at each fourth
NEW = {"cpu": 2, "cuda": 512}
SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}


def build() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIZE // 8,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3 + ("UpBlock2D",),
        block_out_channels=(48, 96, 160, 64),  # at 4 x 4 little is decided: words tell the layout
        layers_per_block=1,
        cross_attention_dim=sum(WIDTHS),
        attention_head_dim=(2, 2, 4, 4),  # as diffusers calls the number of heads
        norm_num_groups=16,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=SUMMARY + 6 * 8,
        time_embedding_dim=384,
        resnet_time_scale_shift="scale_shift",  # how much noise there is decides what counts
    )


def sampler() -> DPMSolverMultistepScheduler:
    return DPMSolverMultistepScheduler(**SCHEDULE)


class Sitting(NamedTuple):
    """Scenes: as latents, the share of each cell that is thing, what stands where, in words."""

    latents: torch.Tensor
    shares: torch.Tensor
    drawings: torch.Tensor
    texts: list[str]


class Sketching(nn.Module):
    """The painter, and after each step up what it means to draw there: `starter.layout.drawing`,
    folded as far as that level is coarse."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet
        points, side = 2 * SIDE**2, SIZE // 8
        levels = len(unet.up_blocks)
        sides = [side >> max(0, levels - 2 - level) for level in range(levels)]
        self.heads = nn.ModuleList()
        for block, side in zip(unet.up_blocks, sides, strict=True):
            width = block.resnets[-1].out_channels
            head = nn.Conv2d(width, points // side**2, 1)
            nn.init.zeros_(head.weight)  # an empty sheet, at first
            self.heads.append(nn.Sequential(nn.GroupNorm(16, width), nn.SiLU(), head))

    def forward(self, **given: Any) -> tuple[torch.Tensor, list[torch.Tensor]]:
        sketches: list[torch.Tensor] = []
        hooks = [
            block.register_forward_hook(lambda _, __, out, head=head: sketches.append(head(out)))
            for block, head in zip(self.unet.up_blocks, self.heads, strict=True)
        ]
        told = self.unet(**given).sample
        for hook in hooks:
            hook.remove()
        return told, sketches


class Seen:
    """The scenes met so far, latents and drawings, 24 kB each. More come all the time."""

    def __init__(
        self, coming: Iterator[Sight], most: int, vae: AutoencoderTiny, device: torch.device
    ) -> None:
        self._coming = coming
        self._vae, self._device = vae.to(device).eval(), device
        self.specs: list[Spec] = []
        self._latents = torch.empty(most, CHANNELS, SIZE // 8, SIZE // 8, dtype=torch.float16)
        self._shares = torch.empty(most, SIZE // CELL, SIZE // CELL, dtype=torch.uint8)
        self._drawings = torch.empty(most, 2, SIDE, SIDE, dtype=torch.uint8)

    def grow(self, count: int) -> None:
        """So many more, as long as the album has them."""
        more = islice(self._coming, count)
        while some := list(islice(more, 16)):
            numbers, pictures, masks = zip(*some, strict=True)
            place = slice(len(self.specs), len(self.specs) + len(some))
            self._latents[place] = encode(self._vae, np.stack(pictures), self._device).half().cpu()
            self._shares[place] = torch.from_numpy(np.stack(masks))
            specs = [scene(number) for number in numbers]
            self._drawings[place] = torch.from_numpy(np.stack([drawing(spec) for spec in specs]))
            self.specs += specs

    def draw(self, count: int, dice: random.Random) -> Sitting:
        chosen = [dice.randrange(len(self.specs)) for _ in range(count)]
        texts = [said(self.specs[number], dice) for number in chosen]
        return Sitting(self._latents[chosen], self._shares[chosen], self._drawings[chosen], texts)


class Lessons:
    """What one step of learning needs: noise, words, and what each cell counts."""

    def __init__(self, words: Words, device: torch.device) -> None:
        self._words = words.to(device).eval()
        self._device = device
        self._levels = sampler().alphas_cumprod.to(device)
        sizes = [SIZE, SIZE, 0, 0, SIZE, SIZE]  # as the pipeline says: size, cut, size
        self._sizes = torch.tensor(sizes, device=device, dtype=torch.float32)

    def given(self, latents: torch.Tensor, texts: list[str]) -> tuple[dict[str, Any], torch.Tensor]:
        """All that the network is given for one step, and what it should answer."""
        clean = latents.to(self._device).float()
        count = len(clean)
        time = (1000 * levels(count)).long().clamp(max=999).to(self._device)
        level = self._levels[time].view(-1, 1, 1, 1)
        noise = torch.randn_like(clean)
        tokens, pooled = self._embed(texts)
        words = {"text_embeds": pooled, "time_ids": self._sizes.expand(count, 6)}
        return {
            "sample": level.sqrt() * clean + (1 - level).sqrt() * noise,
            "timestep": time,
            "encoder_hidden_states": tokens,
            "added_cond_kwargs": words,
        }, level.sqrt() * noise - (1 - level).sqrt() * clean

    @torch.no_grad()
    def _embed(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        wordless = torch.rand(len(texts)) < WORDLESS
        texts = ["" if out else text for text, out in zip(texts, wordless, strict=True)]
        first, second = self._words.tokenize([*texts, ""])
        tokens, pooled = self._words(first.to(self._device), second.to(self._device))
        unpooled = torch.rand(len(texts), 1, device=self._device) < UNPOOLED
        return tokens[:-1], torch.where(unpooled, pooled[-1:], pooled[:-1])


def painted(told: torch.Tensor, wanted: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """How far what was told is from what was wanted, half of it around the things."""
    share = interpolate(shares.to(told.device).float()[:, None] / 255, told.shape[-2:])
    near = max_pool2d(share, 2 * AROUND + 1, 1, AROUND)
    weight = 1 + THING * near / near.mean((1, 2, 3), keepdim=True).clamp(min=0.01)
    return (mse_loss(told.float(), wanted, reduction="none") * weight).mean() / weight.mean()


def sketched(sketches: list[torch.Tensor], drawings: torch.Tensor) -> torch.Tensor:
    """How far the sketches are from the drawings: empty sheets are 1 away."""
    wanted = drawings.to(sketches[0].device).float() / 255
    missed = [
        mse_loss(sketch.float(), pixel_unshuffle(wanted, SIDE // sketch.shape[-1]))
        for sketch in sketches
    ]
    return torch.stack(missed).mean() / wanted.square().mean()


def levels(count: int) -> torch.Tensor:
    """How much noise, 0 to 1: half of a batch from the middle, where outlines are settled (with
    more noise they are not to be seen, and are known from the words alone), and half from all of
    it; each half spread evenly, and no level left out."""
    middle, rest = (
        (torch.arange(part) + torch.rand(part)) / part for part in (count - count // 2, count // 2)
    )
    low, high = MIDDLE
    return torch.cat([low + (high - low) * middle, rest])


def example(album: Album, vae: AutoencoderTiny, words: Words, device: str) -> dict[str, Any]:
    """What the network is given for some scenes: by this its first weights find their bearings."""
    here = accelerator(device).device
    seen = Seen(album.scenes(SOME), SOME, vae, here)
    seen.grow(SOME)
    scenes = seen.draw(SOME, random.Random(0))
    return Lessons(words, here).given(scenes.latents, scenes.texts)[0]


def learn(
    album: Album,
    vae: AutoencoderTiny,
    words: Words,
    folder: Path,
    scenes: int,
    minutes: float,
    device: str,
    unet: UNet2DConditionModel,
) -> UNet2DConditionModel:
    if accelerator(device).device.type == "cpu":
        unet.set_attn_processor(AttnProcessor())  # twice as fast as the fused one, on a CPU
    compass.hold(unet)
    lesson = Lesson("denoiser", Sketching(unet), folder, minutes, RATE, device)
    coming = islice(album.scenes(scenes), lesson.rank, None, lesson.crew)
    seen = Seen(coming, scenes, vae, lesson.device)
    seen.grow(FIRST)
    lessons, dice = Lessons(words, lesson.device), random.Random(f"denoiser {lesson.rank}")
    batch, new = BATCH[lesson.device.type], NEW[lesson.device.type]

    def loss(network: nn.Module, done: float) -> torch.Tensor:
        if lesson.steps % 4 == 0:
            seen.grow(new)
        scenes = seen.draw(batch, dice)
        given, wanted = lessons.given(scenes.latents, scenes.texts)
        told, sketches = network(**given)
        drawn = sketched(sketches, scenes.drawings)
        return painted(told, wanted, scenes.shares) + SKETCH * (1 - done) * drawn

    return lesson.run(loss).unet  # type: ignore[return-value]
