"""Which kernel computes attention, and why: torch's choice for the family, or the one asked for.

torch's own kernels serve every family, those of other libraries only models that let diffusers
choose. What is asked for is tried on the model's own heads when it is loaded, and refused there in
a sentence. Nothing is set for the whole process: two models would undo each other.
"""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from diffusers.models.attention_dispatch import (
    AttentionBackendName,
    _check_attention_backend_requirements,
    dispatch_attention_fn,
)
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from studio.engine.failures import PaintError, is_the_devices
from studio.engine.parts import denoisers
from studio.engine.plan import Plan
from studio.models.card import ModelCard
from studio.settings import Attention

TORCH = {
    "math": SDPBackend.MATH,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}
# As diffusers calls them, and what is to be installed. Those of the hub would be fetched and run.
LIBRARIES = {
    "flash-attn": (AttentionBackendName.FLASH, "flash-attn"),
    "flash-attn-3": (AttentionBackendName._FLASH_3, "flash-attn 3, built from its source"),
    "sage": (AttentionBackendName.SAGE, "sageattention"),
    "xformers": (AttentionBackendName.XFORMERS, "xformers"),
}
ROUNDED = "Attention by {} is computed in eight bits: the picture is near, not equal."
# Families that hide the padding of a prompt from the picture; some kernels know no masks.
MASKED = ("chroma", "pixart", "sana", "lumina")
TOKENS = 64  # of the rows that a kernel is tried on
Heads = tuple[int, int]  # how many, and how wide each is
Rows = tuple[torch.Tensor, torch.Tensor | None]  # with their mask


def choose_attention(
    pipeline: Any, card: ModelCard, plan: Plan, dtype: torch.dtype, wanted: Attention
) -> Plan:
    """The plan with what attends now, and why."""
    networks = denoisers(pipeline)
    found = {heads for denoiser in networks for heads in heads_of(denoiser)}
    masked = card.family in MASKED
    rows = [_rows(heads, plan.device, dtype, masked=masked) for heads in found]
    *most, last = sorted({width for _, width in found}) or [0]
    widths = f"{', '.join(map(str, most))} and {last}" if most else str(last)
    what = f"{'masked ' * masked}heads of {widths}"
    if wanted not in ("auto", "native"):
        if not rows:
            raise _refused(card, wanted, "its engine brings its own")
        try:
            _take(networks, card, wanted, rows)
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            if is_the_devices(error):
                raise
            line = (str(error).splitlines() or [type(error).__name__])[0]
            first = line.partition(". ")[0].removesuffix(".")[:160]
            why = f"it does not compute {what} in {plan.dtype}: {first}"
            raise _refused(card, wanted, why) from None
        said = [ROUNDED.format(wanted)] if wanted == "sage" else []
        reason = f"{plan.reason}; attention by {wanted}, as asked"
        return replace(plan, attention=wanted, reason=reason, warnings=(*plan.warnings, *said))
    if not rows:
        return replace(plan, reason=f"{plan.reason}; its attention is its engine's own")
    taken = " and ".join(sorted({_torchs_choice(*each) for each in rows}))
    why = f"attention by torch's {taken}, its choice here for {what}"
    return replace(plan, attention=f"native: {taken}", reason=f"{plan.reason}; {why}")


def heads_of(denoiser: Any) -> Iterator[Heads]:
    """Of each of its attentions that a kernel computes; linear attention is plain sums."""
    for module in denoiser.modules():
        heads, processor = getattr(module, "heads", None), getattr(module, "processor", None)
        if isinstance(heads, int) and processor and "Linear" not in type(processor).__name__:
            width = getattr(module, "head_dim", None) or module.to_q.out_features // heads
            yield heads, int(width)


def processors(pipeline: Any, attention: str) -> str:
    """For the fingerprint: the kinds of processor in the denoiser, and what computes for them."""
    modules = denoisers(pipeline)[0].modules()
    found = [getattr(module, "processor", None) for module in modules]
    names = ", ".join(sorted({type(processor).__name__ for processor in filter(None, found)}))
    return f"{names} ({attention})" if attention else names


def _attend_within(denoiser: Any, kernel: Callable[[], AbstractContextManager[Any]]) -> None:
    """By hooks of torch: those of accelerate, which replace `forward`, come and go with LoRAs."""
    open_: list[AbstractContextManager[Any]] = []

    def enter(*_: Any) -> None:
        open_.append(kernel())
        open_[-1].__enter__()

    def leave(*_: Any) -> None:
        open_.pop().__exit__(None, None, None)

    denoiser.register_forward_pre_hook(enter)
    denoiser.register_forward_hook(leave, always_call=True)


def _take(
    networks: Sequence[Any], card: ModelCard, wanted: Attention, rows: Sequence[Rows]
) -> None:
    """Tried first, on a few rows."""
    if wanted in TORCH:
        with sdpa_kernel(TORCH[wanted]):
            for each, mask in rows:
                scaled_dot_product_attention(each, each, each, mask)
        for denoiser in networks:
            _attend_within(denoiser, lambda: sdpa_kernel(TORCH[wanted]))
        return
    backend, package = LIBRARIES[wanted]
    parts = [part for denoiser in networks for part in denoiser.modules()]
    attending = [part.processor for part in parts if getattr(part, "processor", None)]
    if not all(hasattr(processor, "_attention_backend") for processor in attending):
        raise _refused(card, wanted, "diffusers lets it attend by torch's kernels alone")
    try:
        _check_attention_backend_requirements(backend)
    except RuntimeError:
        raise _refused(card, wanted, f"it needs {package}, which is not installed") from None
    for each, mask in rows:
        turned = each.transpose(1, 2)  # as diffusers lays them out
        dispatch_attention_fn(turned, turned, turned, mask, backend=backend)
    for processor in attending:
        processor._attention_backend = backend


def _rows(heads: Heads, device: str, dtype: torch.dtype, *, masked: bool) -> Rows:
    """As torch lays them out: batch, heads, tokens, width."""
    rows = torch.zeros(1, heads[0], TOKENS, heads[1], device=device, dtype=dtype)
    mask = torch.ones(1, 1, TOKENS, TOKENS, device=device, dtype=torch.bool) if masked else None
    return rows, mask


def _torchs_choice(rows: torch.Tensor, mask: torch.Tensor | None) -> str:
    if rows.device.type == "mps":
        return "own"  # Apple's, whatever the heads are
    chosen = torch._fused_sdp_choice(rows, rows, rows, mask)
    return next((name for name, kernel in TORCH.items() if kernel.value == chosen), "own")


def _refused(card: ModelCard, wanted: str, why: str) -> PaintError:
    return PaintError(
        "attention",
        f"attention: {wanted} cannot serve {card.title} here: {why}. "
        "Set DARKROOM_ATTENTION to auto, or to another.",
    )
