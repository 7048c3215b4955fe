"""JSON that every reader takes. Python also writes and reads Infinity and NaN, which are no JSON:
PostgreSQL and browsers refuse the whole text. Here such a number stands as its name, "-Infinity".

DPMSolver++ has one among its settings, and ComfyUI writes NaN into its graphs.
"""

import json


def write(value: object) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(plain(value))


def plain(value: object) -> object:
    """As it comes back from one who read what was written."""
    return read(json.dumps(value))


def read(text: str | bytes) -> object:
    found: object = json.loads(text, parse_constant=str)
    return found
