"""Verbs for looks: which there are, styles of A1111 taken in and given out, one's own removed."""

import argparse
import sys
from pathlib import Path

from studio.errors import Refused
from studio.formats.spoken import counted
from studio.settings import Settings
from studio.wishes.look_folder import give_styles, remove_look, survey, take_styles
from studio.wishes.looks import Look
from studio.wishes.presets import load_catalog


def looks(settings: Settings, asked: argparse.Namespace) -> int:
    folder = settings.look_folder
    if asked.what == "list":
        return _list(settings)
    if len(asked.names) != 1:
        what = "look" if asked.what == "remove" else "file"
        raise Refused(f"looks {asked.what}: name one {what}.", field="name")
    (name,) = asked.names
    if asked.what == "remove":
        remove_look(name, folder)
        print(f"{name} is removed.")
    elif asked.what == "export":
        _export(settings, Path(name))
    else:
        _import(folder, Path(name), replace=asked.replace)
    return 0


def _list(settings: Settings) -> int:
    own = survey(settings.look_folder)
    catalog = load_catalog(settings.presets, looks=settings.look_folder)
    for name, look in catalog.looks.items():
        print(f"{name:<24} {'yours' if name in own else 'came along':<12} {look.title}")
    for name, why in own.items():
        if not isinstance(why, Look):
            print(f"{name:<24} {'cannot be used':<12} {why}")
    return 0


def _import(folder: Path, file: Path, *, replace: bool) -> None:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}.") from None
    taken = take_styles(data, folder, replace=replace)
    for sentence in taken.said:
        print(f"note: {sentence}", file=sys.stderr)
    parts = {"new": taken.new, "changed": taken.changed, "the same as before": taken.same}
    for word, names in parts.items():
        if names:
            print(f"{word}: {', '.join(names)}")
    if not any(parts.values()):
        print(f"{file}: there is no style in it.")


def _export(settings: Settings, file: Path) -> None:
    catalog = load_catalog(settings.presets, looks=settings.look_folder)
    data, said = give_styles(catalog.looks.values())
    for sentence in said:
        print(f"note: {sentence}", file=sys.stderr)
    file.write_bytes(data)
    print(f"{file}: {counted(len(catalog.looks), 'style')}.")
