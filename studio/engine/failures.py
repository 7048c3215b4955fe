"""What may go wrong while painting, as a code for the pool and a sentence for a person."""

import torch

from studio.errors import DarkroomError

NO_MEMORY = (
    *("can't allocate memory", "not enough memory", "out of memory"),
    *("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"),
)


class PaintError(DarkroomError):
    """`code` is one of oom, model_missing, model_invalid, precision, attention, unsafe,
    internal."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def explain(error: Exception, size: str) -> PaintError:
    """Any exception as one that a person can act on; what is not known is said to be so."""
    if isinstance(error, PaintError):
        return error
    if isinstance(error, DarkroomError):
        return PaintError(error.code, str(error))
    if is_out_of_memory(error):
        return PaintError(
            "oom",
            f"There is not enough memory for a picture of {size}, even by the most sparing way. "
            "Choose a smaller size, or free memory on the device.",
        )
    return PaintError(
        "internal",
        f"Painting stopped at an error in the engine ({type(error).__name__}). "
        "The studio's log tells more; the next picture is not affected.",
    )


def is_poisoned(error: Exception) -> bool:
    """After such an error every further call on the card fails; only a new process helps."""
    if is_out_of_memory(error):
        return False
    return isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error)


def is_out_of_memory(error: Exception) -> bool:
    """CUDA has a class for it; the CPU, Apple's cards and cuBLAS say it in words."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)


def is_the_devices(error: Exception) -> bool:
    """Whether it says nothing about the files that were being loaded."""
    return is_out_of_memory(error) or is_poisoned(error)
