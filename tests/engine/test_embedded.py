"""The test pattern is built once, the same everywhere, and knows every text."""

import threading
from pathlib import Path

import pytest
import torch

from studio.engine.embedded import build, ensure
from studio.engine.failures import PaintError
from studio.engine.painter import Painter
from studio.models.card import ModelCard
from studio.models.hashes import content_hash

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")


def test_every_build_has_the_same_weights() -> None:
    torch.manual_seed(1)
    first = build()
    torch.manual_seed(2)
    second = build()
    for part in PARTS:
        other = getattr(second, part).state_dict()
        for name, weight in getattr(first, part).state_dict().items():
            assert torch.equal(weight, other[name]), f"{part}.{name}"


def test_it_is_small(models: Path) -> None:
    files = [file for file in (models / "test-pattern").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 8 * 2**20


def test_workers_may_build_it_at_once(tmp_path: Path, card: ModelCard) -> None:
    folder, found = tmp_path / "models" / card.name, list[Path]()
    threads = [
        threading.Thread(target=lambda: found.append(ensure("test-pattern", folder)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [folder] * 3
    assert [path.name for path in folder.parent.iterdir()] == [card.name]  # nothing half-built
    assert content_hash(folder, card, {})


def test_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PaintError, match="embeds no model 'other'"):
        ensure("other", tmp_path / "other")


def test_every_text_has_tokens_and_none_is_unknown(painter: Painter) -> None:
    tokenizer = painter.family.pipeline.tokenizer
    text = "".join(map(chr, [*range(1, 0x500), *range(0x4E00, 0x4E80), 0x1F600]))
    ids = tokenizer(text)["input_ids"][1:-1]
    assert len(ids) > 1000
    assert tokenizer.unk_token_id not in ids
