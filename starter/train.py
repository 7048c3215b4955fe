"""Teaches the starter: words, then the autoencoder, then the painter, in the minutes there are.

`python -m starter.train --minutes 60 --device auto`. It goes on where it was interrupted, and
writes a stock SDXL pipeline in fp16. On a GPU it sees far more; everything else is the same.
"""

# mypy: disable-error-code="no-untyped-call"
import argparse
import json
import time
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, StableDiffusionXLPipeline, UNet2DConditionModel

from starter import autoencoder, compass, denoiser, routes, words
from starter.album import SHARD, Album
from starter.crew import together
from starter.lesson import accelerator
from starter.words import Words

OUT = Path(__file__).parent / "weights"
# Of the minutes; the painter has the rest.
SHARES = {"words": 0.04, "autoencoder": 0.1, "decoder": 0.1}
SCENES_A_MINUTE = {"cpu": 350, "cuda": 4000}
MOST_SCENES = 200_000


def train(wish: argparse.Namespace) -> None:
    """With `more`, the kept starter learns on: its painter and its decoder."""
    start, minutes, device, work = time.monotonic(), wish.minutes, wish.device, wish.work
    here = accelerator(device)
    album = Album(work / "album")
    count = wish.scenes or int(minutes * SCENES_A_MINUTE[here.device.type])
    count = min(MOST_SCENES, max(SHARD, count))
    with here.main_process_first():
        album.grow(count)
    if wish.more:
        kept = StableDiffusionXLPipeline.from_pretrained(OUT, dtype=torch.float32)
        vae, said, unet = kept.vae, words_of(kept), kept.unet
    else:
        said = words.learn(work, minutes * SHARES["words"], device)
        vae = autoencoder.learn(album, count, work, minutes * SHARES["autoencoder"], device)
        unet = compass.lay(denoiser.build())
        unet = routes.lay(unet, denoiser.example(album, vae, said, device))
    for_decoder = minutes * SHARES["decoder"]
    left = minutes - for_decoder - (time.monotonic() - start) / 60
    unet = denoiser.learn(album, vae, said, work, count, left, device, unet)
    vae = autoencoder.polish(vae, album, count, work, for_decoder, device)
    if here.is_main_process:
        save(said, vae, unet, OUT)


def words_of(kept: StableDiffusionXLPipeline) -> Words:
    said = Words()
    said.tokenizers = (kept.tokenizer, kept.tokenizer_2)
    said.first, said.second = kept.text_encoder, kept.text_encoder_2
    return said


def save(said: Words, vae: AutoencoderTiny, unet: UNet2DConditionModel, folder: Path) -> None:
    pipeline = StableDiffusionXLPipeline(
        text_encoder=said.first,
        text_encoder_2=said.second,
        tokenizer=said.tokenizers[0],
        tokenizer_2=said.tokenizers[1],
        unet=unet,
        vae=vae,
        scheduler=denoiser.sampler(),
        # Wordless is an empty prompt, as in training, and not zeros as in SDXL itself.
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )
    pipeline.to("cpu", torch.float16).save_pretrained(folder)
    # diffusers writes down what it works out itself, and then wonders at it when it loads; and
    # where it found a part on this machine, which is nobody's business.
    for config in folder.glob("*/config.json"):
        known = json.loads(config.read_text())
        derived = {"_name_or_path", *(("block_out_channels",) * (config.parent.name == "vae"))}
        kept = {name: value for name, value in known.items() if name not in derived}
        config.write_text(json.dumps(kept, indent=2) + "\n")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder}: {size / 1e6:.1f} MB")


def main() -> None:
    reader = argparse.ArgumentParser(prog="python -m starter.train", description=__doc__)
    reader.add_argument("--minutes", type=float, default=60)
    reader.add_argument("--device", default="auto", help="auto, cpu or cuda")
    reader.add_argument("--work", type=Path, default=Path("outputs/starter"))
    reader.add_argument("--scenes", type=int, help="how many to render and learn from")
    reader.add_argument("--more", action="store_true", help="teach the kept starter on")
    together(train, reader.parse_args())


if __name__ == "__main__":
    main()
