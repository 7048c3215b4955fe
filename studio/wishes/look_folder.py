"""The user's own looks, a file for each, listed anew each time; and styles of A1111 taken in and
given out. A file that cannot be used is listed with the reason and holds up nobody.
"""

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from studio.errors import CannotStart, NotFound, Refused, Unavailable, field_sentence, sayable
from studio.formats.styles import MOST_STYLES, Style, read_styles, write_styles
from studio.models.brought import name_of
from studio.models.card_files import read_toml, toml_of
from studio.models.hashes import file_state
from studio.wishes.looks import PLACE, Look

BEHIND = f"{PLACE}, "
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a file of styles: names of looks, and sentences."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    same: tuple[str, ...]
    said: tuple[str, ...]


def read_look(path: Path) -> Look:
    """An error names the file and the key, because these files are written by hand."""
    fields = read_toml(path)
    try:
        return Look.model_validate({"name": path.stem, "title": path.stem, **fields})
    except ValidationError as error:
        raise CannotStart(f"{path}: {field_sentence(error)[1]}") from None


def own(folder: Path) -> dict[str, Look]:
    return {name: look for name, look in survey(folder).items() if isinstance(look, Look)}


def survey(folder: Path) -> dict[str, Look | str]:
    """By name, or in its place why it cannot be used."""
    files = sorted(folder.glob("*.toml")) if folder.is_dir() else []
    return {sayable(file.stem): _read(file, file_state(file)) for file in files}


def take_styles(data: bytes, folder: Path, *, replace: bool = False) -> Taken:
    """All of a styles.csv or none of it. What would change a look of that name is refused, unless
    it is to be replaced."""
    styles, said = read_styles(data)
    there = survey(folder)
    looks = {look.name: look for look in map(_look_of, styles)}
    if len(looks) < len(styles):
        said.append("Some names differ in marks alone; of those the last counts.")
    same = [name for name, look in looks.items() if there.get(name) == look]
    changed = [name for name in looks if name in there and name not in same]
    if changed and not replace:
        raise Refused(
            f"looks: there are others by these names: {', '.join(changed[:10])}. Remove them, or "
            "say that they are to be replaced.",
            field="looks",
        )
    new = [name for name in looks if name not in there]
    _write(folder, [looks[name] for name in (*new, *changed)])
    return Taken(tuple(new), tuple(changed), tuple(same), tuple(said))


def give_styles(looks: Iterable[Look]) -> tuple[bytes, list[str]]:
    """As styles.csv, and in sentences what it cannot hold."""
    styles, said = [], []
    for look in looks:
        tags = [f"<lora:{use.name}:{use.weight:g}>" for use in look.loras]
        prompt = " ".join([look.prompt, *tags])
        if prompt.startswith(BEHIND) and PLACE not in prompt[len(BEHIND) :]:
            prompt = prompt[len(BEHIND) :]
        styles.append(Style(look.title, "" if prompt == PLACE else prompt, look.negative))
        lost = [*look.settings, *(["simple"] if look.simple else [])]
        if lost:
            said.append(f"{look.title}: a style holds no {', '.join(lost)}.")
    return write_styles(styles), said


def remove_look(name: str, folder: Path) -> None:
    file = folder / f"{name}.toml"
    if name not in survey(folder) or file.parent != folder:
        raise NotFound(f"There is no look {name[:60]!r} of your own.", field="look")
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"looks: {file}: {error.strerror}.") from None


def _look_of(style: Style) -> Look:
    name = name_of(style.name)[:LONGEST_NAME].strip("-._")
    if not name:  # in other letters than those that names have
        name = f"look-{hashlib.sha256(style.name.encode()).hexdigest()[:8]}"
    prompt = style.prompt if PLACE in style.prompt else f"{BEHIND}{style.prompt}"
    prompt = prompt if style.prompt else PLACE
    fields = {"name": name, "title": style.name, "prompt": prompt, "negative": style.negative}
    try:
        return Look.model_validate(fields)
    except ValidationError as error:
        sentence = field_sentence(error)[1]
        raise Refused(f"{style.name[:60]!r}: {sentence}", field="looks") from None


def _write(folder: Path, looks: Sequence[Look]) -> None:
    """All or none, and each whole, for a server may be looking."""
    asides = [folder / f"{look.name}.new" for look in looks]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for look, aside in zip(looks, asides, strict=True):
            told = {"title": look.title, "prompt": look.prompt, "negative": look.negative}
            text = toml_of({name: text for name, text in told.items() if text})
            aside.write_text(text, encoding="utf-8")
        for aside in asides:
            aside.replace(aside.with_suffix(".toml"))
    except OSError as error:
        for aside in asides:
            with suppress(OSError):
                aside.unlink()
        raise Unavailable(f"looks: {error.filename}: {error.strerror}.") from None


@lru_cache(maxsize=2 * MOST_STYLES)  # with fewer places all would be read anew each time
def _read(file: Path, _state: tuple[int, int] | None) -> Look | str:
    try:
        return read_look(file)
    except CannotStart as error:
        return sayable(str(error).replace(f"{file.parent}/", "").rstrip("."))
    except OSError as error:
        return error.strerror or "it cannot be read"
