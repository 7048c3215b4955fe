"""File names that every system can hold, made from a template such as `{date}/{model}-{job}`.

Pure: it looks at no disk. Whatever a value holds, it cannot leave its folder or add one.
"""

import re
import unicodedata
from collections.abc import Mapping

from studio.errors import CannotStart

TOKENS = ("date", "time", "model", "seed", "prompt", "job", "width", "height")
MAX_BYTES = 120  # of one folder or file; leaves room for a number and an ending below 255
MAX_VALUE = 60  # a long prompt must not push out the tokens behind it
_TOKEN = re.compile(rf"\{{({'|'.join(TOKENS)})\}}")
_BRACES = re.compile(r"\{[^}]*\}?|\}")
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.I)


def check_template(template: str) -> None:
    """Refuses, in a sentence, a template that `render` could not follow."""
    known = ", ".join(TOKENS)
    if not template.strip("/ "):
        raise CannotStart(f"Setting file_name: it is empty; make it from {known}.")
    odd = _BRACES.search(_TOKEN.sub("", template))
    if odd:
        raise CannotStart(f"Setting file_name: {odd[0]} is not known; there are {known}.")


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
