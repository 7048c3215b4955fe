"""FLUX.2 klein in small that keeps what it saw of references."""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

from diffusers import Flux2KleinKVPipeline

from tests.engine.tiny import flux2

CARDS = ("flux2-klein-9b-kv",)


def build(card: str) -> Any:
    return Flux2KleinKVPipeline(**flux2.build(card).components)
