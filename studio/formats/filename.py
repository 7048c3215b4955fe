"""File names that every system can hold, made from a template such as `{date}/{model}-{job}`.

Pure: it looks at no disk. Whatever a value holds, it cannot leave its folder or add one.
"""

import hashlib
import re
import time
import unicodedata
from collections.abc import Mapping
from itertools import count
from typing import Any

from studio.errors import Refused

# What a template may hold, and what stands there then. `_` stands for what a picture has not.
TOKENS = {
    "date": "day it was finished, UTC: 2026-01-31",
    "time": "time of that day: 235959",
    "model": "name of the model",
    "seed": "its own seed",
    "prompt": "the prompt as painted, its first 60 bytes",
    "hash": "8 digits of the SHA-256 of the prompt: the same words, the same digits",
    "size": "1024x768",
    "width": "1024",
    "height": "768",
    "steps": "steps that were asked for",
    "look": "the look it was dressed in",
    "tag": "its first tag; of a bulk file, its outermost heading",
    "filename": "the name that was wished for it",
    "owner": "whose it is",
    "group": "the headings above it in the bulk file that it came from",
    "job": "end of its job's id, and its number in that job: 9f3a2b1c-0",
    "index": "its number in its job, from 0",
    "counter": "00001: of its job in the line; in a ZIP its place there",
}
ENDINGS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
MAX_BYTES = 120  # of one folder or file; leaves room for a number and an ending below 255
MAX_VALUE = 60  # a long prompt must not push out the tokens behind it
_TOKEN = re.compile(rf"\{{({'|'.join(TOKENS)})\}}")
_BRACES = re.compile(r"\{[^}]*\}?|\}")
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.I)


def check_template(template: str, of: str) -> None:
    """Refuses, in a sentence, a template that `render` could not follow. `of` is its name."""
    known = ", ".join(TOKENS)
    if not template.strip("/ "):
        raise Refused(f"{of}: it is empty; make it from {known}.", field=of)
    odd = _BRACES.search(_TOKEN.sub("", template))
    if odd:
        raise Refused(f"{of}: {odd[0]} is not known; there are {known}.", field=of)


def values_of(
    request: Mapping[str, Any],
    wish: Mapping[str, Any],
    *,
    at: float,
    job: str,
    index: int,
    counter: int,
    group: str = "",
    **own: str | int,
) -> dict[str, str | int]:
    """What the tokens stand for. `own` are model, seed, width and height of the picture itself."""
    moment, prompt = time.gmtime(at), str(request.get("prompt", ""))
    return {
        **own,
        "date": time.strftime("%Y-%m-%d", moment),
        "time": time.strftime("%H%M%S", moment),
        "prompt": prompt,
        "hash": hashlib.sha256(prompt.encode()).hexdigest()[:8],
        "size": f"{own['width']}x{own['height']}",
        "steps": request.get("steps") or "",
        "look": wish.get("look") or "",
        "tag": next(iter(request.get("tags") or ()), ""),
        "filename": request.get("filename") or "",
        "owner": request.get("owner", ""),
        "group": group,
        "job": f"{job[-8:]}-{index}",
        "index": index,
        "counter": f"{counter:05}",
    }


def render(template: str, values: Mapping[str, str | int]) -> str:
    """A relative path with `/`, without an ending. Folders come from the template alone."""
    safe = {name: safe_name(str(value), MAX_VALUE) for name, value in values.items()}
    parts = [part.format_map(safe) for part in template.split("/")]
    return "/".join(safe_name(part) for part in parts if part)


def safe_name(text: str, max_bytes: int = MAX_BYTES) -> str:
    """One name of a file or folder: never empty, hidden, reserved, or longer than `max_bytes`."""
    text = re.sub(r"\s+", "_", text.strip())
    # Category C: control characters, and the invisible ones that turn the reading direction.
    text = "".join(sign for sign in text if not unicodedata.category(sign).startswith("C"))
    text = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", text)).strip(" .")
    if _RESERVED.match(text):
        text = f"_{text}"
    cut = text.encode()[:max_bytes].decode(errors="ignore")
    return cut.rstrip(" .") or "_"


def unlike(name: str, ending: str, taken: set[str]) -> str:
    """The name, with a number if it is taken. Systems that read no capitals keep them apart too."""
    for number in count(1):
        found = f"{name}{f'-{number}' if number > 1 else ''}{ending}"
        if found.casefold() not in taken:
            taken.add(found.casefold())
            return found
    raise AssertionError("there are always more numbers")
