"""`styles.csv` of A1111 and its kin: read with all its habits, and written as they read it.

UTF-8 with or without its mark; `name,prompt,negative_prompt`, or `name,text` of old; rows whose
name begins with `#` are headings; of two rows with one name the later counts.
"""

import csv
import io
from collections.abc import Iterable
from typing import NamedTuple

from studio.errors import Refused

MOST_BYTES = 4 * 2**20
MOST_STYLES = 5000
COLUMNS = ("name", "prompt", "negative_prompt")


class Style(NamedTuple):
    """`prompt` has `{prompt}` where the words go, or is put behind them."""

    name: str
    prompt: str = ""
    negative: str = ""


def read_styles(data: bytes) -> tuple[list[Style], list[str]]:
    """The styles, and in sentences what was left out."""
    rows = csv.reader(io.StringIO(_text(data), newline=""), strict=True)
    try:
        header = [cell.strip().lower() for cell in next(rows, [])]
        places = _places(header)
        found: dict[str, Style] = {}
        said = [
            f"The column {name!r} is not read."
            for at, name in enumerate(header)
            if name and at not in places.values()
        ]
        for row in rows:
            cells = {name: row[at] if at < len(row) else "" for name, at in places.items()}
            name = cells["name"].strip()
            prompt, negative = cells.get("prompt", ""), cells.get("negative_prompt", "")
            if name.startswith("#") or not any(cell.strip() for cell in row):
                continue
            if not name:
                raise Refused(f"line {rows.line_num}: a style without a name.", field="file")
            if name in found:
                said.append(f"{name!r} stands there twice; the later counts.")
            found[name] = Style(name, prompt.strip(), negative.strip())
            if len(found) > MOST_STYLES:
                raise Refused(f"There are more than {MOST_STYLES} styles in it.", field="file")
    except csv.Error as error:
        raise Refused(f"line {rows.line_num}: this is no CSV: {error}.", field="file") from None
    return list(found.values()), said


def write_styles(styles: Iterable[Style]) -> bytes:
    file = io.StringIO(newline="")
    rows = csv.writer(file)
    rows.writerow(COLUMNS)
    rows.writerows(styles)
    return file.getvalue().encode("utf-8-sig")


def _text(data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise Refused(f"The file has {len(data)} bytes; the most is {MOST_BYTES}.", field="file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Refused(f"line {line}: the file is not UTF-8.", field="file") from None
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise Refused(f"line {line}: the file holds a NUL character.", field="file")
    return text


def _places(header: list[str]) -> dict[str, int]:
    """Where each column stands. `text` is what the prompt was called once."""
    places = {name: header.index(name) for name in COLUMNS if name in header}
    if "prompt" not in places and "text" in header:
        places["prompt"] = header.index("text")
    if "name" not in places or len(places) == 1:
        raise Refused(
            "line 1: the first line must name the columns: name,prompt,negative_prompt.",
            field="file",
        )
    return places
