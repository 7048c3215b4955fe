"""A data folder that can be read and not written: what is there is shown, and nothing is painted.

A copy on a read-only disk, or another user's pictures. Only a history in SQLite can be shown so.
"""

import os
import sqlite3
from pathlib import Path

from studio.settings import Settings


def only_reading(settings: Settings) -> str:
    """Why nothing can be written, in words; empty if something can, or if there is no history."""
    file = settings.data / "darkroom.db"
    if settings.database or not os.access(file, os.R_OK):
        return ""
    for path in (settings.data, file):
        if not os.access(path, os.W_OK):
            return f"{path} cannot be written: its pictures can be seen, and nothing is painted."
    return ""


def connect(file: Path, timeout: float) -> sqlite3.Connection:
    """Without a log beside it the file is whole, and SQLite need not make one to read it. That is
    for where it could not: elsewhere a server may be about to write."""
    log = file.with_name(f"{file.name}-wal")
    whole = not os.access(file.parent, os.W_OK) and (not log.exists() or log.stat().st_size == 0)
    address = f"{file.absolute().as_uri()}?mode=ro" + whole * "&immutable=1"
    return sqlite3.connect(address, uri=True, timeout=timeout, check_same_thread=False)
