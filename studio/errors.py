"""Errors as sentences: each names what was wrong, its value and its limit, and has an HTTP status.

Rooms raise them; only the edge (`web`, `app.py`) shapes them into JSON, `gr.Error` or plain text.
"""

from pydantic import ValidationError
from pydantic_core import ErrorDetails


class DarkroomError(Exception):
    """Something a person can act on. `str(error)` is the sentence; `code` is stable for scripts."""

    status = 500
    code = "internal"

    def __init__(self, sentence: str, *, field: str | None = None) -> None:
        super().__init__(sentence)
        self.field = field


class Refused(DarkroomError):
    """The wish cannot be painted as asked. Raised before any work is done."""

    status = 422
    code = "refused"


class NotFound(DarkroomError):
    status = 404
    code = "not_found"


class Conflict(DarkroomError):
    """What was asked for no longer exists to be had, such as the picture of a cancelled job."""

    status = 409
    code = "conflict"


class TooMany(DarkroomError):
    """The line is full."""

    status = 429
    code = "too_many"


class Unavailable(DarkroomError):
    """The studio cannot serve now: the disk is full, the database is busy, it is shutting down."""

    status = 503
    code = "unavailable"


class CannotStart(DarkroomError):
    """A setting, a preset or the data folder stops the studio from starting."""

    code = "cannot_start"


class InUse(CannotStart):
    """Another server holds the data folder or the database: a sentence says who, one what to do."""

    def __init__(self, who: str, instead: str = "") -> None:
        super().__init__(f"{who} {instead}".strip())
        self.who, self.instead = who, instead


def field_sentence(error: ValidationError) -> tuple[str, str]:
    """The first pydantic complaint as (field path, sentence with the value and the limit)."""
    return field_sentences(error)[0]


def field_sentences(error: ValidationError) -> list[tuple[str, str]]:
    """All of them."""
    return [_sentence(one) for one in error.errors(include_url=False)]


def _sentence(complaint: ErrorDetails) -> tuple[str, str]:
    path = ".".join(str(part) for part in complaint["loc"])
    kind, context = complaint["type"], complaint.get("ctx", {})
    if kind in ("too_long", "too_short") and isinstance(complaint.get("input"), str):
        kind = f"string_{kind}"
    shown = _shown(complaint.get("input"))
    if kind == "extra_forbidden":
        return path, f"{path} is not known here."
    if kind == "missing":
        return path, f"{path} is missing."
    if kind == "value_error":
        return path, f"{path}: {context['error']}" if path else str(context["error"])
    limits = {
        "greater_than_equal": "is too small; the least is {ge}",
        "less_than_equal": "is too large; the most is {le}",
        "multiple_of": "is not a multiple of {multiple_of}",
        "finite_number": "is not a finite number",
        "string_too_long": "is too long; the most is {max_length} characters",
        "string_too_short": "is too short; the least is {min_length} character",
        "too_long": "has too many entries; the most is {max_length}",
        "literal_error": "is not one of {expected}",
        "string_unicode": "cannot be saved as UTF-8; it holds half of a surrogate pair",
        "string_pattern_mismatch": "does not look like {pattern}",
        "int_type": "is not a whole number",
        "float_type": "is not a number",
        "string_type": "is not text",
        "tuple_type": "is not a list",
        "dict_type": "is not an object",
        "model_type": "is not an object; give its fields by name",
    }
    if kind in limits:
        return path, f"{path}: {shown} {limits[kind].format(**context)}."
    return path, f"{path}: {shown} is not allowed here. {complaint['msg']}."


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


NO_TEXT = "its name is no text; rename it"  # of a file that came from another system


def sayable(text: str) -> str:
    """Names of files and fields may hold half of a surrogate pair, which no answer can repeat."""
    return text.encode(errors="replace").decode()
