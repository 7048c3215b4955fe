"""Prompts become what the stock pipeline makes of them; weights and long prompts become more."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.engine.conditioning import Encoders
from studio.engine.painter import Painter
from studio.request import read_request
from tests.engine.conftest import Job

LONG = "a very long prompt about a boat, " * 12


@pytest.fixture(scope="module")
def encoders(painter: Painter) -> Encoders:
    return Encoders(painter.family.pipeline, "cpu")


@pytest.mark.parametrize(
    "prompt", ["a cat", "", "Ünïcödé 猫 😀 \x7f", "two\n\nlines,  spaces ", "<b>"]
)
def test_a_plain_prompt_equals_the_stock_pipelines(
    painter: Painter, encoders: Encoders, prompt: str
) -> None:
    with torch.no_grad():
        stock, _, pooled, _ = painter.family.pipeline.encode_prompt(prompt, device="cpu")
    words = encoders.encode(prompt)
    torch.testing.assert_close(words.tokens, stock)
    torch.testing.assert_close(words.pooled, pooled)


def test_a_weight_of_one_changes_nothing(encoders: Encoders) -> None:
    plain, weighted = encoders.encode("a red boat"), encoders.encode("a (red:1) boat")
    assert torch.equal(plain.tokens, weighted.tokens)


def test_more_weight_moves_the_embeddings_further(encoders: Encoders) -> None:
    plain = encoders.encode("a red boat").tokens
    moves = [
        (encoders.encode(f"a (red:{weight}) boat").tokens - plain).norm().item()
        for weight in (1.0, 1.1, 1.4, 2.0, 4.0)
    ]
    assert moves == sorted(moves)
    assert moves[0] == 0 < moves[1]


def test_less_weight_moves_towards_a_prompt_without_the_word(encoders: Encoders) -> None:
    plain = encoders.encode("a red boat").tokens
    moves = [
        (encoders.encode(f"a (red:{weight}) boat").tokens - plain).norm().item()
        for weight in (1.0, 0.9, 0.5, 0.0)
    ]
    assert moves == sorted(moves)


def test_a_weight_below_nothing_leads_further_away_from_the_word(encoders: Encoders) -> None:
    nothing = encoders.encode("a (red:0) boat").tokens
    moves = [
        (encoders.encode(f"a (red:{weight}) boat").tokens - nothing).norm().item()
        for weight in (-0.5, -1)
    ]
    assert 0 < moves[0] < moves[1]


def test_a_weight_is_measured_from_the_encoders_as_they_are_now(painter: Painter) -> None:
    """A LoRA may have changed them since compel last looked."""
    encoder = painter.family.pipeline.text_encoder
    layer = encoder.get_input_embeddings().weight
    encoders, kept = Encoders(painter.family.pipeline, "cpu"), layer.detach().clone()
    encoders.encode("a (red:1.4) boat")
    with torch.no_grad():
        layer.mul_(1.5)
    try:
        later = encoders.encode("a (red:1.4) boat").tokens
        fresh = Encoders(painter.family.pipeline, "cpu").encode("a (red:1.4) boat").tokens
    finally:
        with torch.no_grad():
            layer.copy_(kept)
    assert torch.equal(later, fresh)


def test_between_the_windows_of_a_long_prompt_somebody_may_speak(encoders: Encoders) -> None:
    heard: list[int] = []
    windows = encoders.encode(LONG * 3, lambda: heard.append(1)).tokens.shape[1] // 77
    assert len(heard) == windows - 1 > 1
    with pytest.raises(InterruptedError):
        encoders.encode(LONG * 3, _stop)


def _stop() -> None:
    raise InterruptedError


def test_every_word_of_a_long_prompt_counts(encoders: Encoders) -> None:
    sea, sky = encoders.encode(LONG + "sea").tokens, encoders.encode(LONG + "sky").tokens
    assert sea.shape == sky.shape
    assert sea.shape[1] > 77
    assert sea.shape[1] % 77 == 0
    assert torch.equal(sea[:, :77], sky[:, :77])
    assert not torch.equal(sea, sky)


def test_a_long_prompt_is_cut_between_words(encoders: Encoders) -> None:
    words = [f"boat{number}" for number in range(40)]
    whole = encoders.encode(" ".join(words)).tokens
    first = next(
        count
        for count in range(1, len(words))
        if encoders.encode(" ".join(words[:count])).tokens.shape[1] > 77
    )
    cut = encoders.encode(" ".join(words[: first - 1])).tokens
    assert torch.allclose(whole[:, :77], cut, atol=1e-5)


def test_a_word_longer_than_a_window_still_counts(encoders: Encoders) -> None:
    assert encoders.encode("ab" * 200).tokens.shape[1] > 77


def test_break_opens_a_window_of_its_own(encoders: Encoders) -> None:
    together = encoders.encode("a cat BREAK a dog").tokens
    apart = [encoders.encode(text).tokens for text in ("a cat", "a dog")]
    torch.testing.assert_close(together, torch.cat(apart, dim=1))


def test_a_blend_lies_between_its_prompts_by_their_shares(encoders: Encoders) -> None:
    cat, boat = encoders.encode("a cat"), encoders.encode(LONG)
    mixed = encoders.encode(f"a cat :3 AND {LONG}:1")
    cat_tokens = encoders.pad(cat.tokens, boat.tokens.shape[1])
    torch.testing.assert_close(mixed.tokens, 0.75 * cat_tokens + 0.25 * boat.tokens)
    torch.testing.assert_close(mixed.pooled, 0.75 * cat.pooled + 0.25 * boat.pooled)
    alone = encoders.encode("a cat AND a boat:0")
    torch.testing.assert_close(alone.tokens, cat.tokens)
    nothing = encoders.encode("a cat:1 AND a boat:-1")
    torch.testing.assert_close(nothing.tokens, cat.tokens)


def test_prompt_and_negative_become_equally_long(painter: Painter, job: Job) -> None:
    request = read_request(job(negative_prompt=LONG).request)
    arguments = painter.family.condition(request, lambda: None)
    assert arguments["prompt_embeds"].shape == arguments["negative_prompt_embeds"].shape
    assert arguments["prompt_embeds"].shape[1] > 77


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(prompt=st.text(st.sampled_from("()[]:.19ab!,'\u3000\u200b\x1c <|endoftext|>"), max_size=80))
def test_no_prompt_breaks_it(encoders: Encoders, prompt: str) -> None:
    words = encoders.encode(prompt)
    assert torch.isfinite(words.tokens).all()
    assert words.tokens.shape[1] % 77 == 0
