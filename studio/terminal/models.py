"""Verbs for models, upscalers, checkers and LoRAs: which are here, from the hub, off the disk."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from studio.errors import Refused, sayable
from studio.models import disk, hub, upscalers
from studio.models.lora_hub import act
from studio.models.safety import CheckerCard, checker_folder, load_checkers
from studio.models.weights import absent
from studio.settings import Settings
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog


def models(settings: Settings, asked: argparse.Namespace) -> int:
    folder, token = settings.model_folder, settings.hf_token or None
    catalog = load_catalog(settings.presets, settings.default_model, folder)
    checkers = load_checkers(settings.presets)
    if asked.what == "list":
        return _list(catalog, checkers, asked.names, folder)
    if not asked.names and asked.what != "check":
        raise Refused(f"models {asked.what}: which? `models list` names them.", field="name")
    if asked.what == "add":
        for repo in asked.names:
            print(
                hub.add(repo, asked.name, [*catalog.cards.values()], catalog.presets, folder, token)
            )
        return 0
    enlarging, names = upscalers.split(asked.names, catalog.upscalers, folder)
    wrong = sum(upscalers.tend(asked.what, one, folder) for one in enlarging)
    for name in checkers.keys() & set(names):
        wrong += _tend_checker(asked.what, checkers[name], settings)
        names.remove(name)
    if asked.names and not names:
        return 1 if wrong else 0
    cards = [catalog.find(name) for name in names] or list(catalog.cards.values())
    if not asked.names:  # of all that are here
        cards = [card for card in cards if not absent(card, folder)]
    for card in cards:
        if asked.what == "pull":
            hub.pull(card, folder, token)
            print(f"{card.title} is here.")
        elif asked.what == "remove":
            print(disk.remove(card, list(catalog.cards.values()), folder))
        else:
            flaws = disk.check(card, folder)
            wrong += len(flaws)
            print("\n".join(f"{card.name}: {said}" for said in flaws or ["all of it is well."]))
    return 1 if wrong else 0


def _tend_checker(what: str, card: CheckerCard, settings: Settings) -> int:
    """How much is wrong with it."""
    folder = settings.model_folder
    if what == "check":
        flaws = disk.check_checker(card, folder)
        print("\n".join(f"{card.name}: {said}" for said in flaws or ["all of it is well."]))
        return len(flaws)
    if what == "remove":
        if settings.safety_mode != "off" and settings.safety_checker == card.name:
            sentence = f"{card.title} checks the pictures here. Set DARKROOM_SAFETY to off first."
            raise Refused(f"model: {sentence}", field="model")
        print(disk.remove_checker(card, folder))
    else:
        hub.pull_checker(card, folder, settings.hf_token or None)
        print(f"{card.title} is here.")
    return 0


def loras(settings: Settings, asked: argparse.Namespace) -> int:
    print(*act(asked.what, asked.names, settings, asked.name), sep="\n")
    return 0


def _list(
    catalog: Catalog, checkers: Mapping[str, CheckerCard], names: list[str], folder: Path
) -> int:
    """Those that are named, or all, and then what lies in the model folder and is none."""
    enlarging = list(upscalers.find_upscalers(catalog.upscalers, folder))
    cards, checking = list(catalog.cards.values()), list(checkers.values())
    if names:
        enlarging, others = upscalers.split(names, catalog.upscalers, folder)
        checking = [checkers[name] for name in others if name in checkers]
        cards = [catalog.find(name) for name in others if name not in checkers]
    for there in disk.survey(cards, folder):
        size = f"{there.gb:6.1f} GB" if there.gb else " " * 9
        print(f"{there.card.name:<18} {size}  {there.place:<20} {there.card.title}")
    for one in enlarging:
        print(f"{one.card.name:<29} {one.place:<20} {one.card.title}, enlarges")
    for checker in checking:
        place = "here" if checker_folder(checker, folder) else "not here"
        print(f"{checker.name:<29} {place:<20} {checker.title}, checks pictures")
    for found in () if names else catalog.brought():
        if found.refused:
            told = f"{sayable(found.path.name)}: {found.refused}"
            print(f"{found.name:<29} {'cannot be used':<20} {told}")
    return 0
