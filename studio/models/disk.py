"""Models on this disk: where each stands, what is wrong with its files, how it is taken away."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CachedRepoInfo, scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from studio.errors import DarkroomError, Refused
from studio.formats.safetensors import read_header
from studio.models.brought import card_files
from studio.models.card import ModelCard
from studio.models.pipelines import WEIGHTS
from studio.models.safety import FILES, CheckerCard, checker_folder
from studio.models.upscalers import PULL
from studio.models.weights import EMBEDDED, absent, find_part, find_weights, lacking
from studio.settings import ROOT

PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".pkl")


class CannotRemove(DarkroomError):
    """The disk does not let it go."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a model stands: `place` in words, and how much of the disk it takes."""

    card: ModelCard
    place: str
    gb: float


def survey(cards: list[ModelCard], models: Path) -> list[Standing]:
    return [_standing(card, models) for card in cards]


def check(card: ModelCard, models: Path) -> list[str]:
    """What is wrong with its files, each in a sentence with the file's name; no tensor is read."""
    flaws = _flaws(card, models)
    pickled = [file.name for file in _files(card, models) if file.suffix in PICKLED]
    return [
        *flaws,
        *(f"{name} is pickled and never loaded; it may be deleted." for name in pickled),
    ]


def flaw(file: Path) -> str:
    """Why a file is no whole safetensors file, by its header alone; empty if it is one."""
    try:
        read_header(file)
    except OSError:
        return "it is missing; fetch it again"
    except ValueError as error:
        return str(error)
    return ""


def remove(card: ModelCard, cards: list[ModelCard], models: Path) -> str:
    """Takes it off the disk, in the model folder and in the hub's cache, but for what another of
    the cards needs that is here; says what it did."""
    others = [other for other in cards if other is not card and not absent(other, models)]
    shared = {repo: other.title for other in others for repo in repositories(other)}
    cached = [] if card.beside else _cached(repositories(card))
    kept = [repo for repo in cached if repo.repo_id in shared]
    gone = [Path(repo.repo_path) for repo in cached if repo.repo_id not in shared]
    gone += _own(card, models)
    if not (gone or kept):
        why = "is not on this machine" if from_hub(card) else "came along and stays"
        raise Refused(f"model: {card.title} {why}.", field="model")
    return _take_away(card.title, gone) + "".join(
        f" {repo.repo_id} stays, for {shared[repo.repo_id]} needs it." for repo in kept
    )


def check_checker(card: CheckerCard, models: Path) -> list[str]:
    """What is wrong with the files of what checks pictures."""
    folder = checker_folder(card, models)
    if not folder:
        return [f"{card.title} is not on this machine. Fetch it with: {PULL} {card.name}."]
    weights = [Path(folder) / file for file in FILES if file.endswith(WEIGHTS)]
    return [f"{file}: {why}." for file in weights if (why := flaw(file))]


def remove_checker(card: CheckerCard, models: Path) -> str:
    gone = [Path(repo.repo_path) for repo in _cached({card.repo})]
    gone += [path for path in (models / card.name,) if path.is_symlink() or path.exists()]
    if not gone:
        raise Refused(f"model: {card.title} is not on this machine.", field="model")
    return _take_away(card.title, gone)


def _take_away(title: str, paths: Sequence[Path]) -> str:
    freed = 0
    try:
        for path in paths:
            freed += size_of(path)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        raise CannotRemove(f"{title} could not be removed: {error}.") from error
    return f"{title} is gone; {freed / 1e9:.1f} GB are free again."


def from_hub(card: ModelCard) -> bool:
    here = (ROOT / Path(card.repo).expanduser()).exists()
    return not card.repo.startswith(EMBEDDED) and not here


def _flaws(card: ModelCard, models: Path) -> list[str]:
    """Why it cannot paint."""
    try:
        folder = Path(find_weights(card, models))
        parts = {Path(find_part(card, part, models)) for part in card.parts.values()}
    except Refused as error:
        return [str(error)]
    if card.repo.startswith(EMBEDDED):
        return []
    files = _files(card, models)
    weights = [file for file in (*files, *sorted(parts)) if file.suffix == WEIGHTS]
    return [
        *lacking(folder, card),
        *_missing_shards(files),
        *(f"{file}: {why}." for file in weights if (why := flaw(file))),
    ]


def _files(card: ModelCard, models: Path) -> list[Path]:
    """Of its folder, but for the components that lie elsewhere."""
    try:
        folder = find_weights(card, models)
    except Refused:
        return []
    found = sorted(Path(folder).glob("**/*")) if folder else []
    return [file for file in found if file.parent.name not in card.parts]


def _own(card: ModelCard, models: Path) -> list[Path]:
    """Its folder, files and card in the model folder. What it links to elsewhere is not its own."""
    paths = [models / part.file for part in card.parts.values() if not part.repo]
    if card.name in card_files(models):
        paths.append(card_files(models)[card.name])
    if Path(card.repo).parent == models.resolve():
        paths.append(Path(card.repo))
    if from_hub(card) or (models / card.name).is_symlink():
        paths.append(models / card.name)
    return [path for path in dict.fromkeys(paths) if path.is_symlink() or path.exists()]


def _standing(card: ModelCard, models: Path) -> Standing:
    if card.repo.startswith(EMBEDDED):
        return Standing(card, "made on this machine", 0.0)
    if card.beside:
        size = sum(size_of(path) for path in _own(card, models)) / 1e9
        return Standing(card, "needs more" if _flaws(card, models) else "in the model folder", size)
    if _flaws(card, models):
        begun = sum(size_of(Path(repo.repo_path)) for repo in _cached(repositories(card)))
        return Standing(card, "not whole" if begun else "not here", begun / 1e9)
    folder = Path(find_weights(card, models))
    if folder.is_relative_to(ROOT) and not folder.is_relative_to(models.resolve()):
        return Standing(card, "came along", size_of(folder) / 1e9)
    if folder.is_relative_to(models.resolve()) or (models / card.name).exists():
        return Standing(card, "in the model folder", size_of(folder) / 1e9)
    return Standing(
        card,
        "in the hub cache",
        sum(size_of(Path(repo.repo_path)) for repo in _cached(repositories(card))) / 1e9,
    )


def repositories(card: ModelCard) -> set[str]:
    return {card.repo, *(part.repo for part in card.parts.values())} - {""}


def _cached(names: set[str]) -> list[CachedRepoInfo]:
    """These repositories in the hub's cache, whole or not."""
    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return []
    return [repo for repo in repos if repo.repo_type == "model" and repo.repo_id in names]


def _missing_shards(files: list[Path]) -> Iterator[str]:
    for index in files:
        if f"{WEIGHTS}.index" not in index.name:
            continue
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, LookupError, AttributeError):
            yield f"{index} cannot be read; fetch it again."
            continue
        for shard in sorted(shards):
            if not (index.parent / shard).is_file():
                yield f"{index.parent / shard} is missing; fetch it again."


def size_of(path: Path) -> int:
    """Each file once, however many names lead to it; a link is nothing of its own."""
    if path.is_symlink():
        return 0
    files = {file.resolve() for file in (path, *path.glob("**/*")) if file.is_file()}
    return sum(os.stat(file).st_size for file in files)
