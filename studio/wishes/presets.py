"""Reads `presets/`: model cards, upscalers, looks and words for sizes, each checked at start.

An error names the file and the key, because these files are written by hand.
"""

from pathlib import Path

from pydantic import ValidationError

from studio.errors import CannotStart, Refused, field_sentence
from studio.models import enlarge
from studio.models.brought import ModelFolder
from studio.models.card import ModelCard
from studio.models.card_files import make_card, read_toml
from studio.models.upscalers import UpscalerCard
from studio.wishes.catalog import Catalog
from studio.wishes.look_folder import own, read_look


def load_catalog(
    folder: Path, default: str = "", models: Path | None = None, looks: Path | None = None
) -> Catalog:
    """With what was brought into the model folder, and the user's own looks, where those folders
    are given."""
    shapes = read_toml(folder / "sizes.toml")
    cards = [
        make_card(path, {"name": path.stem, **read_toml(path)}, shapes)
        for path in sorted((folder / "models").glob("*.toml"))
    ]
    if not cards:
        raise CannotStart(f"{folder / 'models'} holds no model card (*.toml).")
    came_along = [read_look(path) for path in sorted((folder / "looks").glob("*.toml"))]
    upscalers = [_upscaler(path) for path in sorted((folder / "upscalers").glob("*.toml"))]
    _refuse_doubles(cards)
    _refuse_unknown_variants(cards)
    brought = ModelFolder(models, cards, shapes).look if models else tuple
    own_looks = (lambda: own(looks)) if looks else dict
    catalog = Catalog(cards, came_along, upscalers, brought, own_looks)
    try:
        catalog.default = catalog.find(default)
    except Refused as refusal:
        raise CannotStart(f"Setting default_{refusal}") from None
    return catalog


def _upscaler(path: Path) -> UpscalerCard:
    try:
        return UpscalerCard.model_validate({"name": path.stem, **read_toml(path)})
    except ValidationError as error:
        raise CannotStart(f"{path}: {field_sentence(error)[1]}") from None


def _refuse_unknown_variants(cards: list[ModelCard]) -> None:
    names = {card.name for card in cards}
    for card in cards:
        for quality, name in card.variants.items():
            if name not in names:
                raise CannotStart(
                    f"models/{card.name}.toml: variants.{quality}: there is no card {name!r}."
                )


def _refuse_doubles(cards: list[ModelCard]) -> None:
    owners = {enlarge.NAME: "what the studio does by itself"}
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
