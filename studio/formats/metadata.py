"""Our recipe of a picture as JSON, and the keywords under which a picture says what it says.

Pure text; where in a PNG, JPEG or WebP it goes is the business of `engine.encode`.
"""

import json
from typing import Any

from studio.errors import Refused
from studio.formats import strict
from studio.formats.foreign.notes import read_json

PARAMETERS = "parameters"  # the PNG keyword that every tool reads
RECIPE = "darkroom"


def recipe_text(recipe: dict[str, Any]) -> str:
    """One JSON text for one recipe."""
    return json.dumps(
        strict.plain(recipe), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )


def read_recipe(text: str) -> dict[str, Any]:
    recipe = read_json(text)
    if recipe is None:
        raise Refused("The recipe in this picture is not JSON; it was cut or changed.")
    if not isinstance(recipe, dict) or recipe.get("version") != 1:
        raise Refused("The recipe in this picture is not one that this version reads.")
    return recipe
