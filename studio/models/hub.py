"""How models come from the hub: fetched, and taken up with a card of their own.

Only what a model is loaded from is fetched: JSON, vocabularies and safetensors of the card's
variant. What was begun goes on where it broke off; remote code and pickled weights never come.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from httpx2 import ConnectError, HTTPError
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name

from studio.errors import DarkroomError, Refused
from studio.models.brought import UNSTATED, card_files, is_name, name_of, read_json, write_card
from studio.models.card import ModelCard
from studio.models.disk import check, from_hub, size_of
from studio.models.pipelines import (
    INDEX,
    TRANSFORMER,
    VARIANTS,
    WEIGHTS,
    nearest,
    networks,
    read_pipeline,
)
from studio.models.safety import FILES, CheckerCard, checker_folder
from studio.models.weights import absent, read_index

WORDS = ("*.json", "*.txt", "*.model")  # configurations and vocabularies


class CannotFetch(DarkroomError):
    """The hub does not give it, or not now."""


def wanted(card: ModelCard, index: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Patterns of what is fetched, and of what is not: of the components that the index names, and
    that do not lie elsewhere."""
    parts = [part for part in networks(index) if part not in card.parts]
    ending = f"*.{card.variant}*{WEIGHTS}" if card.variant else f"*{WEIGHTS}"
    patterns = [*WORDS, *(f"{part}/{ending}" for part in parts)]
    return patterns, [] if card.variant else [f"*.{other}*" for other in VARIANTS]


def pull(card: ModelCard, models: Path, token: str | None = None) -> None:
    """Fetches what is missing, with a bar for each file."""
    if not from_hub(card) or (card.beside and not absent(card, models)):
        raise Refused(f"model: {card.title} is here; nothing has to be fetched.", field="model")
    with asking(card.repo, card.title, card.homepage):
        given = _given(card, token)
        folder = Path(snapshot_download(card.repo, allow_patterns=[INDEX], **given))
        allowed, ignored = wanted(card, read_index(folder) or {})
        snapshot_download(card.repo, allow_patterns=allowed, ignore_patterns=ignored, **given)
        for part in card.parts.values():
            for file in (part.file, part.config):
                if part.repo and file:
                    hf_hub_download(part.repo, file, token=token)
    if missing := check(card, models):  # without a way out the hub's library is content with less
        raise CannotFetch(f"{card.title} is not whole: {missing[0]}")


def pull_checker(card: CheckerCard, models: Path, token: str | None = None) -> None:
    """The same for what checks pictures, whose files lie above all folders."""
    with asking(card.repo, card.title, card.homepage):
        snapshot_download(
            card.repo, revision=card.revision, allow_patterns=list(FILES), token=token
        )
    if not checker_folder(card, models):
        raise CannotFetch(f"{card.title} is not whole: {card.repo} lacks some of {FILES}.")


def whole(card: ModelCard, token: str | None = None) -> int | None:
    """Bytes of all that `pull` would fetch; None if the hub does not say."""
    total = 0
    try:
        offered = _offered(card.repo, card.revision, token)
        folder = Path(snapshot_download(card.repo, allow_patterns=[INDEX], **_given(card, token)))
        allowed, ignored = wanted(card, read_index(folder) or {})
        for file in offered:
            wants = any(fnmatch(file.rfilename, pattern) for pattern in allowed)
            if wants and not any(fnmatch(file.rfilename, pattern) for pattern in ignored):
                total += file.size or 0
        for part in card.parts.values():
            there = _offered(part.repo, None, token) if part.repo else ()
            total += sum(
                file.size or 0 for file in there if file.rfilename in (part.file, part.config)
            )
    except (HTTPError, ValueError, OSError):  # ValueError: another page answers in its place
        return None
    return total


def whole_checker(card: CheckerCard, token: str | None = None) -> int | None:
    try:
        offered = _offered(card.repo, card.revision, token)
    except (HTTPError, ValueError, OSError):
        return None
    return sum(file.size or 0 for file in offered if file.rfilename in FILES)


