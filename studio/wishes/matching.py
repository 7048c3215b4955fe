"""Which model and which LoRA here is the one that another tool names: by its hash, or by its name.

A hash is surer, and whole files must be read for it. Small ones are; large ones only where somebody
asked for that, and else it is said that they were not.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studio.errors import DarkroomError
from studio.formats.foreign.notes import Named
from studio.models.card import ModelCard
from studio.models.hashes import content_hash, file_hash, is_hashed, is_hashed_whole, tensor_hash
from studio.models.loras import Lora, find_loras
from studio.models.weights import absent, find_part, find_weights
from studio.wishes.catalog import Catalog

AT_ONCE = 2 * 2**30  # bytes that are read for hashes without being asked: a second or two
# How a file is stored, which its name often ends in.
_STORED = re.compile(r"[-_. ]*(?:fp(?:8|16|32)|bf16|f16|e4m3fn|e5m2|scaled|pruned|emaonly|q\d\w*)$")


@dataclass(frozen=True, slots=True)
class Match:
    """`name` and `hash` are the picture's; `here` is what that is called on this machine, `by` what
    told it. `said` is what there is to say about it."""

    name: str
    hash: str
    here: str = ""
    by: Literal["", "hash", "name"] = ""
    said: str = ""


@dataclass(slots=True)
class Reader:
    """Reads files for their hashes, as many as there are bytes left. What is known costs none."""

    left: float
    passed_over: int = 0

    def may(self, file: Path, known: Callable[[Path], bool] = is_hashed) -> bool:
        if known(file):
            return True
        size = file.stat().st_size
        if size > self.left:
            self.passed_over += 1
            return False
        self.left -= size
        return True


def reader(deep: bool) -> Reader:
    return Reader(float("inf") if deep else AT_ONCE)


def find_model(named: Named, catalog: Catalog, models: Path, read: Reader) -> Match:
    cards = list(catalog.cards.values())
    plain = _plain(named.name)
    alike = [card for card in cards if plain and plain in map(_plain, _names(card))]
    for card in (alike or cards) if named.hash else ():
        if _is(named.hash, card, models, read):
            return Match(*named[:2], card.name, "hash", absent(card, models))
    if alike:
        card = next((one for one in alike if not absent(one, models)), alike[0])
        return Match(*named[:2], card.name, "name", absent(card, models))
    more = f" {_not_read(read)}" if read.passed_over else ""
    return Match(*named[:2], said=f"Its model {_told(named)} is not here.{more}")


def find_lora(named: Named, models: Path, read: Reader) -> Match:
    loras = [lora for lora in find_loras(models) if not lora.refused]
    plain = _plain(named.name)
    alike = [one for one in loras if plain and plain in (_plain(one.name), _plain(one.title))]
    if not named.hash:
        if alike:
            return Match(*named[:2], alike[0].name, "name")
        return Match(*named[:2], said=f"The LoRA {_told(named)} is not here.")
    for lora in alike or loras:
        if read.may(lora.file) and _has(lora, named.hash):
            return Match(*named[:2], lora.name, "hash")
    if alike:
        said = f"The LoRA {alike[0].name!r} here has another hash than {named.hash[:12]}."
        return Match(*named[:2], alike[0].name, "name", said)
    more = f" {_not_read(read)}" if read.passed_over else ""
    return Match(*named[:2], said=f"The LoRA {_told(named)} is not here.{more}")


def _has(lora: Lora, known: str) -> bool:
    """AutoV3 is of the tensors, AutoV2 and what has 64 digits may be of either."""
    hashes = (tensor_hash(lora.file), file_hash(lora.file))
    return any(whole.startswith(known) for whole in hashes)


def _is(known: str, card: ModelCard, models: Path, read: Reader) -> bool:
    try:
        parts = {name: Path(find_part(card, part, models)) for name, part in card.parts.items()}
        if card.beside:
            file = next(iter(parts.values()))
            return read.may(file, is_hashed_whole) and file_hash(file).startswith(known)
        folder = find_weights(card, models)
        return bool(folder) and content_hash(Path(folder), card, parts)[0].startswith(known)
    except (DarkroomError, OSError):  # it is not here, or no longer
        return False


def _names(card: ModelCard) -> Iterator[str]:
    yield from (card.name, card.title, *card.aliases, *card.files)
    if card.beside:
        yield from (Path(part.file).stem for part in card.parts.values())
    elif not card.parts:  # all of it is of there
        yield card.repo.replace("\\", "/").rpartition("/")[2]


def _plain(name: str) -> str:
    """Letters and digits alone, without how it is stored."""
    name, before = name.strip().lower()[:200], ""
    while name != before:
        name, before = _STORED.sub("", name), name
    return re.sub(r"[^a-z0-9]", "", name)


def _told(named: Named) -> str:
    parts: Sequence[str] = [repr(named.name)] if named.name else []
    return " ".join([*parts, f"(hash {named.hash[:12]})"] if named.hash else parts)


def _not_read(read: Reader) -> str:
    if read.passed_over == 1:
        told = "1 large file is here that was not read for its hash"
    else:
        told = f"{read.passed_over} large files are here that were not read for their hashes"
    return f"{told}; ask for that with `hashes`."
