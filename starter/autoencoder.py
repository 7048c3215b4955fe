"""The autoencoder: 256 x 256 pixels to 32 x 32 cells of eight numbers, and back.

A small `AutoencoderTiny`. Before its first step it hands the mean colour of each cell through; all
else it learns, on crops that grow, with noise on its latents: so they stay smooth, and the decoder
forgives a painter that is not exact.
"""

# mypy: disable-error-code="no-untyped-call"
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate

from starter.album import CELL, Album
from starter.lesson import Lesson, Loss, accelerator
from starter.world import SIZE

CHANNELS = 8
SPREAD = 0.7  # of the first three latents: the decoder bends what is far above
DETAIL = 0.35  # ... and of the others: so noise hides them first, and a painter paints them last
NOISE = 0.015  # more, and all it learns is to tell a colour from its noise
RATE = 1.5e-3
# Until this share of the time: the side of a crop, and how many at once.
CROPS = ((0.4, 64, 8), (0.8, 64, 16), (0.95, 128, 4), (1.0, 256, 1))
SCENES = 4096  # of the album are enough, and fit into a gigabyte
THING = 2.0  # what a pixel on a thing counts beside one of the place
WIDTH = 48


def build(colours: torch.Tensor) -> AutoencoderTiny:
    """`colours` are some of the world's (n x 3, 0 to 1): their axes become the first latents."""
    vae = AutoencoderTiny(
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        num_encoder_blocks=(0, 1, 2, 3),
        num_decoder_blocks=(3, 3, 2, 0),
        latent_channels=CHANNELS,
    )
    for part in vae.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    for part in vae.modules():
        if isinstance(part, AutoencoderTinyBlock):
            nn.init.zeros_(part.conv[-1].weight)  # begins as if it were not there
    middle = colours.mean(0)
    strength, axes = torch.linalg.eigh(torch.cov(colours.T))
    to_latents = SPREAD * axes.T / strength.sqrt()[:, None]
    ways = [part for part in vae.encoder.layers if isinstance(part, nn.Conv2d)]
    for way in ways[:-1]:
        _hand_through(way, torch.eye(3), blur=way.stride == (2, 2))
    _hand_through(ways[-1], to_latents, -to_latents @ middle)
    ways = [part for part in vae.decoder.layers if isinstance(part, nn.Conv2d)]
    _hand_through(ways[0], torch.linalg.inv(to_latents), middle)
    for way in ways[1:]:
        _hand_through(way, torch.eye(3), blur=way.bias is None)  # the one behind each enlargement
    return vae


@torch.no_grad()
def _hand_through(
    way: nn.Conv2d, colours: torch.Tensor, shift: torch.Tensor | None = None, blur: bool = False
) -> None:
    """The first three channels go on to the first three, changed so, and nothing else does."""
    spot = torch.tensor([0.25, 0.5, 0.25]) if blur else torch.tensor([0.0, 1.0, 0.0])
    way.weight[:3] = 0
    way.weight[:3, :3] = colours[..., None, None] * torch.outer(spot, spot)
    if shift is not None and way.bias is not None:
        way.bias[:3] = shift