def begun(repos: Iterable[str]) -> int:
    """Bytes of these repositories on this disk, whole or not."""
    folders = (
        Path(HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model") for repo in repos
    )
    return sum(size_of(folder) for folder in folders)


def add(
    repo: str,
    name: str,
    known: Sequence[ModelCard],
    presets: Sequence[ModelCard],
    models: Path,
    token: str | None = None,
) -> str:
    """A card for a repository, in the model folder; says what it did. No weights are fetched."""
    same = next((card for card in known if card.repo == repo and not card.parts), None)
    if same and not name:
        raise Refused(
            f"repository: {repo} is the model {same.name} already: python app.py models pull "
            f"{same.name}. Another card for it needs another name: --name.",
            field="repository",
        )
    name = name or name_of(repo.rpartition("/")[2])
    if not is_name(name):
        raise Refused(
            f"name: {name!r} is none; take small letters, digits, . _ and -.", field="name"
        )
    if any(name in (card.name, *card.aliases) for card in known) or name in card_files(models):
        raise Refused(f"name: {name} is a model already; give another with --name.", field="name")
    with asking(repo, repo, ""):
        found = HfApi(token=token).model_info(repo, files_metadata=True)
        files = {one.rfilename: one.size or 0 for one in found.siblings or ()}
        if INDEX not in files:
            raise Refused(
                f"repository: {repo} is no folder of diffusers; it has no {INDEX}. A checkpoint in "
                f"one file can be put into {models} as it is.",
                field="repository",
            )
        index, transformer = (
            read_json(Path(hf_hub_download(repo, file, revision=found.sha, token=token)))
            if file in files
            else {}
            for file in (INDEX, TRANSFORMER)
        )
    told: dict[str, Any] = vars(found.card_data) if found.card_data else {}
    declared = told.get("base_model") or ()
    declared = [declared] if isinstance(declared, str) else declared
    try:
        pipeline = read_pipeline(index, files)
        base = nearest(pipeline, transformer, presets, declared)
    except ValueError as error:
        raise Refused(f"repository: {repo}: {error}.", field="repository") from None
    file = write_card(
        models,
        name,
        {
            "base": base.name,
            "title": repo.rpartition("/")[2],
            "about": f"{repo} of the hub, painted as {base.title} is.",
            "repo": repo,
            "revision": found.sha or "main",
            **({"variant": pipeline.variant} if pipeline.variant else {}),
            "licence": str(told.get("license_name") or told.get("license") or UNSTATED),
            "homepage": f"https://huggingface.co/{repo}",
        },
    )
    return (
        f"{repo} is the model {name}, painted as {base.title} is; {file} says so and may be "
        f"changed. Fetch its {pipeline.gb:.1f} GB with: python app.py models pull {name}"
    )


def _given(card: ModelCard | CheckerCard, token: str | None) -> dict[str, Any]:
    return {"revision": card.revision, "token": token}


def _offered(repo: str, revision: str | None, token: str | None) -> Sequence[Any]:
    asked = HfApi(token=token).model_info(repo, revision=revision, timeout=10, files_metadata=True)
    return asked.siblings or ()


@contextmanager
def asking(repo: str, title: str, homepage: str) -> Iterator[None]:
    """What the hub answers instead, as a sentence."""
    try:
        yield
    except HFValidationError as error:
        raise Refused(f"model: {repo} is no name of the hub's.", field="model") from error
    except GatedRepoError as error:
        raise CannotFetch(
            f"{title} is given to those who agreed to its licence. Agree at "
            f"{homepage or f'https://huggingface.co/{repo}'}, then give your token: hf auth login, "
            "or HF_TOKEN."
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise CannotFetch(f"The hub has no {repo}, or not for you.") from error
    except (HTTPError, ValueError, OSError) as error:
        raise CannotFetch(
            f"{title} could not be fetched: {_why(error)}. What has come so far is kept; ask again."
        ) from error


def _why(error: Exception) -> str:
    if isinstance(error, ConnectError) or isinstance(error.__cause__, ConnectError):
        return "the hub cannot be reached from this machine"
    said = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    return said.splitlines()[0][:200].rstrip(".")
