"""The painter itself: a small stock UNet that learns to take noise off latents, told by words.

Half of its loss is around the things: the places behind them are learned far sooner. Around, not
on: weights that follow an outline teach that what may be a thing most likely is one.
While it learns, it is asked after every step up what stands where. `Sketching` is thrown away.
"""

# mypy: disable-error-code="no-untyped-call"
import os
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
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from starter import compass
from starter.album import CELL, SHARD, Album, scene
from starter.autoencoder import CHANNELS, encode
from starter.layout import SIDE, drawing
from starter.lesson import Lesson, accelerator
from starter.words import LENGTH, SUMMARY, WIDTHS, Words, said, tokenized
from starter.world import SIZE

RATE = 6e-4
BATCH = {"cpu": 8, "cuda": 256}  # for each process
THING = 1.0  # what the things of a picture count, large or small, beside all of its place
AROUND = 4  # latent cells on each side of a thing that count with it
WORDLESS = 0.1  # of the scenes are shown without words: guidance compares with these
UNPOOLED = 0.25  # ... with the words one by one only, so that none relies on the summary
SKETCH = 0.4  # what a sketch that says nothing costs, at first
MIDDLE = 0.3, 0.9  # of the noise; every second lesson is about as much
SOME = 96  # scenes of an example
SAYINGS = 8  # ways in which each scene is said
ENCODED = 16  # pictures at once: more take more memory and no less time
FIRST = {"cpu": 12, "cuda": 64}  # shards seen before the first step; then one more each so many
EVERY = {"cpu": 128, "cuda": 1}
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
    """Scenes: as latents, the share of each cell that is thing, what stands where, in tokens."""

    latents: torch.Tensor
    shares: torch.Tensor
    drawings: torch.Tensor
    tokens: torch.Tensor


