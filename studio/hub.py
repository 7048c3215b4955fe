"""Models on this disk, and how they come from the hub: listed, fetched, checked, taken away.

Only what a model is loaded from is fetched: JSON, vocabularies and safetensors of the card's
variant. What was begun goes on where it broke off; remote code and pickled weights never come.
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download
from huggingface_hub.errors import (
    CacheNotFound,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from studio.catalog import ModelCard
from studio.errors import DarkroomError, Refused
from studio.settings import ROOT
from studio.weights import EMBEDDED, absent, find_part, find_weights

WORDS = ("*.json", "*.txt", "*.model")  # configurations and vocabularies
OTHER_VARIANTS = ("*.fp16*", "*.bf16*", "*.non_ema*")
PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
LONGEST_HEADER = 100 * 2**20  # bytes, as the format itself limits it


class CannotFetch(DarkroomError):
    """The hub does not give it, or not now."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a model stands: `place` in words, and how much of the disk it takes."""

    card: ModelCard
    place: str
    gb: float


def survey(cards: list[ModelCard], models: Path) -> list[Standing]:
    return [_standing(card, models) for card in cards]


def wanted(card: ModelCard) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Patterns of what is fetched, and of what is not. Weights lie in folders: one that lies above
    them is the whole model once more, for other programs."""
    if card.variant:
        return (*WORDS, f"*/*.{card.variant}*.safetensors"), ()
    return (*WORDS, "*/*.safetensors"), OTHER_VARIANTS


def pull(card: ModelCard) -> None:
    """Fetches what is missing, with a bar for each file."""
    if not _from_hub(card):
        raise Refused(f"model: {card.title} came along; nothing has to be fetched.", field="model")
    allowed, ignored = wanted(card)
    try:
        snapshot_download(
            card.repo,
            revision=card.revision,
            allow_patterns=list(allowed),
            ignore_patterns=list(ignored),
        )
        for part in card.parts.values():
            hf_hub_download(part.repo, part.file)
    except GatedRepoError as error:
        raise CannotFetch(
            f"{card.title} is given to those who agreed to its licence. Agree at "
            f"{card.homepage or card.repo}, then give your token: hf auth login, or HF_TOKEN."
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        at = f" at revision {card.revision}" if card.revision else ""
        raise CannotFetch(f"The hub has no {card.repo}{at}, or not for you.") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise CannotFetch(
            f"{card.title} could not be fetched: {why} What has come so far is kept; ask again."
        ) from error


def check(card: ModelCard, models: Path) -> list[str]:
    """What is wrong with its files, each in a sentence with the file's name; no tensor is read."""
    if missing := absent(card, models):
        return [missing]
    if card.repo.startswith(EMBEDDED):
        return []
    folder = Path(find_weights(card, models))
    parts = [Path(find_part(card, part, models)) for part in card.parts.values()]
    files = sorted(folder.glob("**/*"))
    weights = [file for file in files if file.suffix == ".safetensors"] + parts
    return [
        *_missing_shards(folder),
        *(
            f"{file.name} is pickled and never loaded; it may be deleted."
            for file in files
            if file.suffix in PICKLED
        ),
        *(f"{file} {why}" for file in weights if (why := flaw(file))),
    ]


def flaw(file: Path) -> str:
    """Why a file is no whole safetensors file, by its header alone; empty if it is one."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        start = opened.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(size - 8, LONGEST_HEADER):
            return "is no safetensors file; delete it and fetch it again."
        try:
            header = json.loads(opened.read(length))
            ends = [
                tensor["data_offsets"][1] for name, tensor in header.items() if name[:2] != "__"
            ]
        except (ValueError, LookupError, TypeError, AttributeError):
            return "is no safetensors file; delete it and fetch it again."
    missing = 8 + length + max(ends, default=0) - size
    return f"is cut short by {missing} bytes; fetch it again." if missing > 0 else ""


def remove(card: ModelCard, models: Path) -> float:
    """Takes it off the disk; says how many GB are free for it."""
    standing = _standing(card, models)
    own = models / card.name
    if own.is_symlink():
        own.unlink()
    elif own.is_dir() and _from_hub(card):
        shutil.rmtree(own)
    elif repos := _cached(card):
        for repo in repos:
            shutil.rmtree(repo)
    else:
        why = "is not on this machine" if _from_hub(card) else "came along and stays"
        raise Refused(f"model: {card.title} {why}.", field="model")
    return standing.gb


def _standing(card: ModelCard, models: Path) -> Standing:
    if card.repo.startswith(EMBEDDED):
        return Standing(card, "made on this machine", 0.0)
    if absent(card, models):
        begun = sum(_bytes(repo) for repo in _cached(card))
        return Standing(card, "not whole" if begun else "not here", begun / 1e9)
    folder = Path(find_weights(card, models))
    if folder.is_relative_to(ROOT) and not folder.is_relative_to(models.resolve()):
        return Standing(card, "came along", _bytes(folder) / 1e9)
    if folder.is_relative_to(models.resolve()) or (models / card.name).exists():
        return Standing(card, "in the model folder", _bytes(folder) / 1e9)
    return Standing(card, "in the hub cache", sum(map(_bytes, _cached(card))) / 1e9)


def _from_hub(card: ModelCard) -> bool:
    return not card.repo.startswith(EMBEDDED) and not (ROOT / card.repo).exists()


def _cached(card: ModelCard) -> list[Path]:
    """Its repositories in the hub's cache, whole or not."""
    names = {card.repo, *(part.repo for part in card.parts.values())}
    try:
        return [repo.repo_path for repo in scan_cache_dir().repos if repo.repo_id in names]
    except CacheNotFound:
        return []


def _missing_shards(folder: Path) -> Iterator[str]:
    for index in sorted(folder.glob("**/*.safetensors.index.json")):
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, LookupError, AttributeError):
            yield f"{index} cannot be read; fetch it again."
            continue
        for shard in sorted(shards):
            if not (index.parent / shard).is_file():
                yield f"{index.parent / shard} is missing; fetch it again."


def _bytes(folder: Path) -> int:
    """Each file once, however many names lead to it."""
    files = {file.resolve() for file in folder.glob("**/*") if file.is_file()}
    return sum(os.stat(file).st_size for file in files)
