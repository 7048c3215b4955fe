"""The LoRAs of this machine, known by their headers alone, and whether a wish may use them.

A LoRA is a safetensors file in `loras` of the model folder, or one that came along. No tensor is
read here: which of its layers have a place is counted when it is loaded. A file that cannot be used
is listed with the reason.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from studio.errors import NO_TEXT, Refused, sayable
from studio.formats.prompt import take_loras
from studio.formats.safetensors import Header, read_header
from studio.models.lora_bases import bases_of, title_of
from studio.models.lora_layers import PAINTER, Layer, kind_of, layers_of
from studio.models.lora_shapes import Size, size_of
from studio.models.vocabulary import words_of
from studio.request import LoraUse
from studio.settings import ROOT

LONGEST_NAME = 64  # as in a request
LONGEST_TEXT = 100  # of a title or a trigger that is shown
MOST_BYTES = 4 * 2**30  # of one, and of all that are worn together
GIB = 2**30
PICKLED = (".ckpt", ".pt", ".pth", ".bin")


@dataclass(frozen=True, slots=True)
class Lora:
    """`bases` are the models it may be for; `refused` is why it cannot be used. `layers` are
    counted as the file has them, in the `parts` of a model that it changes. `kind` is how they are
    written: a LoRA, or what is worn like one."""

    name: str
    file: Path
    size: int
    title: str = ""
    triggers: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    rank: int | None = None
    layers: int = 0
    parts: tuple[str, ...] = ()
    kind: str = "LoRA"
    refused: str = ""

    @property
    def reads(self) -> bool:
        """It changes text encoders."""
        return any(part != PAINTER for part in self.parts)

    def fits(self, base: str) -> bool:
        """One that states no base may fit any; one for a base fits no other."""
        return not self.refused and (not base or not self.bases or base in self.bases)


def find_loras(model_folder: Path) -> tuple[Lora, ...]:
    """By name; one of the model folder comes before one of the same name that came along."""
    return scan((model_folder / "loras", ROOT / "starter" / "loras"))


def scan(folders: Iterable[Path]) -> tuple[Lora, ...]:
    """Folders are listed anew each time; a header is read again when its file changes."""
    found: dict[str, Lora] = {}
    doubles = []
    for lora in (lora for folder in folders for lora in _listed(folder)):
        if lora.name in found and not found[lora.name].refused:
            why = f"another of this name lies at {found[lora.name].file}"
            doubles.append(replace(lora, refused=lora.refused or why))
        else:
            doubles += [found[lora.name]] if lora.name in found else []
            found[lora.name] = lora
    return tuple(sorted((*found.values(), *doubles), key=lambda lora: (lora.name, lora.refused)))


def lora_files(names: Iterable[str], model_folder: Path) -> dict[str, str]:
    """Where the LoRAs of a settled request lie now."""
    there = {lora.name: str(lora.file) for lora in find_loras(model_folder) if not lora.refused}
    files = {}
    for name in names:
        if name not in there:
            raise Refused(f"loras: {name!r} is no longer on this machine.", field="loras")
        files[name] = there[name]
    return files


def taken(prompt: str, uses: Sequence[LoraUse]) -> tuple[str, tuple[LoraUse, ...], list[str]]:
    """The prompt without its <lora:name:0.8>, those that are worn then, and which tags do not
    count: a LoRA that is named twice has the weight of its own field, or else of its last tag."""
    prompt, tags = take_loras(prompt)
    told = [(_tag(name, weights), _tagged(name, weights)) for name, weights in tags]
    own = {use.name for use in uses}
    last = {use.name: use for use in (*(use for _, use in told), *uses)}
    warnings = {
        use.name: f"{tag} in the prompt does not count: {use.name!r} has weight "
        f"{last[use.name].weight:g} by {'the field loras' if use.name in own else 'its last tag'}."
        for tag, use in told
        if use != last[use.name]
    }
    worn = (*uses, *(use for name, use in last.items() if name not in own))
    return prompt, worn, list(warnings.values())


def _tag(name: str, weights: Sequence[float]) -> str:
    return f"<lora:{name[:60]}:{':'.join(f'{weight:g}' for weight in weights)}>"


def _tagged(name: str, weights: Sequence[float]) -> LoraUse:
    reading, weight = weights[0], weights[-1]
    parts = {"text_encoder": reading} if reading != weight else {}
    try:
        return LoraUse.model_validate({"name": name, "weight": weight, "components": parts})
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise Refused(f"prompt: {_tag(name, weights)}: {why}.", field="prompt") from error


def use_of(text: str) -> dict[str, object]:
    """NAME or NAME:WEIGHT. What is no number is passed on: the request names its bounds."""
    name, _, weight = text.partition(":")
    try:
        return {"name": name, "weight": float(weight or 1)}
    except ValueError:
        return {"name": name, "weight": weight}


def check(
    uses: Sequence[LoraUse], known: Sequence[Lora], title: str, base: str, prompt: str
) -> list[str]:
    """Refuses what a model of this title and base cannot use; says what will have no effect."""
    warnings, together = [], 0
    names = [use.name for use in uses]
    for use in uses:
        if names.count(use.name) > 1:
            raise _refused(f"{use.name!r} is there twice; name it once, with one weight.")
        lora = _named(use.name, known)
        if not lora.fits(base):
            raise _refused(_wrong_base(lora, known, title, base))
        together += lora.size if use.counts else 0
        if together > MOST_BYTES:
            raise _refused(
                f"up to {use.name!r} they are {together / GIB:.1f} GiB together; the most is "
                f"{MOST_BYTES / GIB:.0f}. Take one off."
            )
        if "text_encoder" in use.components and not lora.reads:
            warnings.append(
                f"The LoRA {use.name!r} changes no text encoder; its weight there has no effect."
            )
        if not use.counts:
            warnings.append(f"The LoRA {use.name!r} has weight 0 and has no effect.")
        elif lora.triggers and not spoken(lora, prompt):
            calls = " or ".join(repr(word) for word in lora.triggers)
            warnings.append(
                f"The LoRA {use.name!r} listens to {calls}; the prompt does not say it."
            )
    return warnings


def spoken(lora: Lora, prompt: str) -> list[str]:
    """Those of its trigger words that the prompt says."""
    said = _spaced(prompt)
    return [word for word in lora.triggers if _spaced(word) in said]


def triggers_of(uses: Sequence[LoraUse], known: Sequence[Lora]) -> set[str]:
    """The words that the LoRAs of a wish teach its model."""
    names = {use.name for use in uses}
    return {
        word
        for lora in known
        if lora.name in names
        for trigger in lora.triggers
        for word in words_of(trigger)
    }


def _named(name: str, known: Sequence[Lora]) -> Lora:
    alike = [lora for lora in known if lora.name == name]
    for lora in sorted(alike, key=lambda lora: bool(lora.refused)):
        if lora.refused:
            raise _refused(f"{name!r} cannot be used: {lora.refused}.")
        return lora
    usable = [lora.name for lora in known if not lora.refused]
    near = get_close_matches(name, usable, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(usable) or 'none'}."
    raise _refused(f"there is no LoRA {name!r}. {hint}")


def _wrong_base(lora: Lora, known: Sequence[Lora], title: str, base: str) -> str:
    made = " or ".join(title_of(name) for name in lora.bases)
    others = [repr(other.name) for other in known if other.fits(base)]
    hint = f"Pick {' or '.join(others[:3])}, or take it off." if others else "Take it off."
    return f"{lora.name!r} was made for {made}; {title} takes those for {title_of(base)}. {hint}"


def _refused(sentence: str) -> Refused:
    return Refused(f"loras: {sentence}", field="loras")


def _spaced(text: str) -> str:
    return f" {' '.join(words_of(text))} "


def _listed(folder: Path) -> list[Lora]:
    try:
        with os.scandir(folder) as entries:
            paths = sorted(Path(entry.path) for entry in entries)
    except OSError:  # there is no such folder
        return []
    loras = []
    for path in paths:
        if path.suffix.lower() in (".safetensors", *PICKLED):
            try:
                state = path.stat()
            except OSError:  # a link to nothing, or gone just now
                continue
            if path.is_file():
                loras.append(_read(path, state.st_mtime_ns, state.st_size))
    return loras


@lru_cache(maxsize=4096)
def _read(path: Path, _changed: int, size: int) -> Lora:
    told = sayable(path.stem)
    lora = Lora(told, path, size, title=told)
    try:
        if told != path.stem:
            raise ValueError(NO_TEXT)
        if path.suffix.lower() in PICKLED:
            raise ValueError("it is pickled, which could run code; convert it to safetensors")
        if len(path.stem) > LONGEST_NAME:
            raise ValueError(f"its name is longer than {LONGEST_NAME} characters; rename it")
        if size > MOST_BYTES:
            most = f"{MOST_BYTES / GIB:.0f}"
            raise ValueError(f"it has {size / GIB:.1f} GiB; the most for a LoRA is {most}")
        return _described(lora, read_header(path))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return replace(lora, refused=why or "it cannot be read")


def _described(lora: Lora, header: Header) -> Lora:
    says, layers = header.says, layers_of(header.shapes)
    sizes = [size_of(layer, header.shapes) for layer in layers]
    phrase = says.get("modelspec.trigger_phrase", "")
    triggers = (text.strip()[:LONGEST_TEXT] for text in phrase.split(","))
    return replace(
        lora,
        title=(says.get("modelspec.title") or lora.title)[:LONGEST_TEXT],
        triggers=tuple(dict.fromkeys(text for text in triggers if words_of(text))),
        bases=_bases(says, list(zip(layers, sizes, strict=True))),
        rank=max((size.rank for size in sizes if size.rank), default=None),
        layers=len(layers),
        parts=tuple(dict.fromkeys(layer.part for layer in layers)),
        kind=kind_of(layers),
    )


def _bases(says: Mapping[str, str], layers: Sequence[tuple[Layer, Size]]) -> tuple[str, ...]:
    """Ours say which model they are for; of others the layers are asked too."""
    if ours := says.get("darkroom.base", "")[:LONGEST_TEXT]:
        return (ours,)
    architecture = says.get("modelspec.architecture", "").partition("/")[0]
    stated = (architecture, says.get("ss_base_model_version", ""))
    painting = [
        (layer.place, (size.takes, size.gives))
        for layer, size in layers
        if layer.part == PAINTER and size.takes
    ]
    return bases_of(painting, [word[:LONGEST_TEXT] for word in stated if word])
