"""LoRAs from the hub: one safetensors file each, of a pinned revision, into the model folder.

It comes into a folder of its own first and is named and moved only when it is whole, of the hash
that the hub tells, and a LoRA. A note beside it says where it came from.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.hf_api import ModelInfo, RepoSibling

from studio.errors import Refused
from studio.models.hashes import file_hash
from studio.models.hub import CannotFetch, asking
from studio.models.lora_bases import title_of
from studio.models.loras import GIB, LONGEST_NAME, MOST_BYTES, find_loras, scan
from studio.settings import Settings

ENDING = ".safetensors"
NAMELESS = ("pytorch_lora_weights", "adapter_model", "lora", "model")  # then the repository's name
ADAPTER = "adapter_config.json"  # where peft keeps how its layers are to be scaled
LONGEST_NOTE = 2**20
_ASKED = re.compile(
    r"(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<file>[^@]+))?(?:@(?P<revision>[\w./-]+))?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a LoRA came from. `alpha` is what peft divides by the rank, or by its root; `rank` is
    told where peft scales by it what has none by itself."""

    repo: str
    revision: str
    file: str
    sha256: str
    alpha: float | None = None
    root: bool = False
    rank: int | None = None


def act(what: str, names: Sequence[str], settings: Settings, name: str) -> Iterator[str]:
    """What the command line asks for, and what it prints."""
    models, token = settings.model_folder, settings.hf_token or None
    if what == "list":
        yield from listed(models)
    elif not names:
        raise Refused(f"loras {what}: which?", field="names")
    for one in names if what != "list" else ():
        yield remove(one, models) if what == "remove" else pull(one, models, name, token)


def listed(models: Path) -> Iterator[str]:
    for lora in find_loras(models):
        made = " or ".join(map(title_of, lora.bases))
        told = f"{lora.kind} {f'for {made}' if made else 'of no known base'}"
        yield f"{lora.name:<24} {lora.size / 1e6:8.1f} MB  {lora.refused or told}"


def pull(
    asked: str, models: Path, name: str = "", token: str | None = None, hub: str | None = None
) -> str:
    """OWNER/REPO[/FILE.safetensors][@REVISION] of the usual hub or of another; says what it did."""
    match = _ASKED.fullmatch(asked)
    if not match:
        raise Refused(f"loras: {asked[:80]!r} is not OWNER/REPO[/FILE{ENDING}].", field="name")
    repo, revision = match["repo"], match["revision"]
    with asking(repo, repo, ""):
        info = HfApi(hub, token).model_info(repo, revision=revision, files_metadata=True)
    one = _chosen(repo, info, match["file"])
    name = name or _name(repo, one.rfilename)
    folder = models / "loras"
    target, coming = folder / f"{name}{ENDING}", folder / ".coming" / name
    _refuse_the_name(name, target)
    with asking(repo, name, ""):

        def fetched(what: str) -> Path:
            given: dict[str, Any] = {"revision": info.sha, "token": token, "endpoint": hub}
            return Path(hf_hub_download(repo, what, local_dir=coming, **given))

        file = fetched(one.rfilename)
        config = str(PurePosixPath(one.rfilename).with_name(ADAPTER))
        listed = any(there.rfilename == config for there in info.siblings or ())
        adapter = _adapter(repo, fetched(config)) if listed else {}
    source = Source(repo, info.sha or "", one.rfilename, file_hash(file), **adapter)
    told = one.lfs.sha256 if one.lfs else source.sha256
    (lora,) = [known for known in scan([file.parent]) if known.file.name == file.name]
    if told != source.sha256 or lora.refused:
        _tidied(coming)
        why = lora.refused or "it is not what the hub says it is; ask again"
        raise CannotFetch(f"{one.rfilename} of {repo} is left there: {why}.")
    note = json.dumps(asdict(source), indent=2)
    target.with_suffix(".json").write_text(f"{note}\n", encoding="utf-8")
    os.replace(file, target)
    _tidied(coming)
    return f"{name} is here, from {repo} at {source.revision[:12]}."


def remove(name: str, models: Path) -> str:
    """Takes it off the disk, with its note; says what it did."""
    folder = models / "loras"
    mine = [lora for lora in scan([folder]) if lora.name == name]
    if not mine:
        known = any(lora.name == name for lora in find_loras(models))
        why = "came along and stays" if known else "is not on this machine"
        raise Refused(f"loras: {name[:60]!r} {why}.", field="name")
    for lora in mine:
        lora.file.unlink()
    (folder / f"{name}.json").unlink(missing_ok=True)
    return f"{name} is gone; {sum(lora.size for lora in mine) / 1e6:.1f} MB are free again."


def source_of(file: Path) -> Source | None:
    """What the note beside it says, if there is one of ours."""
    note = file.with_suffix(".json")
    try:
        if note.stat().st_size > LONGEST_NOTE:
            return None
        return Source(**json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _chosen(repo: str, info: ModelInfo, asked: str | None) -> RepoSibling:
    there = [one for one in info.siblings or () if one.rfilename.endswith(ENDING)]
    fitting = [one for one in there if asked in (None, one.rfilename)]
    if len(fitting) != 1:
        listed = ", ".join(one.rfilename for one in there[:12]) or f"no {ENDING} file"
        what = f"has no {asked!r}" if asked else "has several files" if there else "cannot be used"
        raise Refused(f"loras: {repo} {what}; it holds {listed}.", field="name")
    (one,) = fitting
    if (one.size or 0) > MOST_BYTES:
        raise Refused(
            f"loras: {one.rfilename} of {repo} has {(one.size or 0) / GIB:.1f} GiB; the most for "
            f"a LoRA is {MOST_BYTES / GIB:.0f}.",
            field="name",
        )
    return one


def _name(repo: str, file: str) -> str:
    stem = PurePosixPath(file).stem
    return repo.rpartition("/")[2] if stem.lower() in NAMELESS else stem


def _tidied(coming: Path) -> None:
    shutil.rmtree(coming)
    with suppress(OSError):  # others are coming
        coming.parent.rmdir()


def _refuse_the_name(name: str, target: Path) -> None:
    if not re.fullmatch(rf"[\w.()+ -]{{1,{LONGEST_NAME}}}", name) or name.startswith("."):
        raise Refused(f"loras: {name[:80]!r} is no good name; give one with --name.", field="name")
    if target.exists():
        raise Refused(
            f"loras: {name!r} is here already. Remove it first, or give another name with --name.",
            field="name",
        )


def _adapter(repo: str, config: Path) -> dict[str, Any]:
    """How a file of peft's is to be scaled: its config lies beside it, not in it."""
    try:
        says = json.loads(config.read_text(encoding="utf-8"))
        alpha = says.get("lora_alpha", says.get("alpha"))
        alpha = None if alpha is None else float(alpha)
        rank = int(says["r"]) if says.get("peft_type") == "LOKR" else None
        own = says.get("alpha_pattern") or (rank and says.get("rank_pattern"))
        root = bool(says.get("use_rslora"))
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise CannotFetch(f"{config.name} of {repo} cannot be read: {error}.") from error
    if own:
        raise CannotFetch(f"{repo} scales each of its layers by itself, which is not done here.")
    return {"alpha": alpha, "root": root, "rank": rank}
