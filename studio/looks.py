"""Looks: presets that dress a prompt in words of a style, and a negative prompt with it."""

from collections.abc import Mapping
from dataclasses import dataclass

from studio.errors import Refused
from studio.request import ImageRequest


@dataclass(frozen=True, slots=True)
class Look:
    """`{prompt}` is where the words go."""

    name: str
    title: str
    prompt: str
    negative: str = ""


def dressed(wish: ImageRequest, looks: Mapping[str, Look]) -> tuple[str, str]:
    """Both prompts of a wish, in its look if it has one."""
    if wish.look is None:
        return wish.prompt, wish.negative_prompt
    look = looks.get(wish.look)
    if look is None:
        offered = ", ".join(looks) or "none"
        raise Refused(f"look: there is no look {wish.look!r}. There are: {offered}.", field="look")
    negative = ", ".join(text for text in (wish.negative_prompt, look.negative) if text)
    return look.prompt.replace("{prompt}", wish.prompt), negative
