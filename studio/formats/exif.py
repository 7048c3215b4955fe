"""Exif as picture tools use it: the few tags that hold text, read by hand and written plainly.

`UserComment` has a head of eight bytes that names its letters, and half of the tools get it wrong:
what was meant is told from the text itself. Pure: bytes in, texts out, and back.
"""

import struct

MOST_ENTRIES = 512  # of a directory
MOST_BYTES = 4 * 2**20  # of one value
COMMENT, NOTE, MORE = 0x9286, 0x927C, 0x8769
NAMES = {
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x013B: "Artist",
    COMMENT: "UserComment",
    NOTE: "MakerNote",
    0x9C9C: "XPComment",
}
UNICODE, ASCII, JIS = b"UNICODE\0", b"ASCII\0\0\0", b"JIS\0\0\0\0\0"
SHORT = 40  # bytes within which a value says what it is
MARKS = ' ,:.\n{}"'  # of which any text in a picture has some
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1}
Tags = dict[int, bytes]


def read_exif(data: bytes) -> Tags:
    """The values of all tags of bytes and text, those of the camera's directory among them."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return {}
    first = _number(data, 4, 4, order)
    found = _directory(data, first, order)
    if len(more := found.get(MORE, b"")) == 4:
        camera = _directory(data, _number(more, 0, 4, order), order)
        found = {**camera, **found}
    return found


def tagged(tags: Tags) -> dict[str, str]:
    """Those with a name as text; of others in the first directory only what begins as `prompt:{`,
    for ComfyUI goes on downwards from Make."""
    found = {}
    for tag, value in tags.items():
        if tag == COMMENT:
            found[NAMES[tag]] = comment(value)
        elif tag == 0x9C9C:
            found[NAMES[tag]] = value.decode("utf-16-le", "replace").rstrip("\0")
        elif tag == NOTE:
            if len(value) <= SHORT or b"\0{" in value[:SHORT]:  # a camera's own is of no use here
                found[NAMES[tag]] = _plain(value)
        elif tag in NAMES or b":{" in value[:SHORT]:
            found[NAMES.get(tag, f"{tag:#06x}")] = _plain(value)
    return found


def comment(value: bytes) -> str:
    """A `UserComment` in whatever letters."""
    head, body = value[:8], value[8:]
    if head == UNICODE:
        text = _wide(body)
    elif head == ASCII or not head.strip(b"\0"):
        text = _plain(body)
    elif head == JIS:
        text = body.decode("iso2022_jp", "replace")
    else:
        text = _plain(value)  # without a head, as Fooocus writes it
    return text.strip("\0").removeprefix("\ufeff")


def write_exif(text: str, note: str) -> bytes:
    """A1111's place for its text, and a note of the maker, which viewers do not show."""
    values = [(COMMENT, UNICODE + text.encode("utf-16-be"))] if text else []
    if note:
        values.insert(0, (NOTE, note.encode()))
    place = 8 + 2 + 12 + 4  # behind the head and the first directory, with one entry
    camera = struct.pack(">H", len(values))
    behind = place + 2 + 12 * len(values) + 4
    stored = b""
    for tag, value in values:
        camera += struct.pack(">HHII", tag, 7, len(value), behind + len(stored))
        stored += value + b"\0" * (len(value) % 2)
    first = struct.pack(">HHHII", 1, MORE, 4, 1, place) + b"\0\0\0\0"
    return b"MM\0*\0\0\0\x08" + first + camera + b"\0\0\0\0" + stored


def _directory(data: bytes, place: int, order: str) -> Tags:
    found: Tags = {}
    if place + 2 > len(data):
        return found
    count = min(_number(data, place, 2, order), MOST_ENTRIES)
    for at in range(place + 2, min(place + 2 + 12 * count, len(data) - 11), 12):
        tag, kind = _number(data, at, 2, order), _number(data, at + 2, 2, order)
        size = _number(data, at + 4, 4, order) * _WIDTHS.get(kind, 0)
        if not 0 < size <= MOST_BYTES:
            continue
        begins = at + 8 if size <= 4 else _number(data, at + 8, 4, order)
        value = data[begins : begins + size]
        if len(value) == size:
            found.setdefault(tag, value)
    return found


def _number(data: bytes, place: int, size: int, order: str) -> int:
    return int.from_bytes(data[place : place + size], "little" if order == "<" else "big")


def _plain(value: bytes) -> str:
    try:
        return value.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return _wide(value) if value[:64].count(0) >= len(value[:64]) // 4 else _latin(value)


def _latin(value: bytes) -> str:
    return value.rstrip(b"\0").decode("latin-1")


def _wide(body: bytes) -> str:
    """UTF-16 of either order, with or without a mark; or UTF-8, which should not be there."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace")
    readings = [body.decode(letters, "replace") for letters in ("utf-16-be", "utf-16-le")]
    big, little = (sum(text.count(mark) for mark in MARKS) for text in readings)
    if 0 not in body[:4096]:
        plain = body.decode("utf-8", "replace")
        if sum(plain.count(mark) for mark in MARKS) > max(big, little):
            return plain
    return readings[0] if big >= little else readings[1]