class Prepared(IterableDataset[tuple[np.ndarray, ...]]):
    """Shards of an album, each scene drawn, and said in several ways."""

    def __init__(self, album: Album, shards: range, words: Words) -> None:
        self._album, self._shards, self._tokenizers = album, shards, words.tokenizers

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        here = get_worker_info()
        for shard in self._shards[here.id :: here.num_workers] if here else self._shards:
            numbers, pictures, masks = self._album.shard(shard)
            specs = [scene(number) for number in numbers]
            dice = random.Random(f"said {shard}")
            texts = [said(spec, dice) for spec in specs for _ in range(SAYINGS)]
            tokens = tokenized(self._tokenizers, texts).view(len(specs), SAYINGS, 2, LENGTH)
            drawings = np.stack([drawing(spec) for spec in specs])
            yield pictures, masks, drawings, tokens.to(torch.int16).numpy()


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
    """The scenes met so far, 27 kB each, where the learning is. More come all the time."""

    def __init__(
        self,
        album: Album,
        shards: range,
        words: Words,
        vae: AutoencoderTiny,
        device: torch.device,
    ) -> None:
        # A card learns faster than one process can draw: others prepare what comes.
        workers = max(1, (os.cpu_count() or 1) - 2) if device.type == "cuda" else 0
        self._coming = iter(
            DataLoader(
                Prepared(album, shards, words),
                batch_size=None,
                num_workers=workers,
                multiprocessing_context="fork" if workers else None,  # imports take 20 s each
            )
        )
        most = len(shards) * SHARD
        self._vae, self._device = vae.to(device).eval(), device
        self._count = 0
        self._sittings = Sitting(
            torch.empty(most, CHANNELS, SIZE // 8, SIZE // 8, dtype=torch.float16, device=device),
            torch.empty(most, SIZE // CELL, SIZE // CELL, dtype=torch.uint8, device=device),
            torch.empty(most, 2, SIDE, SIDE, dtype=torch.uint8, device=device),
            torch.empty(most, SAYINGS, 2, LENGTH, dtype=torch.int16, device=device),
        )

    def grow(self, shards: int) -> None:
        """So many more, as long as there are any."""
        for pictures, *others in islice(self._coming, shards):
            place = slice(self._count, self._count + len(pictures))
            latents = torch.cat(
                [encode(self._vae, some.numpy(), self._device) for some in pictures.split(ENCODED)]
            )
            for kept, some in zip(self._sittings, (latents, *others), strict=True):
                kept[place] = some
            self._count = place.stop

    def draw(self, count: int) -> Sitting:
        chosen = torch.randint(self._count, (count,), device=self._device)
        way = torch.randint(SAYINGS, (count,), device=self._device)
        latents, shares, drawings, tokens = self._sittings
        return Sitting(latents[chosen], shares[chosen], drawings[chosen], tokens[chosen, way])


class Lessons:
    """What one step of learning needs: noise, words, and what each cell counts."""

    def __init__(self, words: Words, device: torch.device) -> None:
        self._words = words.to(device).eval()
        self._device = device
        self._nothing = words.tokenize([""]).to(device)
        self._levels = sampler().alphas_cumprod.to(device)
        sizes = [SIZE, SIZE, 0, 0, SIZE, SIZE]  # as the pipeline says: size, cut, size
        self._sizes = torch.tensor(sizes, device=device, dtype=torch.float32)

    def given(
        self, latents: torch.Tensor, tokens: torch.Tensor
    ) -> tuple[dict[str, Any], torch.Tensor]:
        """All that the network is given for one step, and what it should answer."""
        clean = latents.to(self._device).float()
        count = len(clean)
        time = (1000 * levels(count)).long().clamp(max=999).to(self._device)
        level = self._levels[time].view(-1, 1, 1, 1)
        noise = torch.randn_like(clean)
        words, pooled = self._embed(tokens.to(self._device).long())
        about = {"text_embeds": pooled, "time_ids": self._sizes.expand(count, 6)}
        return {
            "sample": level.sqrt() * clean + (1 - level).sqrt() * noise,
            "timestep": time,
            "encoder_hidden_states": words,
            "added_cond_kwargs": about,
        }, level.sqrt() * noise - (1 - level).sqrt() * clean

    @torch.no_grad()
    def _embed(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        wordless = torch.rand(len(tokens), 1, 1, device=self._device) < WORDLESS
        tokens = torch.cat([torch.where(wordless, self._nothing, tokens), self._nothing])
        words, pooled = self._words(tokens[:, 0], tokens[:, 1])
        unpooled = torch.rand(len(words) - 1, 1, device=self._device) < UNPOOLED
        return words[:-1], torch.where(unpooled, pooled[-1:], pooled[:-1])


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
    seen = Seen(album, range(1), words, vae, here)
    seen.grow(1)
    scenes = seen.draw(SOME)
    return Lessons(words, here).given(scenes.latents, scenes.tokens)[0]


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
    # The fused one takes twice the time on a CPU, and on an H100 its slopes were no numbers.
    unet.set_attn_processor(AttnProcessor())
    compass.hold(unet)
    lesson = Lesson("denoiser", Sketching(unet), folder, minutes, RATE, device)
    kind = lesson.device.type
    shards = range(lesson.rank, max(lesson.crew, -(-scenes // SHARD)), lesson.crew)
    seen = Seen(album, shards, words, vae, lesson.device)
    seen.grow(FIRST[kind])
    lessons = Lessons(words, lesson.device)

    def loss(network: nn.Module, done: float) -> torch.Tensor:
        if lesson.steps % EVERY[kind] == 0:
            seen.grow(1)
        scenes = seen.draw(BATCH[kind])
        given, wanted = lessons.given(scenes.latents, scenes.tokens)
        told, sketches = network(**given)
        drawn = sketched(sketches, scenes.drawings)
        return painted(told, wanted, scenes.shares) + SKETCH * (1 - done) * drawn

    return lesson.run(loss).unet  # type: ignore[return-value]
