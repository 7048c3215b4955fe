"""One server to a data folder: a file lock that frees itself however its holder ends.

The file says who holds it, for the sentence the second one gets.
"""

import os
import socket
import sys
import time
from pathlib import Path
from typing import BinaryIO

from studio.errors import InUse

if sys.platform == "win32":
    import msvcrt

    def _take(file: BinaryIO) -> None:
        file.seek(1 << 20)  # Windows keeps others from reading what is locked; lock beyond the text
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Lock:
    """Held until `release`, or until the process is gone."""

    def __init__(self, path: Path, whose: str) -> None:
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
        try:
            _take(self._file)
        except (BlockingIOError, PermissionError):
            holder = self._read()
            self._file.close()
            raise InUse(f"{whose} is in use by {holder}.", "Stop that server first.") from None
        self._file.seek(0)
        self._file.truncate()
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        self._file.write(
            f"process {os.getpid()} on {socket.gethostname()} since {since} UTC".encode()
        )
        self._file.flush()

    def release(self) -> None:
        self._file.close()

    def _read(self) -> str:
        self._file.seek(0)
        return self._file.read(200).decode(errors="replace") or "another process"
