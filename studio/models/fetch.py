"""Fetches one file over HTTP: it goes on where it broke off, and is whole or not there."""

import hashlib
import sys
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import cast

from studio.errors import DarkroomError

PIECE = 2**20
PATIENCE = 60  # seconds without a byte


class CannotFetch(DarkroomError):
    """The other side does not give it, or not now."""


def fetch(url: str, file: Path, sha256: str = "") -> None:
    """With a bar, if somebody looks on. What does not have this hash is thrown away."""
    begun = _part(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _append(url, begun)
        found = _hash(begun)
        if sha256 and found != sha256:
            begun.unlink()
            raise CannotFetch(
                f"{url} is not what was expected: its SHA-256 is {found[:12]}…, not "
                f"{sha256[:12]}…. It was thrown away."
            )
        begun.replace(file)
    except urllib.error.HTTPError as error:
        raise CannotFetch(f"{url} answers {error.code} {error.reason}.") from error
    except (urllib.error.URLError, HTTPException, OSError) as error:
        why = getattr(error, "reason", None) or error
        raise CannotFetch(
            f"{file.name} could not be fetched: {why}. What has come so far is kept; ask again."
        ) from error


def begun_of(file: Path) -> int:
    """Bytes of it that have come, while it is not whole."""
    part = _part(file)
    return part.stat().st_size if part.exists() else 0


def _part(file: Path) -> Path:
    return file.with_name(f"{file.name}.part")


def _append(url: str, begun: Path) -> None:
    have = begun.stat().st_size if begun.exists() else 0
    asked = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = cast(HTTPResponse, urllib.request.urlopen(asked, timeout=PATIENCE))
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # there is no more of it
            return
        raise
    with answer:
        goes_on = answer.status == 206
        left = int(answer.headers.get("Content-Length") or 0)
        done = have if goes_on else 0
        whole = done + left
        with begun.open("ab" if goes_on else "wb") as file:
            while piece := answer.read(PIECE):
                file.write(piece)
                done += len(piece)
                _bar(begun.stem, done, whole)
    if left and done < whole:
        raise OSError(f"it ended after {done} of {whole} bytes")


def _bar(name: str, done: int, whole: int) -> None:
    if sys.stderr.isatty():
        share = f"{100 * done // whole:3d} %" if whole else f"{done / 1e6:.1f} MB"
        print(f"\r{name}  {share}", end="\n" if done == whole else "", file=sys.stderr)


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
