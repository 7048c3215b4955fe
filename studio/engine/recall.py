"""The words of the last prompts as a network reads them, so that the same words are read once.

They lie in the machine's own memory, whatever device they are for, and the oldest go first.
"""

from collections.abc import Callable
from typing import Any

import torch

from studio.request import ImageRequest

MOST_BYTES = 256 * 2**20  # thirty prompts of the longest kind, four hundred of SDXL's
Words = dict[str, torch.Tensor]


class Recall:
    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._kept: dict[object, tuple[Words, dict[str, torch.device]]] = {}  # the oldest first

    def words(
        self, request: ImageRequest, loras: Any, read: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """As `read` gives them, or gave them. `loras` are those that are worn."""
        guided = (request.guidance or 0) > 1  # by how much does not matter
        key = repr((request.prompt, request.negative_prompt, guided, loras))
        kept = self._kept.pop(key, None)
        if kept is None:
            words = read()
            if not all(isinstance(value, torch.Tensor) for value in words.values()):
                return words
            kept = (
                {name: value.cpu() for name, value in words.items()},
                {name: value.device for name, value in words.items()},
            )
            self._kept[key] = kept
            self._forget()
            return words
        self._kept[key] = kept
        return {name: value.to(kept[1][name]) for name, value in kept[0].items()}

    def _forget(self) -> None:
        bytes_ = {
            key: sum(value.nbytes for value in words.values())
            for key, (words, _) in self._kept.items()
        }
        for key in list(self._kept):
            if sum(bytes_.values()) <= self._most:
                return
            del self._kept[key], bytes_[key]
