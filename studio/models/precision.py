"""Number formats: what a person may ask for, and how weights may be stored in fewer bits.

A denoiser that its makers stored in fewer bits is known by the name of its file.
"""

from collections.abc import Iterable
from typing import Literal, get_args

from studio.errors import Refused
from studio.request import Precision, Quality

Dtype = Literal["fp32", "bf16", "fp16"]
Stored = Literal["none", "gguf", "svdq"]
Quant = Literal["none", "fp8", "int8", "nf4", "gguf", "svdq"]

OFFERED: dict[Stored, tuple[Precision, ...]] = {
    "none": tuple(each for each in get_args(Precision) if each != "fp4"),
    "gguf": ("auto", "full", "fp32", "bf16", "fp16"),
    "svdq": ("auto", "fp4"),
}
WHY: dict[Stored, str] = {
    "none": "fp4 takes weights that were made in it beforehand, by SVDQuant",
    "gguf": "its weights are a GGUF already",
    "svdq": "its weights are fp4 already, by SVDQuant",
}


def stored_in(files: Iterable[str]) -> Stored:
    for file in files:
        if file.endswith(".gguf"):
            return "gguf"
        if file.startswith("svdq-"):
            return "svdq"
    return "none"


def settled_precision(precision: Precision, quality: Quality | None, stored: Stored) -> Precision:
    """The best is never stored in fewer bits, unless it is so already or was asked for."""
    best = precision == "auto" and quality == "best" and stored == "none"
    return "full" if best else precision


def check_precision(precision: Precision, title: str, stored: Stored) -> None:
    offered = OFFERED[stored]
    if precision not in offered:
        raise Refused(
            f"precision: {title} cannot be painted in {precision}: {WHY[stored]}. "
            f"It has: {', '.join(offered)}.",
            field="precision",
        )
