"""A model card out of a file of data, whole or made from another card, and back into one.

An error names the file and the key, because these files are written by hand.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from studio.errors import CannotStart, field_sentence
from studio.models.card import ModelCard

# What says which model it is, and no card takes over from another.
ITS_OWN = {
    *("name", "title", "about", "aliases", "default", "licence", "homepage", "examples", "words"),
    *("repo", "revision", "variant", "variants", "files", "parts", "beside", "architecture"),
}


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CannotStart(f"{path} is missing.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CannotStart(f"{path}: {error}.") from None
    except RecursionError:
        raise CannotStart(f"{path}: it is nested too deeply.") from None


def make_card(
    path: Path,
    fields: Mapping[str, Any],
    shapes: Mapping[str, Any],
    base: ModelCard | None = None,
) -> ModelCard:
    """`fields` are those of the file; what they lack is as in `base`. Sizes may be the name of a
    table of `shapes`."""
    sizes = fields.get("sizes")
    if isinstance(sizes, str):
        if sizes not in shapes:
            raise CannotStart(f"{path}: sizes: sizes.toml has no table {sizes!r}.")
        sizes = shapes[sizes]
    if isinstance(sizes, dict):
        sizes = {
            name: {"width": pair[0], "height": pair[1]} if _is_pair(pair) else pair
            for name, pair in sizes.items()
        }
    inherited = base.model_dump(exclude=ITS_OWN) if base else {}
    if "steps" in fields:
        inherited.pop("quality", None)  # that of the base says other steps
    if "memory_gb" in fields:
        inherited.pop("weights", None)  # they add up to another size
    own = {**fields, "sizes": sizes} if "sizes" in fields else fields
    try:
        card = ModelCard.model_validate({**inherited, **own})
        Path(card.repo).expanduser()
    except ValidationError as error:
        raise CannotStart(f"{path}: {field_sentence(error)[1]}") from None
    except RuntimeError:  # of expanduser
        raise CannotStart(f"{path}: repo: nobody here has the home of {card.repo!r}.") from None
    return card


def _is_pair(size: object) -> bool:
    return isinstance(size, list) and len(size) == 2


def toml_of(fields: Mapping[str, str | int | float]) -> str:
    """A flat table. JSON's strings are TOML's, but for the character DEL."""
    lines = (
        f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "")
        for key, value in fields.items()
    )
    return "\n".join(lines) + "\n"
