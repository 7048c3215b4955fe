"""The verb that reads pictures of any tool: what each says, and what becomes of that here.

It opens no studio, so it answers while a server runs.
"""

import argparse
import json

from studio.formats.read import read_picture
from studio.jobs.foreign import understood
from studio.settings import Settings
from studio.terminal.painting import read_bytes
from studio.wishes.honour import Honoured
from studio.wishes.presets import load_catalog
from studio.wishes.routing import Here, settle_here


def read(settings: Settings, asked: argparse.Namespace) -> int:
    """1 if one of them says nothing of how it was painted."""
    models = settings.model_folder
    catalog = load_catalog(settings.presets, settings.default_model, models)
    here = Here(catalog, models)
    silent = 0
    for file in asked.files:
        reading = read_picture(read_bytes(file))
        found = understood(
            reading, catalog, models, lambda wish: settle_here(wish, here), deep=asked.hashes
        )
        silent += not found.tool
        if asked.json:
            print(json.dumps({"file": str(file), **found.told()}, ensure_ascii=False))
        else:
            print(f"{file}: {said(found)}")
    return 1 if silent else 0


def said(found: Honoured) -> str:
    """A block of lines."""
    lines = [f"{found.tool or 'no tool that is known'} {found.version}".rstrip()]
    lines += [f"  {name}: {_short(value)}" for name, value in found.wish.items()]
    for match in (found.model, *found.loras):
        if match and match.here:
            lines.append(f"  {match.name or match.hash} is {match.here} here, by its {match.by}")
    lines += [f"  read as: {sentence}" for sentence in found.translated]
    lines += [f"  not honoured: {sentence}" for sentence in found.not_honoured]
    lines += [f"  not understood: {one.where}: {one.text}" for one in found.not_understood]
    return "\n".join(lines)


def _short(value: object) -> str:
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value.replace("\n", "\n    ")
