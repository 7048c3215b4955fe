"""The networks that enlarge: which are known, which are here, and which one a wish means.

A row of `presets/upscalers/` says what a file is and where it comes from. Any other file of a known
network in `upscalers` of the model folder is found as well; its table of contents says what it is.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field

from studio.errors import NO_TEXT, Refused, sayable
from studio.formats.enlargers import ORIGINAL, network_of, todays_names, ways
from studio.formats.tensors import PICKLED, table
from studio.models.fetch import CannotFetch, fetch
from studio.request import Part, Text
from studio.settings import ROOT

ENDINGS = (".safetensors", *PICKLED)
FOLDER = "upscalers"  # of the model folder
PULL = "python app.py models pull"


class UpscalerCard(Part):
    """One row of data. Where none is named, the highest `rank` of those that are here enlarges."""

    name: Text = Field(min_length=1, max_length=128)
    title: str
    about: str
    file: str = Field(pattern=r"^[^/\\]+$", description="What its makers call the file.")
    url: str = Field("", pattern=r"^(https?://.+)?$")
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    scale: int = Field(ge=2, le=8, description="Times that it enlarges at once.")
    suits: str = Field("", description="The kind of picture it was made for.")
    rank: int = 10
    licence: str = ""
    homepage: str = ""


@dataclass(frozen=True, slots=True)
class Upscaler:
    """Without a `file` it is not on this machine; `refused` is why the one here cannot be used."""

    card: UpscalerCard
    file: Path | None = None
    refused: str = ""

    @property
    def usable(self) -> bool:
        return self.file is not None and not self.refused

    @property
    def place(self) -> str:
        """Where it stands, in words."""
        if self.file is None:
            return "not here"
        if self.refused:
            return "cannot be used"
        return "came along" if self.file.is_relative_to(ROOT / "starter") else "in the model folder"

    @property
    def names(self) -> tuple[str, str]:
        return self.card.name.lower(), Path(self.card.file).stem.lower()


def find_upscalers(cards: Sequence[UpscalerCard], model_folder: Path) -> tuple[Upscaler, ...]:
    """All that are known or here, the one that is taken first first."""
    here = {file.stem: file for file in _files(model_folder)}
    found = [_known(card, here.pop(Path(card.file).stem, None)) for card in cards]
    found += [_stranger(file) for file in here.values()]
    return tuple(sorted(found, key=lambda one: (not one.usable, -one.card.rank, one.card.name)))


def choose(name: str, usual: str, times: int, known: Sequence[Upscaler]) -> Upscaler:
    """The one that is named; else the usual one if it is here, else the first that is."""
    if name:
        return _fitting(_named(name, known), times)
    able = (one for one in known if one.usable and ways(one.card.scale, times))
    first = next(able, None)
    if first is None:
        raise Refused(
            f"upscale: no upscaler is on this machine. Fetch one with: {PULL} "
            f"{known[0].card.name if known else 'NAME'}, or ask for upscale 1.",
            field="upscale",
        )
    if not usual or first.card.name == usual:
        return first
    return next((one for one in able if one.card.name == usual), first)


def say(one: UpscalerCard, times: int) -> list[str]:
    """What it does to reach so many times, where that is more or less than it was made for."""
    passes, smaller = ways(one.scale, times) or (1, 1)
    if passes > 1:
        return [f"{one.title} enlarges {one.scale} times; for {times} it is used {passes} times."]
    if smaller > 1:
        return [f"{one.title} enlarges {one.scale} times; that is made {smaller} times smaller."]
    return []


def upscaler_of(
    request: Mapping[str, Any], cards: Sequence[UpscalerCard], model_folder: Path
) -> str:
    """The file that enlarges the pictures of a settled request, as it lies now; or none."""
    if (times := request["upscale"] or 1) == 1:
        return ""
    known = find_upscalers(cards, model_folder)
    return str(choose(request.get("upscaler") or "", "", times, known).file)


def split(
    names: Sequence[str], cards: Sequence[UpscalerCard], model_folder: Path
) -> tuple[list[Upscaler], list[str]]:
    """Those that are named, or all that are here where no name is given; and the other names."""
    known, found = find_upscalers(cards, model_folder), list[Upscaler]()
    if not names:
        return [one for one in known if one.file], []
    others = []
    for name in names:
        mine = [one for one in known if name.lower() in one.names]
        found += mine
        others += [] if mine else [name]
    return found, others


def tend(what: str, one: Upscaler, model_folder: Path) -> int:
    """Pulls, checks or removes it and says so; how much is wrong with it."""
    if what == "check":
        flaws = check(one)
        print("\n".join(f"{one.card.name}: {said}" for said in flaws or ["all of it is well."]))
        return len(flaws)
    print((pull if what == "pull" else remove)(one, model_folder))
    return 0


def pull(one: Upscaler, model_folder: Path) -> str:
    """Fetches it if it is not here, or not whole."""
    card = one.card
    if not one.usable:
        if not card.url:
            why = one.refused or "nobody knows an address to fetch it from"
            raise Refused(f"model: {card.title}: {why}.", field="model")
        fetch(card.url, model_folder / FOLDER / card.file, card.sha256)
    return f"{card.title} is here."


def check(one: Upscaler) -> list[str]:
    """What is wrong with the file, in a sentence."""
    card, file = one.card, one.file
    if file is None:
        return [f"{card.title} is not on this machine. Fetch it with: {PULL} {card.name}."]
    if one.refused:
        return [f"{file}: {one.refused}."]
    if card.sha256 and original_hash(file) not in ("", card.sha256):
        return [f"{file} is not the file of its makers; delete it and fetch it again."]
    return []


def remove(one: Upscaler, model_folder: Path) -> str:
    """Its files leave the model folder."""
    stem = Path(one.card.file).stem
    there = [file for file in _listed(model_folder / FOLDER) if file.stem == stem]
    if not there:
        why = "came along and stays" if one.file else "is not on this machine"
        raise Refused(f"model: {one.card.title} {why}.", field="model")
    try:
        for file in there:
            file.unlink()
    except OSError as error:
        raise CannotFetch(f"{one.card.title} could not be removed: {error}.") from error
    return f"{one.card.title} is gone."


def _named(name: str, known: Sequence[Upscaler]) -> Upscaler:
    wanted = name.lower()
    for one in known:
        if wanted in one.names:
            return one
    offered = [one.card.name for one in known if one.usable]
    near = get_close_matches(name, [one.card.name for one in known], n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(offered) or 'none'}."
    raise Refused(f"upscaler: there is no {name[:60]!r}. {hint}", field="upscaler")


def _usable(one: Upscaler) -> Upscaler:
    if one.refused:
        raise Refused(f"upscaler: {one.file} cannot be used: {one.refused}.", field="upscaler")
    if one.file is None:
        how = f"Fetch it with: {PULL} {one.card.name}" if one.card.url else "Put it back"
        raise Refused(
            f"upscaler: {one.card.title} is not on this machine. {how} "
            f"(or put {one.card.file} into {FOLDER} of the model folder).",
            field="upscaler",
        )
    return one


def _fitting(one: Upscaler, times: int) -> Upscaler:
    if ways(_usable(one).card.scale, times) is None:
        raise Refused(
            f"upscaler: {one.card.title} enlarges {one.card.scale} times, which never gives "
            f"{times}. Choose another.",
            field="upscaler",
        )
    return one


def _files(model_folder: Path) -> Iterator[Path]:
    """Of those with one name the one that counts comes last: in the model folder, and the newest,
    which is the safetensors file that was made of a pickle."""
    for folder in (ROOT / "starter" / "upscaler", model_folder / FOLDER):
        yield from sorted(
            _listed(folder), key=lambda file: (file.stat().st_mtime_ns, file.suffix not in PICKLED)
        )


def _listed(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in ENDINGS]
    return [file for file in files if file.is_file() and not file.name.startswith(".")]


def _known(card: UpscalerCard, file: Path | None) -> Upscaler:
    if file is None:
        return Upscaler(card)
    scale, refused = _scale(file)
    return Upscaler(card.model_copy(update={"scale": scale or card.scale}), file, refused)


def original_hash(file: Path) -> str:
    """The hash of the pickle that it is or was made of; another safetensors file knows none."""
    if file.suffix.lower() not in PICKLED:
        return table(file)[1].get(ORIGINAL, "")
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _stranger(file: Path) -> Upscaler:
    told, (scale, refused) = Path(sayable(file.name)), _scale(file)
    if told.name != file.name:
        refused = NO_TEXT
    about = "Found in the model folder."
    fields = {"title": told.stem, "about": about, "file": told.name, "scale": scale or 2}
    return Upscaler(UpscalerCard.model_validate({"name": told.stem[:128], **fields}), file, refused)


def _scale(file: Path) -> tuple[int, str]:
    """How many times it enlarges, and why it cannot be used."""
    try:
        state = file.stat()
        return _read(file, state.st_mtime_ns, state.st_size), ""
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return 0, why or "it cannot be read"


@lru_cache(maxsize=256)
def _read(file: Path, _changed: int, _size: int) -> int:
    shapes, _ = table(file)
    names = todays_names(shapes)
    return network_of({names[name]: shape for name, shape in shapes.items()}).scale
