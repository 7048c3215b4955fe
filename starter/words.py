"""The starter's two text encoders: what they read words with, and how they learn to.

They learn before the painter does, by telling the scene from its caption. After that they stay as
they are. Words keep their meaning at their own place, so that a weight on one word is felt; the
last places of a caption draw the outlines of its things, cell by cell (see `layout`).
"""

# mypy: disable-error-code="no-untyped-call"
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from starter.album import scene
from starter.captions import caption, fragment
from starter.layout import CELLS, POINTS, cells, drawing
from starter.lesson import Lesson
from starter.places import HOURS, PLACES
from starter.styles import STYLES
from starter.things import COLOURS, THINGS
from starter.world import POSITIONS, RELATIONS, SIZES, WEATHERS, Spec
from studio.engine.embedded import END, START, tokenizer, vocabulary

RATE = 2e-3
BATCH = 32
LENGTH = 77
SHORT = 32  # tokens; most lessons leave out what stands between the words and the drawing
DRAWS = LENGTH - CELLS  # the first of the places that draw
INK = 0.05  # the mean square of a drawing's points: to draw nothing costs 1
FRAGMENTS = 0.08  # of what is said names one or two traits only
WIDTHS, LAYERS = (96, 160), (2, 4)
SUMMARY = 192  # how wide the pooled embedding is
# What the pooled words tell; colours are asked of the words one by one, so that no summary outvotes
# a word with its own weight.
SCENE = (
    *("thing", "place", "hour", "weather", "style"),
    *("size", "position", "count", "relation", "other thing"),
)
TRAITS: dict[str, list[Any]] = {
    "thing": list(THINGS), "place": list(PLACES), "hour": list(HOURS), "weather": list(WEATHERS),
    "style": list(STYLES), "colour": list(COLOURS), "size": list(SIZES),
    "position": list(POSITIONS), "count": [1, 2, 3], "relation": [None, *RELATIONS],
    "other thing": [None, *THINGS], "other colour": [None, *COLOURS],
}  # fmt: skip


def traits(spec: Spec) -> list[int]:
    """The scene as numbers, one for each of TRAITS."""
    item, other = spec.items[0], spec.items[1] if spec.relation else None
    values = {
        "thing": item.thing, "place": spec.place, "hour": spec.hour, "weather": spec.weather,
        "style": spec.style, "colour": item.colour, "size": item.size, "position": item.position,
        "count": item.count, "relation": spec.relation,
        "other thing": other and other.thing, "other colour": other and other.colour,
    }  # fmt: skip
    return [options.index(values[name]) for name, options in TRAITS.items()]


def said(spec: Spec, dice: random.Random) -> str:
    return (fragment if dice.random() < FRAGMENTS else caption)(spec, dice)


def learn_merges(captions: int = 6000) -> list[tuple[str, str]]:
    """Byte pairs by frequency, as BPE is defined, until each word of the captions is one token."""
    dice = random.Random(0)
    counts = Counter(
        word
        for index in range(captions)
        for word in caption(scene(index), dice).lower().replace(",", " ").replace("-", " ").split()
    )
    words = {(*word[:-1], f"{word[-1]}</w>"): count for word, count in counts.items()}
    merges: list[tuple[str, str]] = []
    while any(len(word) > 1 for word in words):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:], strict=False):
                pairs[pair] += count
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = {_merged(word, best): count for word, count in words.items()}
    return merges


def _merged(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    joined: list[str] = []
    for part in word:
        if joined and (joined[-1], part) == pair:
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)


Tokenizers = tuple[CLIPTokenizer, CLIPTokenizer]


def tokenized(tokenizers: Tokenizers, texts: list[str]) -> torch.Tensor:
    """As both write them: n x 2 x 77."""
    wish = {"padding": "max_length", "max_length": LENGTH, "truncation": True}
    return torch.stack(
        [each(texts, **wish, return_tensors="pt").input_ids for each in tokenizers], 1
    )


