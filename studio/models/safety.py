"""The safety checker: which model it is, where it lies, and what is done with what it finds.

A checker is a file in `presets/checkers/`: a classifier of pictures with the labels that it calls
unsafe ones by. It is on or the studio does not start: where its weights are missing, it says so.
"""

import json
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub import try_to_load_from_cache
from pydantic import Field, ValidationError

from studio.errors import CannotStart, field_sentence
from studio.request import Part
from studio.settings import Settings

FILES = ("config.json", "preprocessor_config.json", "model.safetensors")


class CheckerCard(Part):
    name: str
    title: str
    about: str
    repo: str
    revision: str | None = None
    unsafe: tuple[str, ...] = Field(min_length=1, strict=False)
    limit: float = Field(gt=0, lt=1, description="From so much of 1 on it is unsafe.")
    licence: str
    homepage: str = ""


@dataclass(frozen=True, slots=True)
class Safety:
    """What a worker needs to know of it."""

    mode: Literal["blur", "refuse"]
    title: str
    folder: str
    unsafe: tuple[str, ...]
    limit: float


def safety_of(settings: Settings) -> Safety | None:
    """None where it is off. Where it is on and not here, nothing starts."""
    mode = settings.safety_mode
    if mode == "off":
        return None
    card = find_checker(settings)
    folder = checker_folder(card, settings.model_folder)
    if not folder:
        raise CannotStart(
            f"Setting safety: {mode} needs {card.title}, which is not on this machine. Fetch it "
            f"with: python app.py models pull {card.name} (or put {', '.join(FILES)} into "
            f"{settings.model_folder / card.name}). Without it only DARKROOM_SAFETY=off starts."
        )
    return Safety(mode, card.title, folder, card.unsafe, card.limit)


def find_checker(settings: Settings) -> CheckerCard:
    cards = load_checkers(settings.presets)
    if settings.safety_checker not in cards:
        there = ", ".join(cards) or "none"
        raise CannotStart(
            f"Setting safety_checker: there is no {settings.safety_checker!r}. There is: {there}."
        )
    return cards[settings.safety_checker]


def load_checkers(presets: Path) -> dict[str, CheckerCard]:
    """By name; an error names the file and the key."""
    cards = {}
    for path in sorted((presets / "checkers").glob("*.toml")):
        try:
            fields = tomllib.loads(path.read_text(encoding="utf-8"))
            cards[path.stem] = CheckerCard.model_validate({"name": path.stem, **fields})
        except ValidationError as error:
            raise CannotStart(f"{path}: {field_sentence(error)[1]}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise CannotStart(f"{path}: {error}.") from None
    return cards


def checker_folder(card: CheckerCard, model_folder: Path) -> str:
    """One in the model folder wins over the hub's cache; empty if it is in neither."""
    own = model_folder / card.name
    if all((own / file).is_file() for file in FILES):
        return str(own.resolve())
    found = [try_to_load_from_cache(card.repo, file, revision=card.revision) for file in FILES]
    if all(isinstance(file, str) for file in found):
        return str(Path(str(found[0])).parent)
    return ""


def safety_text(safety: Safety | None) -> str:
    """For a worker's command line."""
    return json.dumps(asdict(safety)) if safety else ""


def read_safety(text: str) -> Safety | None:
    if not text:
        return None
    fields = json.loads(text)
    return Safety(**fields | {"unsafe": tuple(fields["unsafe"])})
