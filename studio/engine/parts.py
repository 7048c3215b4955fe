"""Components of a pipeline out of single files: another UNet, or all that a checkpoint holds.

A file has its tensors under the names of diffusers or under those of its makers' own code. Shapes
and vocabularies are the folder's.
"""

# mypy: disable-error-code="no-untyped-call"
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import pipelines
from diffusers.loaders.single_file import load_single_file_sub_model
from safetensors import safe_open
from safetensors.torch import load_file

from studio.engine.failures import PaintError
from studio.models.card import ModelCard
from studio.models.checkpoints import PREFIXES
from studio.models.memory import DENOISERS
from studio.models.pipelines import networks
from studio.models.weights import read_index


def load_parts(
    folder: Path,
    card: ModelCard,
    parts: Mapping[str, Path],
    dtypes: Mapping[str, torch.dtype],
    there: Collection[str] = (),
) -> dict[str, Any]:
    """`dtypes` are by the names of components; `default` is that of all others. Those that are
    `there` already are not read."""
    index = read_index(folder) or {}
    parts = {name: file for name, file in parts.items() if name not in there}
    skipped = tuple(PREFIXES[name] for name in there if name in PREFIXES)
    files = {file: _read(file, skipped) for file in set(parts.values())}
    loaded = {}
    for name, file in parts.items():
        if name not in networks(index):
            known = ", ".join(networks(index))
            raise PaintError(
                "model_invalid", f"model: {card.title} has no component {name}; it has {known}."
            )
        library, kind = index[name]
        try:
            part = load_single_file_sub_model(
                library_name=library,
                class_name=kind,
                name=name,
                checkpoint=dict(files[file]),  # taken apart while it is read
                pipelines=pipelines,
                is_pipeline_module=hasattr(pipelines, library),
                cached_model_config_path=str(folder),
                local_files_only=True,
                torch_dtype=dtypes.get(name, dtypes["default"]),
            ).eval()
            if hasattr(part, "tie_weights"):
                part.tie_weights()
            loaded[name] = part
        except NotImplementedError:  # what has no numbers cannot be converted
            raise _gaps(card, file, name) from None
        refuse_gaps(card, file, name, part)
    return loaded


def _read(file: Path, skipped: tuple[str, ...]) -> dict[str, torch.Tensor]:
    if not skipped:
        return load_file(file)
    with safe_open(file, "pt") as opened:
        names = [name for name in opened.keys() if not name.startswith(skipped)]  # noqa: SIM118
        return {name: opened.get_tensor(name) for name in names}


def denoisers(pipeline: Any) -> list[Any]:
    """Its networks that take noise away, the first one first."""
    return [part for name in DENOISERS if (part := getattr(pipeline, name, None))]


def load_network(kind: Any, card: ModelCard, name: str, file: Path, dtype: torch.dtype) -> Any:
    """One that the model's folder knows nothing of: its shape lies beside it."""
    config = file.with_name(card.parts[name].config.rpartition("/")[2])
    with torch.device("meta"):
        network = kind.from_config(json.loads(config.read_text("utf-8")))
    tensors = {key: tensor.to(dtype) for key, tensor in load_file(file).items()}
    network.load_state_dict(tensors, strict=False, assign=True)
    refuse_gaps(card, file, name, network)
    return network.eval()


def refuse_gaps(card: ModelCard, where: Path, name: str, part: Any) -> None:
    """What was not among the tensors has no numbers yet."""
    if isinstance(part, torch.nn.Module) and any(value.is_meta for value in part.parameters()):
        raise _gaps(card, where, name)


def _gaps(card: ModelCard, where: Path, name: str) -> PaintError:
    return PaintError(
        "model_invalid",
        f"model: {card.title} cannot be loaded. {where}: it lacks tensors of its {name}.",
    )
