"""Where a model's files lie on this machine. Looks only; nothing is ever fetched from here.

A folder in the model folder wins over the hub cache, so that a hand-placed copy is used as it is.
"""

from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from studio.catalog import ModelCard, OtherPart
from studio.errors import Refused
from studio.settings import ROOT

EMBEDDED = "embedded:"


def find_weights(card: ModelCard, model_folder: Path) -> str:
    """The folder a pipeline loads from, or "" for a model that the worker builds itself.

    A card of ours may name a folder that came along with the studio.
    """
    if card.repo.startswith(EMBEDDED):
        return ""
    for folder in (model_folder / card.name, ROOT / Path(card.repo).expanduser()):
        if (folder / "model_index.json").is_file():
            return str(folder.resolve())
    index = _cached(card.repo, "model_index.json", card.revision)
    if index:
        return str(Path(index).parent)
    raise _missing(card)


def find_part(card: ModelCard, part: OtherPart, model_folder: Path) -> str:
    """The file of one component that comes from another repository."""
    for file in (model_folder / card.name / part.file, Path(part.repo).expanduser() / part.file):
        if file.is_file():
            return str(file.resolve())
    cached = _cached(part.repo, part.file, None)
    if cached:
        return cached
    raise _missing(card)


def absent(card: ModelCard, model_folder: Path) -> str:
    """What is missing, as a sentence that says how to fetch it; empty if all of it is here."""
    try:
        find_weights(card, model_folder)
        for part in card.parts.values():
            find_part(card, part, model_folder)
    except Refused as error:
        return str(error)
    return ""


def _cached(repo: str, file: str, revision: str | None) -> str | None:
    try:
        found = try_to_load_from_cache(repo, file, revision=revision)
    except HFValidationError:  # a path of this machine, not the name of a repository
        return None
    return found if isinstance(found, str) else None


def _missing(card: ModelCard) -> Refused:
    return Refused(
        f"{card.title} is not whole on this machine. Fetch it with: python app.py models pull "
        f"{card.name} (or put its folder into the model folder as {card.name}).",
        field="model",
    )
