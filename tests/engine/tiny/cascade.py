"""Stable Cascade in small: two networks of one kind, and the VQGAN named as repositories do."""

# mypy: disable-error-code="no-untyped-call"
from pathlib import Path
from typing import Any

from diffusers import DDPMWuerstchenScheduler, StableCascadeUNet
from diffusers.pipelines.deprecated.wuerstchen import PaellaVQModel

from studio.engine.families.cascade import StableCascadeDecoderPipeline
from tests.engine.tiny.parts import WIDTH, clip, clip_tokenizer, seeded

CARDS = ("stable-cascade",)
SIDE = 128  # the least that both networks and the VQGAN agree on
SKETCHED = 0  # of three steps two are the first network's, and after the last there is none
ATTENDS = ("SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock")


def build(card: str) -> Any:
    decoder = StableCascadeUNet(
        in_channels=4,
        out_channels=4,
        timestep_ratio_embedding_dim=16,
        patch_size=2,
        conditioning_dim=WIDTH,
        block_out_channels=(16, WIDTH),
        num_attention_heads=(0, 4),
        down_num_layers_per_block=(1, 1),
        up_num_layers_per_block=(1, 1),
        block_types_per_layer=(ATTENDS[:2], ATTENDS),
        clip_text_pooled_in_channels=WIDTH,
        effnet_in_channels=16,
        pixel_mapper_in_channels=3,
        timestep_conditioning_type=("sca",),
    )
    return StableCascadeDecoderPipeline(
        decoder=seeded(decoder),
        tokenizer=clip_tokenizer(),
        text_encoder=clip(projected=True),
        scheduler=DDPMWuerstchenScheduler(),
        vqgan=seeded(PaellaVQModel(bottleneck_blocks=1, embed_dim=16, num_vq_embeddings=16)),
    )


def parts(card: str, models: Path) -> dict[str, Any]:
    prior = StableCascadeUNet(
        timestep_ratio_embedding_dim=16,
        conditioning_dim=WIDTH,
        block_out_channels=(WIDTH, WIDTH),
        num_attention_heads=(4, 4),
        down_num_layers_per_block=(1, 1),
        up_num_layers_per_block=(1, 1),
        block_types_per_layer=(ATTENDS, ATTENDS),
        clip_text_in_channels=WIDTH,
        clip_text_pooled_in_channels=WIDTH,
        clip_image_in_channels=WIDTH,
        switch_level=(False,),
    )
    folder = models / "someones-prior"
    seeded(prior).save_pretrained(folder / "prior")
    return {
        "prior": {
            "repo": str(folder),
            "file": "prior/diffusion_pytorch_model.safetensors",
            "config": "prior/config.json",
            "share": 0.67,
        }
    }
