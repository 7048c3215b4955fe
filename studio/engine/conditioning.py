"""From a prompt to embeddings: our parser, then compel's embedding layer. Never compel's parser.

A long prompt is cut into windows of 75 tokens between words, so that every word counts. Each window
goes to compel alone: the price of a weight below 1 is then one window, not the whole prompt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from compel.embeddings_provider import (
    EmbeddingsProvider,
    ReturnedEmbeddingsType,
    SplitLongTextMode,
)

from studio.engine.reading import MARKS, counter, windows
from studio.formats.prompt import Chunk, Fragment, blends

NOTHING = Fragment("", 1.0)


@dataclass(frozen=True, slots=True)
class Words:
    """Embeddings of one prompt: `tokens` is 1 x 77n x width, `pooled` is 1 x width."""

    tokens: torch.Tensor
    pooled: torch.Tensor


class Encoders:
    """The text encoders of an SDXL pipeline, as compel drives them."""

    def __init__(self, pipeline: Any, device: str) -> None:
        self.device = device
        self._count = counter(pipeline.tokenizer)
        self._providers = [
            EmbeddingsProvider(
                tokenizer,
                encoder,
                truncate=False,
                returned_embeddings_type=(
                    ReturnedEmbeddingsType.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED
                ),
                device=device,
                # Only a single word longer than a window still reaches compel uncut.
                split_long_text_mode=SplitLongTextMode.BRUTAL,
            )
            for tokenizer, encoder in (
                (pipeline.tokenizer, pipeline.text_encoder),
                (pipeline.tokenizer_2, pipeline.text_encoder_2),
            )
        ]

    @torch.no_grad()
    def encode(self, prompt: str, between: Callable[[], None] = lambda: None) -> Words:
        """`between` is called before each window but the first: thousands of words take a while."""
        for provider in self._providers:
            provider._empty_z = None  # compel's own memory, of another LoRA perhaps
        parts = blends(prompt)
        whole = sum(part.share for part in parts)
        encoded = [self._encode(part.chunks, between) for part in parts]
        if len(parts) == 1:
            return encoded[0]
        length = max(words.tokens.shape[1] for words in encoded)
        shares = [part.share / whole for part in parts]
        tokens = [self.pad(words.tokens, length) for words in encoded]
        return Words(
            torch.stack([each * share for each, share in zip(tokens, shares, strict=True)]).sum(0),
            torch.stack(
                [words.pooled * share for words, share in zip(encoded, shares, strict=True)]
            ).sum(0),
        )

    def _encode(self, chunks: tuple[Chunk, ...], between: Callable[[], None]) -> Words:
        room = self._providers[0].max_token_count - MARKS
        full = [window for chunk in chunks for window, _ in windows(chunk, self._count, room)]
        first = " ".join(fragment.text for fragment in chunks[0])
        pooled = self._providers[-1].get_pooled_embeddings([first], device=self.device)
        embedded = [self._embed(full[0])]
        for window in full[1:]:
            between()
            embedded.append(self._embed(window))
        return Words(torch.cat(embedded, dim=1), pooled)

    @torch.no_grad()
    def pad(self, tokens: torch.Tensor, length: int) -> torch.Tensor:
        """The same with empty windows behind, until it is `length` tokens long."""
        if tokens.shape[1] == length:
            return tokens
        empty = self._embed((NOTHING,))
        missing = (length - tokens.shape[1]) // empty.shape[1]
        return torch.cat([tokens, *[empty] * missing], dim=1)

    def _embed(self, window: Sequence[Fragment]) -> torch.Tensor:
        texts = [[fragment.text for fragment in window]]
        weights = [[fragment.weight for fragment in window]]
        return torch.cat(
            [
                provider.get_embeddings_for_weighted_prompt_fragments(
                    texts, weights, device=self.device
                ).to(self.device)
                for provider in self._providers
            ],
            dim=-1,
        )
