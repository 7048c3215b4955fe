"""What each encoder is sent: as it is told before, and as it then reaches it, token by token."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from inspect import signature
from itertools import chain
from time import process_time
from typing import Any

import pytest
from diffusers import SanaPipeline
from transformers import CLIPTokenizer

from studio.engine.family import FAMILIES
from studio.engine.reading import (
    ENCODERS,
    QWEN_AFTER,
    QWEN_BEFORE,
    QWEN_UNSEEN,
    SANA_INSTRUCTION,
    counter,
    plain,
    readings,
)
from studio.jobs.reader import Reader
from studio.request import read_request
from studio.settings import ROOT
from studio.wishes.catalog import Catalog
from tests.engine.test_families import CARDS, MODULES, Atelier, open_atelier
from tests.engine.test_families import pytestmark as quiet

pytestmark = quiet
SLOW = ("chroma", "hunyuan-dit", "lumina-next", "qwen-image", "sd3.5-medium")  # built as the others


atelier = pytest.fixture(
    scope="module",
    params=[
        pytest.param(card, marks=pytest.mark.slow if card in SLOW else ())
        for card in (module.CARDS[0] for module in MODULES)
    ],
)(open_atelier)


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


def test_every_family_says_who_reads_for_it() -> None:
    assert ENCODERS.keys() == FAMILIES.keys()


@pytest.mark.parametrize("prompt", ["a (Red:1.2) boat", "a boat, some snow and " * 90])
def test_each_encoder_gets_what_is_told_before(
    atelier: Atelier, reader: Reader, prompt: str
) -> None:
    """Its tokens to the last one; and the process that counts, from the files, says the same."""
    request = read_request(
        atelier.job(prompt=prompt, negative_prompt="Snow, rain", guidance=4.0).request
    )
    key = atelier.residents.key(atelier.card, str(atelier.folder), "auto")
    family = atelier.residents.get(atelier.card, key).family
    tokenizers = partial(getattr, family.pipeline)
    given = given_to_encoders(family.pipeline, lambda: family.condition(request, lambda: None))
    told = readings(atelier.card, request, tokenizers)
    assert ("negative_prompt" in told) == ("negative" in atelier.card.can)
    encoders = [*ENCODERS[atelier.card.family]] * len(told)
    for encoder, one in zip(encoders, chain(*told.values()), strict=True):
        tokenizer = tokenizers(encoder.tokenizer)
        for sent in one.sent:
            whole = tokenizer(sent).input_ids
            room = min(len(whole), len(whole) - one.cut if not encoder.chunked else 77)
            ids = tokenizer(sent, truncation=True, max_length=room).input_ids
            assert any(holds(row, ids, tokenizer) for row in given[encoder.tokenizer])
        if one.cut and encoder.frame is plain:
            read = one.sent[0][: one.lost_at]
            assert len(tokenizer(read).input_ids) == one.limit
            assert one.sent[0] == read + one.lost
    asked = {"card": atelier.card.model_dump(mode="json"), "folder": str(atelier.folder)}
    answer = reader.ask(asked | {"request": request.model_dump(mode="json")})
    assert answer and answer["why"] == ""
    assert answer["encoders"] == json.loads(
        json.dumps({field: [asdict(one) for one in found] for field, found in told.items()})
    )
    assert bool(answer["unread"]) == (len(prompt) > 100 and "long_prompts" not in atelier.card.can)


def given_to_encoders(pipeline: Any, act: Callable[[], Any]) -> dict[str, list[list[int]]]:
    """Every row of ids that reaches an encoder, by the name of its tokenizer."""
    given: dict[str, list[list[int]]] = {}
    hooks = []
    for name, part in pipeline.components.items():
        if name.startswith("text_encoder") and part is not None:
            rows = given.setdefault(name.replace("text_encoder", "tokenizer"), [])

            def hear(_: Any, args: Any, named: Any, rows: list[list[int]] = rows) -> None:
                rows += (args[0] if args else named["input_ids"]).tolist()

            hooks.append(part.register_forward_pre_hook(hear, with_kwargs=True))
    act()
    for hook in hooks:
        hook.remove()
    return given


def holds(row: list[int], ids: list[int], tokenizer: Any) -> bool:
    """These tokens, and nothing else but what fills up the row, in front or behind."""
    filling = [tokenizer.pad_token_id] * (len(row) - len(ids))
    return row in (ids + filling, filling + ids)


def test_frames_are_those_of_the_pipelines() -> None:
    sana = signature(SanaPipeline.__call__).parameters["complex_human_instruction"].default
    assert list(SANA_INSTRUCTION) == sana
    qwen = CARDS["qwen-image"].build("qwen-image")
    assert qwen.prompt_template_encode == QWEN_BEFORE + "{}" + QWEN_AFTER
    assert qwen.prompt_template_encode_start_idx == QWEN_UNSEEN


@pytest.fixture(scope="module")
def clip() -> Any:
    """The starter's: as CLIP's, with a vocabulary of its own."""
    return CLIPTokenizer.from_pretrained(ROOT / "starter/weights/tokenizer")


LONG = {
    "words": "a red boat in the misty harbour, " * 1000,
    "words that are all others": " ".join(chr(0x4E00 + number) for number in range(16_000)),
    "one word": "x" * 32_000,
    "chunks": "a BREAK " * 4000,
}


@pytest.mark.parametrize("kind", LONG)
def test_32_kb_are_read_in_a_time_that_grows_with_their_length(
    catalog: Catalog, clip: Any, kind: str
) -> None:
    """A third of a second of one core at most, on a quiet machine; a busy one doubles that."""

    def seconds(length: int) -> float:
        request = read_request({"prompt": LONG[kind][:length]})
        start = process_time()
        read = readings(catalog.cards["sdxl"], request, lambda component: clip)
        took = process_time() - start
        assert all(one.tokens for one in read["prompt"])
        return took

    quarter, whole = (min(seconds(length) for _ in range(3)) for length in (8_000, 32_000))
    assert whole <= max(8 * quarter, 0.1)
    assert whole <= 1


def test_tokens_are_counted_as_transformers_counts_them(clip: Any) -> None:
    """Whatever was asked of the tokenizer before."""
    texts = ["", "a", "boat,", "C++", "日本", "naïve", "x" * 300, "it's 1.5!"]
    expected = [len(ids) - 2 for ids in clip(texts).input_ids]
    clip(texts, padding="max_length", truncation=True, max_length=77)
    assert counter(clip)(texts) == expected
    assert [len(ids) - 2 for ids in clip(texts).input_ids] == expected
