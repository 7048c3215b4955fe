"""The LoRAs of this machine, known by their headers alone, and whether a wish may use them.

A LoRA is a safetensors file in `loras` of the model folder, or one that came along. No tensor is
read here: which of its layers fit is seen when it is loaded. A file that cannot be used is listed
with the reason.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from studio.errors import Refused
from studio.formats.prompt import take_loras
from studio.formats.safetensors import Header, read_header
from studio.request import LoraUse
from studio.settings import ROOT
from studio.vocabulary import words_of

LONGEST_NAME = 64  # as in a request
LONGEST_TEXT = 100  # of a title or a trigger that is shown
PICKLED = (".ckpt", ".pt", ".pth", ".bin")

# What the trainers of kohya call a base, by its beginning, and the word of ModelSpec for it.
KOHYA = {
    "sdxl": "stable-diffusion-xl-v1-base",
    "sd_v1": "stable-diffusion-v1",
    "sd_v2": "stable-diffusion-v2-768-v",
    "flux1": "flux-1-dev",
    "sd3": "stable-diffusion-v3-medium",
}
BASES = {
    "stable-diffusion-xl-v1-base": "SDXL",
    "stable-diffusion-v1": "Stable Diffusion 1",
    "stable-diffusion-v2-768-v": "Stable Diffusion 2",
    "stable-diffusion-v3-medium": "Stable Diffusion 3",
    "flux-1-dev": "FLUX.1",
    "flux-1-schnell": "FLUX.1",
    "starter": "Darkroom Starter",
}


@dataclass(frozen=True, slots=True)
class Lora:
    """`bases` are the models it states it was made for; `refused` is why it cannot be used."""

    name: str
    file: Path
    size: int
    title: str = ""
    triggers: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    rank: int | None = None
    refused: str = ""

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
    own = {use.name: use.weight for use in uses}
    last = dict(tags) | own
    warnings = {
        name: f"<lora:{name}:{weight:g}> in the prompt does not count: {name!r} has weight "
        f"{last[name]:g} by {'the field loras' if name in own else 'its last tag'}."
        for name, weight in tags
        if weight != last[name]
    }
    found: dict[str, LoraUse] = {}
    for name, weight in tags:
        try:
            found[name] = LoraUse(name=name, weight=weight)
        except ValidationError as error:
            why = error.errors()[0]["msg"]
            raise Refused(
                f"prompt: <lora:{name[:60]}:{weight:g}>: {why}.", field="prompt"
            ) from error
    worn = (*uses, *(use for use in found.values() if use.name not in own))
    return prompt, worn, list(warnings.values())


def check(
    uses: Sequence[LoraUse], known: Sequence[Lora], title: str, base: str, prompt: str
) -> list[str]:
    """Refuses what a model of this title and base cannot use; says what will have no effect."""
    warnings = []
    names = [use.name for use in uses]
    for use in uses:
        if names.count(use.name) > 1:
            raise _refused(f"{use.name!r} is there twice; name it once, with one weight.")
        lora = _named(use.name, known)
        if not lora.fits(base):
            raise _refused(_wrong_base(lora, known, title, base))
        if use.weight == 0:
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
    made, wanted = (BASES.get(name, name) for name in (lora.bases[0], base))
    others = [repr(other.name) for other in known if other.fits(base)]
    hint = f"Pick {' or '.join(others[:3])}, or take it off." if others else "Take it off."
    return f"{lora.name!r} was made for {made}; {title} takes those for {wanted}. {hint}"


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
    lora = Lora(path.stem, path, size, title=path.stem)
    try:
        if path.suffix.lower() in PICKLED:
            raise ValueError("it is pickled, which could run code; convert it to safetensors")
        if len(path.stem) > LONGEST_NAME:
            raise ValueError(f"its name is longer than {LONGEST_NAME} characters; rename it")
        header = read_header(path)
        if not any("lora" in name for name in header.shapes):
            raise ValueError("it holds no LoRA layers")
        return _described(lora, header)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return replace(lora, refused=why or "it cannot be read")


def _described(lora: Lora, header: Header) -> Lora:
    says = header.says
    phrase = says.get("modelspec.trigger_phrase", "")
    triggers = (text.strip()[:LONGEST_TEXT] for text in phrase.split(","))
    kohya = says.get("ss_base_model_version", "")
    known = next((base for start, base in KOHYA.items() if kohya.startswith(start)), kohya)
    stated = (says.get("darkroom.base"), says.get("modelspec.architecture", "").split("/")[0])
    bases = dict.fromkeys(base[:LONGEST_TEXT] for base in (*stated, known) if base)
    ranks = {
        shape[0]
        for name, shape in header.shapes.items()
        if shape and ("lora_A" in name or "down.weight" in name)
    }
    return replace(
        lora,
        title=(says.get("modelspec.title") or lora.title)[:LONGEST_TEXT],
        triggers=tuple(dict.fromkeys(text for text in triggers if words_of(text))),
        bases=tuple(bases),
        rank=max(ranks, default=None),
    )
