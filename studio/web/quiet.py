"""Keeps Gradio silent and tidy: no analytics, no telemetry, its files in a folder of ours.

Called before gradio is imported, because gradio reads these names while it is imported.
"""

import os
import shutil
import tempfile
from pathlib import Path

from studio.settings import Settings
from studio.store.reading import only_reading

ALWAYS = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_ANALYTICS_MAX_EVENTS": "1000",  # its own table of calls grows to 10 000 otherwise
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000",  # or it sums that table up at every call
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
# What would open files of this machine, or its code, although `launch` is told otherwise.
NEVER = ("GRADIO_ALLOWED_PATHS", "GRADIO_VIBE_MODE")


def prepare(settings: Settings) -> None:
    os.environ.update(ALWAYS, GRADIO_TEMP_DIR=str(cache_folder(settings)))
    for name in NEVER:
        os.environ.pop(name, None)


def cache_folder(settings: Settings) -> Path:
    if only_reading(settings):
        return Path(tempfile.gettempdir()).resolve() / f"darkroom-{os.getpid()}"
    return (settings.data / "cache").resolve()


def sweep(settings: Settings) -> None:
    """An empty folder for nobody else's eyes. Only safe while the store holds the data folder."""
    folder = cache_folder(settings)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