class Both(nn.Module):
    """Encoder and decoder as one step of learning, with the latents shaken in between."""

    def __init__(self, vae: AutoencoderTiny) -> None:
        super().__init__()
        self.vae = vae
        self.register_buffer("spread", torch.tensor([SPREAD] * 3 + [DETAIL] * (CHANNELS - 3)))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The pixels again; and how far the latents have drifted."""
        latents = self.vae.encode(pixels).latents.float()
        drift = latents.mean((0, 2, 3)).square() + (latents.std((0, 2, 3)) - self.spread).square()
        shaken = latents + torch.randn_like(latents) * NOISE
        return self.vae.decode(shaken).sample.float(), drift.mean()


def learn(album: Album, scenes: int, folder: Path, minutes: float, device: str) -> AutoencoderTiny:
    pictures, masks = _some(album, scenes)
    some = torch.from_numpy(pictures[:256]).permute(0, 3, 1, 2).float() / 255
    colours = avg_pool2d(some, 8).permute(0, 2, 3, 1).reshape(-1, 3)
    lesson = Lesson("autoencoder", Both(build(colours)), folder, minutes, RATE, device)
    vae: AutoencoderTiny = lesson.run(_loss(lesson, pictures, masks)).vae
    vae.register_to_config(scaling_factor=1.0)
    spread = encode(vae, pictures[:64], lesson.device).std().item()
    vae.register_to_config(scaling_factor=1 / spread)  # diffusers: what gives latents spread 1
    return vae


def polish(
    vae: AutoencoderTiny, album: Album, scenes: int, folder: Path, minutes: float, device: str
) -> AutoencoderTiny:
    """More lessons for the decoder alone: the painter has learned what the encoder says by now."""
    pictures, masks = _some(album, scenes)
    vae.encoder.requires_grad_(False)
    lesson = Lesson("decoder", Both(vae), folder, minutes, RATE, device)
    polished: AutoencoderTiny = lesson.run(_loss(lesson, pictures, masks, CROPS[0][0])).vae
    return polished


def _loss(lesson: Lesson, pictures: np.ndarray, masks: np.ndarray, skip: float = 0) -> Loss:
    """Crops as CROPS says, without the share of its time that is skipped."""
    dice = np.random.default_rng(lesson.rank)

    def loss(both: nn.Module, done: float) -> torch.Tensor:
        done = skip + (1 - skip) * done
        side, batch = next((side, batch) for until, side, batch in CROPS if done <= until)
        pixels, weight = _crops(pictures, masks, side, batch, dice)
        pixels, weight = pixels.to(lesson.device), weight.to(lesson.device)
        decoded, drift = both(pixels)
        return _distance(decoded, pixels, weight) + 0.1 * drift

    return loss


def _some(album: Album, scenes: int) -> tuple[np.ndarray, np.ndarray]:
    found = list(album.shards(min(scenes, SCENES)))
    return np.concatenate([kept[1] for kept in found]), np.concatenate([kept[2] for kept in found])


def _crops(
    pictures: np.ndarray, masks: np.ndarray, side: int, batch: int, dice: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    pixels = np.empty((batch, side, side, 3), np.uint8)
    weight = np.empty((batch, side // CELL, side // CELL), np.uint8)
    for place in range(batch):
        index = dice.integers(len(pictures))
        # Where the things are, mostly: the middle of the picture.
        y, x = (int(v) for v in dice.triangular(0, 0.5, 1, 2) * ((SIZE - side) // CELL) + 0.5)
        pixels[place] = pictures[index, y * CELL : y * CELL + side, x * CELL : x * CELL + side]
        weight[place] = masks[index, y : y + side // CELL, x : x + side // CELL]
    shares = torch.from_numpy(weight).float()[:, None] / 255
    return scaled(pixels), 1 + THING * interpolate(shares, size=(side, side), mode="bilinear")


def _distance(decoded: torch.Tensor, pixels: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Of points, of edges (else what is uncertain turns to fog), and of the colour of each cell.

    Most edges are dark on light: without the last, green and purple are learned long after all.
    """
    error = decoded - pixels
    colour = avg_pool2d(error, 8)
    hue = colour - colour.mean(1, keepdim=True)
    across = (error[..., :, 1:] - error[..., :, :-1]).abs() * weight[..., :, 1:]
    down = (error[..., 1:, :] - error[..., :-1, :]).abs() * weight[..., 1:, :]
    points = (error.abs() * weight).mean()
    return points + across.mean() + down.mean() + colour.abs().mean() + 2 * hue.abs().mean()


def scaled(pictures: np.ndarray, device: torch.device | str = "cpu") -> torch.Tensor:
    """Bytes as networks see them: channels first, from -1 to 1."""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def encode(vae: AutoencoderTiny, pictures: np.ndarray, device: torch.device) -> torch.Tensor:
    pixels = scaled(pictures, device)
    with accelerator(device.type).autocast():
        latents: torch.Tensor = vae.encode(pixels).latents
    return latents.float() * vae.config.scaling_factor


@torch.no_grad()
def decode(vae: AutoencoderTiny, latents: torch.Tensor) -> np.ndarray:
    with accelerator(latents.device.type).autocast():
        pixels = vae.decode(latents / vae.config.scaling_factor).sample.float()
    levels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte()
    return levels.permute(0, 2, 3, 1).cpu().numpy()
