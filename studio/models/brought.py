"""What somebody put into the model folder: checkpoints in one file, diffusers' folders, cards.

Each is a model with a card that is made from another's. A file `cards/NAME.toml` is the card of a
repository, or changes that of the model NAME. What cannot be used is listed with the reason.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studio.errors import CannotStart
from studio.models.card import Brought, ModelCard
from studio.models.card_files import make_card, read_toml, toml_of
from studio.models.checkpoints import Checkpoint, read_checkpoint
from studio.models.hashes import file_state
from studio.models.pipelines import INDEX, TRANSFORMER, nearest, read_pipeline

CARDS = "cards"
LONGEST_NAME = 64
LONGEST_TITLE = 100
SAFE = ".safetensors"
STRANGE = {
    **dict.fromkeys(
        (".ckpt", ".pt", ".pth", ".bin"),
        "it is pickled, which could run code; convert it to safetensors",
    ),
    ".gguf": "it is one part of a model; a card in the folder `cards` may name it among its parts",
}
UNSTATED = "as its makers say"
Fields = dict[str, Any]
Stamp = tuple[tuple[int, int] | None, ...]


class ModelFolder:
    """Looked through each time; what has not changed is not read again."""

    def __init__(
        self, folder: Path, presets: Sequence[ModelCard], shapes: Mapping[str, Any]
    ) -> None:
        self._folder, self._presets, self._shapes = folder, presets, shapes
        self._taken = {alias for card in presets for alias in (card.name, *card.aliases)}
        self._known: dict[Path, tuple[Stamp, Brought]] = {}

    def look(self) -> tuple[Brought, ...]:
        """By name; of two with one name the first is used."""
        written = card_files(self._folder)
        found: dict[str, Brought] = {}
        doubles = []
        for path in (*_things(self._folder, self._taken), *written.values()):
            name = path.stem if path.suffix == ".toml" else _name(path)
            if path.suffix == ".toml" and name in found:
                continue  # it changed the card of that model
            one = self._seen(path, name, written.get(name))
            if name in self._taken or name in found:
                taken = "a model of this name is there already; rename it"
                doubles.append(Brought(name, path, refused=one.refused or taken))
            else:
                found[name] = one
        cards = [one.card for one in found.values() if one.card]
        parts = {part.file for card in cards for part in card.parts.values() if not part.repo}
        listed = [
            one
            for one in (*found.values(), *doubles)
            if one.card or one.path.name not in parts  # it is used all the same
        ]
        return tuple(sorted(listed, key=lambda one: (one.name, one.path)))

    def _seen(self, path: Path, name: str, written: Path | None) -> Brought:
        files = (path, path / INDEX, *([written] if written else ()))
        stamp = tuple(file_state(file) for file in files)
        known = self._known.get(path)
        if known and known[0] == stamp and (known[1].card or not path.is_dir()):
            return known[1]
        one = self._read(path, name, written)
        self._known[path] = (stamp, one)
        return one

    def _read(self, path: Path, name: str, written: Path | None) -> Brought:
        try:
            if not is_name(name):
                letters = f"1 to {LONGEST_NAME} small letters, digits, . _ or -"
                raise ValueError(f"its name must be of {letters}; rename it")
            if why := STRANGE.get(path.suffix.lower()):
                raise ValueError(why)
            return Brought(name, path, self._card(path, name, written))
        except (OSError, ValueError, CannotStart) as error:
            why = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
            why = (why or "it cannot be read").replace(f"{self._folder}{os.sep}", "")
            return Brought(name, path, refused=why)

    def _card(self, path: Path, name: str, written: Path | None) -> ModelCard:
        own = read_toml(written) if written else {}
        if own.get("default"):
            raise ValueError("default: DARKROOM_DEFAULT_MODEL names the model that paints unasked")
        if own.get("name", name) != name:
            raise ValueError("name: a card in the model folder is called as its file is")
        base = self._named(own.pop("base")) if "base" in own else None
        if path == written:
            if "repo" not in own:
                raise ValueError(
                    f"it changes the model {name}, which is not there; or it needs repo"
                )
            made = {"title": name, **_as(base)} if base else {}
        elif path.is_dir():
            base, made = self._of_folder(path, base)
        else:
            base, made = self._of_checkpoint(path, base)
        return make_card(written or path, {"name": name, **made, **own}, self._shapes, base)

    def _named(self, name: object) -> ModelCard:
        for card in self._presets:
            if name in (card.name, *card.aliases):
                return card
        raise ValueError(f"base: the presets have no card {name!r}")

    def _of_checkpoint(self, file: Path, base: ModelCard | None) -> tuple[ModelCard, Fields]:
        found = read_checkpoint(file)
        home = next((c for c in self._presets if c.architecture == found.architecture), None)
        if home is None:
            raise ValueError(f"it is a {found.architecture}; the presets have no card for that")
        base = base or home
        return base, {
            "title": (found.told("title") or file.stem)[:LONGEST_TITLE],
            "about": f"A checkpoint of {home.title} in one file, {file.name}. Steps and guidance "
            f"are those of {base.title}. {found.told('description')}".strip(),
            "licence": found.told("license") or UNSTATED,
            "repo": home.repo,
            "revision": home.revision,
            "variant": home.variant,
            "beside": home.name,
            "parts": {part: {"repo": "", "file": file.name} for part in found.parts},
            "samplers": _with_noise(base, found),
        }

    def _of_folder(self, folder: Path, base: ModelCard | None) -> tuple[ModelCard, Fields]:
        files = {f"{f.parent.name}/{f.name}": f.stat().st_size for f in folder.glob("*/*")}
        pipeline = read_pipeline(read_json(folder / INDEX), files)
        transformer = read_json(folder / TRANSFORMER) if TRANSFORMER in files else {}
        base = base or nearest(pipeline, transformer, self._presets)
        return base, {
            "title": folder.name[:LONGEST_TITLE],
            "about": f"A folder of the model folder, painted as {base.title} is.",
            "licence": UNSTATED,
            "repo": str(folder.resolve()),
            "variant": pipeline.variant,
        }


def card_files(models: Path) -> dict[str, Path]:
    """The cards of the model folder by the names of their models."""
    return {path.stem: path for path in _listed(models / CARDS) if path.suffix == ".toml"}


def name_of(words: str) -> str:
    """The same in the letters that names of models have."""
    return re.sub(r"[^a-z0-9._-]+", "-", words.lower()).strip("-._")


def is_name(name: str) -> bool:
    return name == name_of(name) and 0 < len(name) <= LONGEST_NAME


def write_card(models: Path, name: str, fields: Mapping[str, str | int | float]) -> Path:
    """Whole or not at all, for a server may be looking."""
    file = models / CARDS / f"{name}.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(".new")
    aside.write_text(toml_of(fields), encoding="utf-8")
    aside.replace(file)
    return file


def read_json(file: Path) -> Fields:
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise ValueError(f"its {file.name} cannot be read")
    return read


def _name(path: Path) -> str:
    return name_of(path.name if path.is_dir() else path.stem)


def _things(models: Path, taken: set[str]) -> list[Path]:
    """Files and folders that may be models. A folder named like a card of the presets is its."""
    found = []
    for path in _listed(models):
        if path.is_dir():
            if path.name not in taken and (path / INDEX).is_file():
                found.append(path)
        elif path.suffix.lower() in (SAFE, *STRANGE) and path.is_file():
            found.append(path)
    return found


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder / name for name in os.listdir(folder) if name[0] != ".")
    except OSError:  # there is no such folder
        return []


def _as(base: ModelCard) -> Fields:
    return {"about": f"Painted as {base.title} is.", "licence": UNSTATED}


def _with_noise(base: ModelCard, found: Checkpoint) -> list[Fields]:
    """The samplers of the base, told what noise the checkpoint was taught with."""
    return [
        sampler.model_dump() | {"options": {**sampler.options, **found.noise}}
        for sampler in base.samplers
    ]
