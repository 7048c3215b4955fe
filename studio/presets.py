"""Reads `presets/`: model cards, upscalers, looks and words for sizes, each checked at start.

An error names the file and the key, because these files are written by hand.
"""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from studio.catalog import Catalog, Look, ModelCard
from studio.errors import CannotStart, Refused, field_sentence
from studio.upscalers import UpscalerCard


def load_catalog(folder: Path, default: str = "") -> Catalog:
    shapes = _read(folder / "sizes.toml")
    cards = [_card(path, shapes) for path in sorted((folder / "models").glob("*.toml"))]
    if not cards:
        raise CannotStart(f"{folder / 'models'} holds no model card (*.toml).")
    looks = [_look(path) for path in sorted((folder / "looks").glob("*.toml"))]
    upscalers = [_upscaler(path) for path in sorted((folder / "upscalers").glob("*.toml"))]
    _refuse_doubles(cards)
    catalog = Catalog(cards, looks, upscalers)
    try:
        catalog.default = catalog.find(default)
    except Refused as refusal:
        raise CannotStart(f"Setting default_{refusal}") from None
    return catalog


def _card(path: Path, shapes: dict[str, Any]) -> ModelCard:
    """A card may name a table of `sizes.toml` instead of listing its own sizes."""
    fields = {"name": path.stem, **_read(path)}
    sizes = fields.get("sizes")
    if isinstance(sizes, str):
        if sizes not in shapes:
            raise CannotStart(f"{path}: sizes: sizes.toml has no table {sizes!r}.")
        sizes = shapes[sizes]
    if isinstance(sizes, dict):
        fields["sizes"] = {
            name: {"width": pair[0], "height": pair[1]} if isinstance(pair, list) else pair
            for name, pair in sizes.items()
        }
    try:
        return ModelCard.model_validate(fields)
    except ValidationError as error:
        raise CannotStart(f"{path}: {field_sentence(error)[1]}") from None


def _upscaler(path: Path) -> UpscalerCard:
    try:
        return UpscalerCard.model_validate({"name": path.stem, **_read(path)})
    except ValidationError as error:
        raise CannotStart(f"{path}: {field_sentence(error)[1]}") from None


def _look(path: Path) -> Look:
    fields = _read(path)
    unknown = set(fields) - {"title", "prompt", "negative"}
    if unknown:
        raise CannotStart(f"{path}: {sorted(unknown)[0]} is not a key of a look.")
    if "{prompt}" not in fields.get("prompt", ""):
        raise CannotStart(f"{path}: prompt must say where the words go, with {{prompt}}.")
    return Look(
        path.stem, fields.get("title", path.stem), fields["prompt"], fields.get("negative", "")
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CannotStart(f"{path} is missing.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CannotStart(f"{path}: {error}.") from None


def _refuse_doubles(cards: list[ModelCard]) -> None:
    owners: dict[str, str] = {}
    for card in cards:
        for alias in (card.name, *card.aliases):
            if alias in owners:
                raise CannotStart(
                    f"models/{card.name}.toml: aliases: {alias!r} already names {owners[alias]}."
                )
            owners[alias] = card.name
    defaults = [card.name for card in cards if card.default]
    if len(defaults) > 1:
        raise CannotStart(
            f"models/{defaults[1]}.toml: default: {defaults[0]} is the default already."
        )
