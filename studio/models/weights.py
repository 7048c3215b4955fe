"""Where a model's files lie on this machine. Looks only; nothing is ever fetched from here.

A folder in the model folder wins over the hub cache, so that a hand-placed copy is used as it is.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from studio.errors import Refused
from studio.models.card import ModelCard
from studio.models.otherparts import OtherPart
from studio.models.pipelines import INDEX, WEIGHTS, networks
from studio.settings import ROOT

EMBEDDED = "embedded:"


def find_weights(card: ModelCard, model_folder: Path) -> str:
    """The folder a pipeline loads from, or "" for a model that the worker builds itself.

    A card of ours may name a folder that came along with the studio. A checkpoint in one file has
    its configuration and its vocabularies from the folder of the model that it is one of.
    """
    if card.repo.startswith(EMBEDDED):
        return ""
    for folder in (model_folder / (card.beside or card.name), ROOT / Path(card.repo).expanduser()):
        if (folder / INDEX).is_file():
            return str(folder.resolve())
    index = _cached(card.repo, INDEX, card.revision)
    if index:
        return str(Path(index).parent)
    raise _missing(card)


def find_part(card: ModelCard, part: OtherPart, model_folder: Path) -> str:
    """The file of one component that lies elsewhere. A second network has a folder like the
    model's, so it is looked for under the name of its repository."""
    places = [model_folder]
    if part.repo:
        own = part.repo.rpartition("/")[2] if part.config else card.name
        places = [model_folder / own, Path(part.repo).expanduser()]
    wanted = [part.file, part.config] if part.config else [part.file]
    for place in places:
        if all((place / name).is_file() for name in wanted):
            return str((place / part.file).resolve())
    found = [_cached(part.repo, name, None) for name in wanted] if part.repo else [None]
    if found[0] and all(found):
        return found[0]
    raise _missing(card)


def absent(card: ModelCard, model_folder: Path) -> str:
    """What is missing, as a sentence that says how to fetch it; empty if all of it is here."""
    try:
        folder = find_weights(card, model_folder)
        for part in card.parts.values():
            find_part(card, part, model_folder)
        if folder and any(lacking(Path(folder), card)):
            raise _missing(card)
    except Refused as error:
        return str(error)
    return ""


def lacking(folder: Path, card: ModelCard) -> Iterator[str]:
    """What of the folder is not there, each in a sentence with its name."""
    index = read_index(folder)
    if index is None:
        yield f"{folder / INDEX} cannot be read; fetch it again."
        return
    weighty = networks(index)
    for name, kind in index.items():
        if name in card.parts or not isinstance(kind, list) or not all(kind):
            continue
        try:
            files = os.listdir(folder / name)
        except OSError:
            yield f"{folder / name} is missing; fetch it again."
            continue
        if name in weighty and not any(file.endswith(WEIGHTS) for file in files):
            yield f"{folder / name} has no weights; fetch it again."


def read_index(folder: Path) -> dict[str, Any] | None:
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return index if isinstance(index, dict) else None


def _cached(repo: str, file: str, revision: str | None) -> str | None:
    try:
        found = try_to_load_from_cache(repo, file, revision=revision)
    except HFValidationError:  # a path of this machine, not the name of a repository
        return None
    return found if isinstance(found, str) else None


def _missing(card: ModelCard) -> Refused:
    fetch = f"python app.py models pull {card.name}"
    said = (
        f"{card.title} is not whole on this machine. Fetch it on the Models page, or with: {fetch} "
        f"(or put its folder into the model folder as {card.name})."
    )
    if card.beside:
        said = (
            f"{card.title} needs what its file does not hold, from {card.repo}. Fetch that with: "
            f"{fetch} (or put that folder into the model folder as {card.beside})."
        )
    return Refused(said, field="model")
