"""Pictures as bulk Markdown, so that they are read back equal: what all share stands in the head.

A prompt stands bare where it is read back as it is, in a block where it has several lines, and else
in quotes among its settings. What cannot be painted is ticked off, and a comment above says why.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from studio.formats.bulk.fields import HIDDEN, KINDS, NOTHING, written
from studio.request import ImageRequest

Fields = dict[str, Any]
# Text that needs no quotes: nothing in it begins or ends a setting, a list, a comment or a quote.
_BARE = re.compile(r"[^\s\"\[\]{}|,#:\\`<>'](?:[^\n\r\"\[\]{}|,#:\\`<>]*[^\s\"\[\]{}|,#:\\`<>])?")
_PLAIN = re.compile(r"[^\s\[\]{}|#`~<>+*\-\d\\](?:[^\x00-\x1f\x7f{}<>]*[^\s{}<>])?")
_LETTERS = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f]*")
_ROUND_END = re.compile(r"\((?=[^()]*?:\s)[^()]*+\)$")


class Picture(NamedTuple):
    """The groups it stands in, and its wish; without one there is but the comment `above`."""

    groups: tuple[str, ...]
    wish: ImageRequest | None
    above: str = ""
    ticked: bool = False


def write_markdown(pictures: Sequence[Picture]) -> str:
    told = [(one, _fields(one.groups, one.wish) if one.wish else {}) for one in pictures]
    shared = _shared([fields for one, fields in told if one.wish])
    lines = _head(shared)
    lines += [""] if lines and not (pictures and pictures[0].groups) else []
    before: tuple[str, ...] = ()
    for one, fields in told:
        lines += _headings(before, one.groups)
        lines += [_comment(one.above)] if one.above else []
        if one.wish:
            own = {name: value for name, value in fields.items() if name not in shared}
            lines += _picture(own, one.ticked)
        before = one.groups
    return "\n".join(lines) + "\n"


def _fields(groups: tuple[str, ...], wish: ImageRequest) -> Fields:
    """All that is said of it, without what its headings say."""
    said = {
        name: value
        for name, value in wish
        if name not in HIDDEN and value != ImageRequest.model_fields[name].get_default()
    }
    if groups:
        more = tuple(tag for tag in wish.tags if tag not in groups)
        said = {name: value for name, value in said.items() if name != "tags"}
        said |= {"tags": more} if more else {}
    return said


def _shared(all_fields: Sequence[Fields]) -> Fields:
    """What is the same in all, if there are several."""
    if len(all_fields) < 2:
        return {}
    first, *others = all_fields
    alike = {
        name: value
        for name, value in first.items()
        if name not in ("prompt", "seed") and all(one.get(name) == value for one in others)
    }
    if ("width" in alike) != ("height" in alike):  # one size is said in one place
        alike = {name: value for name, value in alike.items() if name not in ("width", "height")}
    return alike


def _head(shared: Fields) -> list[str]:
    rows = [f"{name}: {text}" for name, text in _settings(shared).items()]
    return ["---", *rows, "---"] if rows else []


def _headings(before: tuple[str, ...], groups: tuple[str, ...]) -> list[str]:
    """Those of the group that are new since the last picture."""
    if before == groups:
        return []
    kept = 0
    while kept < min(len(before), len(groups) - 1) and before[kept] == groups[kept]:
        kept += 1
    marks = [(depth, words) for depth, words in enumerate(groups, 1) if depth > kept]
    return [
        line
        for depth, words in marks or [(1, "")]
        for line in ("", f"{'#' * depth} {words}".rstrip(), "")
    ]


def _comment(text: str) -> str:
    """No two dashes of the text stand together, or it could end the comment."""
    return f"<!-- {re.sub('-(?=-)', '- ', ' '.join(text.split())).rstrip('-')} -->"


def _picture(own: Fields, ticked: bool) -> list[str]:
    own = dict(own)
    prompt = own.pop("prompt", "")
    settings = _settings(own)
    mark = "- [x]" if ticked else "-"
    if _stands_bare(prompt):
        return [f"{mark} {prompt}{_braces(settings)}"]
    if "\n" in prompt and _LETTERS.fullmatch(prompt) and not ticked:
        marks = "`" * max(3, 1 + max(map(len, re.findall("`+", prompt)), default=0))
        return [f"{marks}prompt{_braces(settings)}", *prompt.split("\n"), marks]
    if prompt:
        settings = {"prompt": written(prompt), **settings}
    return [f"{mark}{_braces(settings)}"]


def _stands_bare(prompt: str) -> bool:
    """Nothing in it is read as anything but its letters."""
    return bool(_PLAIN.fullmatch(prompt)) and not _ROUND_END.search(prompt)


def _braces(settings: Mapping[str, str]) -> str:
    inside = ", ".join(f"{name}: {text}" for name, text in settings.items())
    return f" {{{inside}}}" if inside else ""


def _settings(fields: Fields) -> dict[str, str]:
    found = {}
    for name in KINDS:
        if name in ("width", "height") and name in fields:
            found["size"] = f"{fields['width']}x{fields['height']}"
        elif name in fields:
            found[name] = _value(name, fields[name])
    return found


def _value(name: str, value: Any) -> str:
    if name == "loras":
        return f"[{', '.join(map(_lora, value))}]"
    if name == "references":
        return f"[{', '.join(f'{one.id}:{_number(one.weight)}' for one in value)}]"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int):
        return str(value)
    return written(value) if name == "sampler" and value != value.lower() else _text(value)


def _lora(use: Any) -> str:
    parts = "".join(f" {name}={_number(weight)}" for name, weight in use.components.items())
    return f"{_text(use.name)}:{_number(use.weight)}{parts}"


def _text(text: str) -> str:
    bare = _BARE.fullmatch(text) and text.lower() not in NOTHING
    return text if bare else written(text)


def _number(number: float) -> str:
    return repr(number).removesuffix(".0")
