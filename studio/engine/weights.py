"""How the weights of a model are loaded: safetensors only, local files only; or why they are not.

`LOCAL` goes into every load.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio.engine.failures import PaintError
from studio.formats.safetensors import read_header
from studio.models.card import ModelCard
from studio.models.hashes import loaded_files
from studio.models.pipelines import INDEX, WEIGHTS

LOCAL: dict[str, Any] = {"local_files_only": True, "use_safetensors": True}


def check_files(folder: Path, card: ModelCard, parts: Mapping[str, Path]) -> None:
    """Refuses what no loading will make good, by the headers of the files alone."""
    if not (folder / INDEX).is_file():
        raise PaintError(
            "model_missing",
            f"model: {card.title} is not in {folder}; its model_index.json is missing. "
            f"Fetch {card.repo} again.",
        )
    for _, file in loaded_files(folder, card, parts):
        try:
            if file.suffix == WEIGHTS:
                read_header(file)
        except ValueError as error:
            raise PaintError(
                "model_invalid", f"model: {card.title} cannot be loaded. {file}: {error}."
            ) from None


def there(file: Path) -> Path:
    if not file.is_file():
        raise PaintError("model_missing", f"{file} is no longer there. Put it back, or ask again.")
    return file
