"""What `app.py models pull NAME` fetches: a model, an upscaler or a checker, each told alike."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from studio.models import hub
from studio.models.card import ModelCard
from studio.models.disk import repositories
from studio.models.fetch import begun_of
from studio.models.safety import CheckerCard, checker_folder
from studio.models.upscalers import FOLDER, Upscaler, UpscalerCard
from studio.models.weights import absent

Card = ModelCard | UpscalerCard | CheckerCard


@dataclass(frozen=True, slots=True)
class Parcel:
    """`begun` and `whole` tell its bytes, those on this disk and those in all; a `whole` of None is
    one that nobody told."""

    card: Card
    here: bool = field(compare=False)
    begun: Callable[[], int] = field(compare=False)
    whole: Callable[[str | None], int | None] = field(compare=False)

    @property
    def name(self) -> str:
        return self.card.name


def of_model(card: ModelCard, folder: Path) -> Parcel:
    here = not absent(card, folder)
    return Parcel(card, here, partial(hub.begun, repositories(card)), partial(hub.whole, card))


def of_upscaler(one: Upscaler, folder: Path) -> Parcel:
    """One that nobody knows an address of cannot be fetched, wherever it is."""
    file = folder / FOLDER / one.card.file
    here = one.usable or not one.card.url
    return Parcel(one.card, here, partial(begun_of, file), lambda _: None)


def of_checker(card: CheckerCard, folder: Path) -> Parcel:
    here = bool(checker_folder(card, folder))
    return Parcel(card, here, partial(hub.begun, {card.repo}), partial(hub.whole_checker, card))
