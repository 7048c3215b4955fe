"""Models on this disk, and how they come from the hub: listed, fetched, checked, taken away.

Only what a model is loaded from is fetched: JSON, vocabularies and safetensors of the card's
variant. What was begun goes on where it broke off; remote code and pickled weights never come.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from huggingface_hub import (
    CachedRepoInfo,
    HfApi,
    hf_hub_download,
    scan_cache_dir,
    snapshot_download,
)
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.errors import (
    CacheNotFound,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name

from studio.catalog import ModelCard
from studio.errors import DarkroomError, Refused
from studio.safety import FILES, CheckerCard, checker_folder
from studio.settings import ROOT
from studio.weights import EMBEDDED, absent, find_part, find_weights

WORDS = ("*.json", "*.txt", "*.model")  # configurations and vocabularies
OTHER_VARIANTS = ("*.fp16*", "*.bf16*", "*.non_ema*")
PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
NO_NETWORK = ("Tokenizer", "TokenizerFast", "Scheduler", "Processor", "Extractor")
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


def pull(card: ModelCard, models: Path) -> None:
    """Fetches what is missing, with a bar for each file."""
    if not _from_hub(card):
        raise Refused(f"model: {card.title} came along; nothing has to be fetched.", field="model")
    allowed, ignored = wanted(card)
    with _in_words(card):
        snapshot_download(
            card.repo,
            revision=card.revision,
            allow_patterns=list(allowed),
            ignore_patterns=list(ignored),
        )
        for part in card.parts.values():
            hf_hub_download(part.repo, part.file)
    if missing := check(card, models):  # without a way out the hub's library is content with less
        raise CannotFetch(f"{card.title} is not whole: {missing[0]}")


def pull_checker(card: CheckerCard, models: Path) -> None:
    """The same for what checks pictures, whose files lie above all folders."""
    with _in_words(card):
        snapshot_download(card.repo, revision=card.revision, allow_patterns=list(FILES))
    if not checker_folder(card, models):
        raise CannotFetch(f"{card.title} is not whole: {card.repo} lacks some of {FILES}.")


@contextmanager
def _in_words(card: ModelCard | CheckerCard) -> Iterator[None]:
    try:
        yield
    except HFValidationError as error:
        raise Refused(f"model: {card.repo} is no name of the hub's.", field="model") from error
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


def whole(card: ModelCard) -> int | None:
    """Bytes of all that `pull` would fetch; None if the hub does not say."""
    allowed, ignored = wanted(card)
    total = 0
    try:
        for file in _offered(card.repo, card.revision):
            wants = any(fnmatch(file.rfilename, pattern) for pattern in allowed)
            if wants and not any(fnmatch(file.rfilename, pattern) for pattern in ignored):
                total += file.size or 0
        for part in card.parts.values():
            offered = _offered(part.repo, None)
            total += sum(file.size or 0 for file in offered if file.rfilename == part.file)
    except (HfHubHTTPError, HFValidationError, OSError):
        return None
    return total


def _offered(repo: str, revision: str | None) -> Sequence[Any]:
    asked = HfApi().model_info(repo, revision=revision, timeout=10, files_metadata=True)
    return asked.siblings or ()


def begun(card: ModelCard) -> int:
    """Bytes of its repositories on this disk, whole or not."""
    folders = (
        Path(HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model")
        for repo in _repos(card)
    )
    return sum(_bytes(folder) for folder in folders)


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
        *_missing_parts(folder, card),
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
    try:
        size = file.stat().st_size
    except OSError:
        return "is missing; fetch it again."
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


def remove(card: ModelCard, cards: list[ModelCard], models: Path) -> str:
    """Takes it off the disk, in the model folder and in the hub's cache, but for what another of
    the cards needs that is here; says what it did."""
    own, freed = models / card.name, 0
    others = [other for other in cards if other is not card and not absent(other, models)]
    shared = {repo: other.title for other in others for repo in _repos(other)}
    kept = [repo for repo in _cached(card) if repo.repo_id in shared]
    gone = [Path(repo.repo_path) for repo in _cached(card) if repo.repo_id not in shared]
    gone += [own] if own.is_dir() and not own.is_symlink() and _from_hub(card) else []
    if not (gone or kept or own.is_symlink()):
        why = "is not on this machine" if _from_hub(card) else "came along and stays"
        raise Refused(f"model: {card.title} {why}.", field="model")
    try:
        if own.is_symlink():
            own.unlink()
        for folder in gone:
            freed += _bytes(folder)
            shutil.rmtree(folder)
    except OSError as error:
        raise CannotFetch(f"{card.title} could not be removed: {error}.") from error
    said = f"{card.title} is gone; {freed / 1e9:.1f} GB are free again."
    return said + "".join(
        f" {repo.repo_id} stays, for {shared[repo.repo_id]} needs it." for repo in kept
    )


def _standing(card: ModelCard, models: Path) -> Standing:
    if card.repo.startswith(EMBEDDED):
        return Standing(card, "made on this machine", 0.0)
    if absent(card, models) or check(card, models):
        begun = sum(_bytes(repo.repo_path) for repo in _cached(card))
        return Standing(card, "not whole" if begun else "not here", begun / 1e9)
    folder = Path(find_weights(card, models))
    if folder.is_relative_to(ROOT) and not folder.is_relative_to(models.resolve()):
        return Standing(card, "came along", _bytes(folder) / 1e9)
    if folder.is_relative_to(models.resolve()) or (models / card.name).exists():
        return Standing(card, "in the model folder", _bytes(folder) / 1e9)
    return Standing(
        card, "in the hub cache", sum(_bytes(repo.repo_path) for repo in _cached(card)) / 1e9
    )


def _from_hub(card: ModelCard) -> bool:
    here = (ROOT / Path(card.repo).expanduser()).exists()
    return not card.repo.startswith(EMBEDDED) and not here


def _repos(card: ModelCard) -> set[str]:
    return {card.repo, *(part.repo for part in card.parts.values())}


def _cached(card: ModelCard) -> list[CachedRepoInfo]:
    """Its repositories in the hub's cache, whole or not."""
    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return []
    return [repo for repo in repos if repo.repo_type == "model" and repo.repo_id in _repos(card)]


def _missing_parts(folder: Path, card: ModelCard) -> Iterator[str]:
    """Each component that the index names has a folder, and weights where it has a network."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        yield f"{folder / 'model_index.json'} cannot be read; fetch it again."
        return
    for name, kind in index.items():
        if name in card.parts or not isinstance(kind, list) or not all(kind):
            continue
        part, network = folder / name, not kind[1].endswith(NO_NETWORK)
        if not part.is_dir():
            yield f"{part} is missing; fetch it again."
        elif network and not any(part.glob("*.safetensors")):
            yield f"{part} has no weights; fetch it again."


def _missing_shards(folder: Path) -> Iterator[str]:
    for index in sorted(folder.glob("**/*.safetensors.index*.json")):
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
