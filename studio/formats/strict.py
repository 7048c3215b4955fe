"""JSON that every reader takes. Python also writes and reads Infinity and NaN, which are no JSON:
PostgreSQL and browsers refuse the whole text. Here such a number stands as its name, "-Infinity".

DPMSolver++ has one among its settings, and ComfyUI writes NaN into its graphs.
"""

import json

# Made once: `json.dumps` and `json.loads` make one anew for each call that asks for anything.
_WRITER = json.JSONEncoder(allow_nan=False)
_READER = json.JSONDecoder(parse_constant=str)


def write(value: object) -> str:
    try:
        return _WRITER.encode(value)
    except ValueError:
        return json.dumps(plain(value))


def plain(value: object) -> object:
    """As it comes back from one who read what was written."""
    return read(json.dumps(value))


def read(text: str | bytes) -> object:
    """Bytes are UTF-8, as PostgreSQL's driver hands them over."""
    found: object = _READER.decode(text.decode() if isinstance(text, bytes) else text)
    return found
