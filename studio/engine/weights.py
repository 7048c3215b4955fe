"""How the weights of a model are loaded: safetensors only, local files only; or why they are not.

`LOCAL` goes into every load.
"""

from pathlib import Path
from typing import Any

from studio.catalog import ModelCard
from studio.engine.failures import PaintError

LOCAL: dict[str, Any] = {"local_files_only": True, "use_safetensors": True}


def check_folder(folder: Path, card: ModelCard) -> None:
    if not (folder / "model_index.json").is_file():
        raise PaintError(
            "model_missing",
            f"model: {card.title} is not in {folder}; its model_index.json is missing. "
            f"Fetch {card.repo} again.",
        )


def there(file: Path) -> Path:
    if not file.is_file():
        raise PaintError("model_missing", f"{file} is no longer there. Put it back, or ask again.")
    return file