class Words(nn.Module):
    """Both tokenizers and both encoders, read as the SDXL pipeline reads them."""

    def __init__(self) -> None:
        super().__init__()
        merges = learn_merges()
        tokens = vocabulary(merges)
        self.tokenizers: Tokenizers = (tokenizer(merges, END), tokenizer(merges, "!"))
        configs = [
            CLIPTextConfig(
                vocab_size=len(tokens),
                hidden_size=width,
                intermediate_size=4 * width,
                projection_dim=SUMMARY,
                num_hidden_layers=layers,
                num_attention_heads=width // 32,
                max_position_embeddings=LENGTH,
                bos_token_id=tokens[START],
                eos_token_id=tokens[END],
                pad_token_id=tokens[END],
            )
            for width, layers in zip(WIDTHS, LAYERS, strict=True)
        ]
        self.first = CLIPTextModel(configs[0])
        unread = [self.first.encoder.layers[-1], self.first.final_layer_norm]
        for part in unread:  # SDXL reads the layer before the last
            part.requires_grad_(False)
        self.second = CLIPTextModelWithProjection(configs[1])

    def tokenize(self, texts: list[str]) -> torch.Tensor:
        return tokenized(self.tokenizers, texts)

    def forward(
        self, first: torch.Tensor, second: torch.Tensor, short: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Every word's embedding, from both side by side; and the pooled ones of the second.

        Short: without the places between SHORT and the drawing.
        """
        places = torch.arange(LENGTH, device=first.device)
        if short:
            places = torch.cat([places[:SHORT], places[DRAWS:]])
        read = {"position_ids": places[None], "output_hidden_states": True}
        one = self.first(first[:, places], **read).hidden_states[-2]
        two = self.second(second[:, places], **read)
        return torch.cat([one, two.hidden_states[-2]], -1), two.text_embeds


class Reader(nn.Module):
    """Tells the traits from the words: what makes the encoders learn. Thrown away afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.words = Words()
        width = sum(WIDTHS)
        self.asks = nn.Parameter(torch.randn(len(TRAITS), width) * width**-0.5)
        self.tells = nn.ModuleList(nn.Linear(width, len(options)) for options in TRAITS.values())
        self.pooled_tells = nn.ModuleList(nn.Linear(SUMMARY, len(TRAITS[name])) for name in SCENE)
        self.draws = nn.Linear(WIDTHS[1], POINTS)

    def forward(
        self,
        first: torch.Tensor,
        second: torch.Tensor,
        truth: torch.Tensor,
        drawn: torch.Tensor,
        short: bool,
    ) -> torch.Tensor:
        tokens, pooled = self.words(first, second, short)
        pooled, drawing = pooled.float(), self.draws(tokens[:, -CELLS:, WIDTHS[0] :]).float()
        tokens = tokens[:, :-CELLS].float()
        ends = (first == self.words.first.config.eos_token_id).int().argmax(1, keepdim=True)
        places = torch.arange(tokens.shape[1], device=first.device)
        word = (places > 0) & (places < ends)
        attention = torch.einsum("btw,aw->bat", tokens, self.asks)
        attention = attention.masked_fill(~word[:, None], -1e4).softmax(-1)
        read = torch.einsum("bat,btw->baw", attention, tokens)
        loss = torch.stack(
            [cross_entropy(tell(read[:, i]), truth[:, i]) for i, tell in enumerate(self.tells)]
        ).sum()
        names = list(TRAITS)
        for name, tell in zip(SCENE, self.pooled_tells, strict=True):
            loss = loss + cross_entropy(tell(pooled), truth[:, names.index(name)])
        # What stands behind the last word shall say nothing of it: the same in every caption.
        behind = (places >= ends)[..., None]
        usual = (tokens * behind).sum(0) / behind.sum(0).clamp(min=1)
        strays = ((tokens - usual.detach()).square() * behind).sum() / behind.sum()
        size = tokens.square().mean() - 1  # of the size the painter's attention is made for
        return loss + 0.2 * strays + 0.1 * size.square() + 8 * mse_loss(drawing, drawn) / INK


def learn(folder: Path, minutes: float, device: str) -> Words:
    reader = Reader()

    def loss(network: nn.Module, done: float) -> torch.Tensor:
        scenes = [scene(dice.randrange(2**40)) for _ in range(BATCH)]
        given = (
            *reader.words.tokenize([said(spec, dice) for spec in scenes]).unbind(1),
            torch.tensor([traits(spec) for spec in scenes]),
            cells(np.stack([drawing(spec) for spec in scenes])),
        )
        short = dice.random() < 0.9
        told: torch.Tensor = network(*(part.to(lesson.device) for part in given), short)
        return told

    lesson = Lesson("words", reader, folder, minutes, RATE, device)
    dice = random.Random(f"words {lesson.rank}")
    words: Words = lesson.run(loss).words
    return words
