"""The process behind a slot: `python -m studio.engine.worker`. Frames come in on standard input.

It prepares the process (its channel, its death with the parent, its environment) before anything
heavy is imported. It knows neither the database nor the folder of pictures.
"""

import argparse
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from studio.models.hashes import keep_hashes_in

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DIFFUSERS_DISABLE_REMOTE_CODE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",  # progress is told in messages
}
# What libraries say at each start or picture, and we know.
UNHEARD = {
    # Image processors are for models that look at pictures; none here does.
    "transformers.utils.import_utils": ("requires torchvision (not installed)",),
    # Stable Cascade is frozen there; the starter's autoencoder is meant to be a tiny one.
    "diffusers.pipelines.pipeline_utils": ("has been deprecated", "autoencoder_tiny"),
}
PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str] | None = None) -> None:
    options = read_options(arguments)
    outbox = take_channel()
    die_with_parent()
    os.environ |= ENVIRONMENT
    # Threads that wait for each other by spinning take the cores from the browser, the server and
    # other slots, and then from each other. With little of it a starter picture takes 0.30 s on two
    # idle cores and 0.61 with one of them busy; with the usual amount 0.24 and 0.93, and many
    # seconds beside other torch; with none 0.44 and 0.40.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    logging.basicConfig(format=f"{options.name}: %(levelname)s %(message)s")
    for library, unheard in UNHEARD.items():
        logging.getLogger(library).addFilter(partial(_is_news, unheard))
    from studio.engine.loop import serve  # noqa: PLC0415 - diffusers reads the environment on import

    keep_hashes_in(options.models)
    serve(options, sys.stdin.buffer, outbox)


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="studio.engine.worker", description=__doc__)
    parser.add_argument("--name", default="worker")
    parser.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:<number>")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--models", type=Path, required=True, help="folder of model folders")
    parser.add_argument("--precision", default="auto", help="where a wish says auto")
    parser.add_argument("--attention", default="auto", help="what computes it")
    parser.add_argument(
        "--safety", default="", help="what checks pictures, in JSON; empty: nothing"
    )
    parser.add_argument("--compile", action="store_true", help="the repeated blocks of a model")
    parser.add_argument("--previews", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args(arguments)


def take_channel() -> BinaryIO:
    """Messages get their own descriptor; whatever is printed from now on goes to standard error."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return channel


def die_with_parent() -> None:
    """Linux ends us with the thread that started us. Elsewhere the end of standard input does."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent left before the worker began")


def _is_news(unheard: Sequence[str], record: logging.LogRecord) -> bool:
    said = record.getMessage()
    return not any(words in said for words in unheard)


if __name__ == "__main__":
    main()
