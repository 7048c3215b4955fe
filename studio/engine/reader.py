"""The process that reads prompts as models do: `python -m studio.engine.reader`. It paints nothing.

It loads tokenizers with the classes that the pipelines use and without torch, which takes a second
and little memory. Questions come in frames on standard input; it ends with them.
"""

import json
import os
import sys
from dataclasses import asdict
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import msgpack

from studio.engine.reading import readings, unread
from studio.engine.worker import ENVIRONMENT, take_channel
from studio.messages import read_bytes, write_bytes
from studio.models.card import ModelCard
from studio.request import read_request

KEPT = 8  # tokenizers in memory; the largest take 100 MB


def main() -> None:
    outbox = take_channel()
    os.environ |= ENVIRONMENT | {"TRANSFORMERS_NO_ADVISORY_WARNINGS": "1"}
    sys.modules["torch"] = None  # type: ignore[assignment]  # transformers does without
    while (data := read_bytes(sys.stdin.buffer)) is not None:
        write_bytes(outbox, msgpack.packb(answer(msgpack.unpackb(data))))


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """What each encoder reads of each text, and what is lost; `why` nothing could be counted."""
    card, request = ModelCard.model_validate(asked["card"]), read_request(asked["request"])
    why = ""
    read = readings(card, request, lambda component: None)
    if asked["folder"]:
        try:
            read = readings(card, request, partial(_tokenizer, Path(asked["folder"])))
        except (OSError, ValueError, LookupError, AttributeError, TypeError, ImportError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0][:200]
            why = f"the tokenizers of {card.title} cannot be loaded: {said}"
    told = {field: [asdict(one) for one in found] for field, found in read.items()}
    return {"encoders": told, "unread": unread(card, read), "why": why}


def _tokenizer(folder: Path, component: str) -> Any:
    return _loaded(folder, component, (folder / component).stat().st_mtime_ns)


@lru_cache(maxsize=KEPT)
def _loaded(folder: Path, component: str, _changed: int) -> Any:
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    kind = getattr(import_module("transformers"), index[component][1])
    return kind.from_pretrained(folder / component, local_files_only=True)


if __name__ == "__main__":
    main()
