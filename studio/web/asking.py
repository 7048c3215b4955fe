"""One door for all faces: fields as the outside names them become wishes, and wishes become jobs.

Older systems, diffusers and OpenAI name the same things differently; here, and only here, their
names are turned into the fields of `ImageRequest`. A refusal speaks in the words of the asker.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from studio.errors import Refused
from studio.jobs.line import Line
from studio.jobs.studio import Studio
from studio.jobs.truth import tell_choices, tell_truth
from studio.request import ImageRequest, read_request
from studio.store.rows import Job
from studio.web.handed import Hands

OUTSIDE = {
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
    "model_mode": "model",
    "num_images": "count",
}


def ask(
    line: Line,
    wishes: Sequence[Mapping[str, object]],
    *,
    key: str | None = None,
    batch: str | None = None,
) -> list[Job]:
    """All of them or none, written down."""
    hands = Hands(line.store)
    with _in_words_of(*wishes):
        read = [_read(fields, hands) for fields in wishes]
        asked, notes = [wish for wish, _ in read], [said for _, said in read]
        return line.submit(asked, key=key, batch=batch, notes=notes)


def ask_truth(studio: Studio, fields: Mapping[str, object]) -> dict[str, Any]:
    """What the model would make of it; no job is written down."""
    with _in_words_of(fields):
        wish, notes = _read(fields, Hands(studio.store))
        wording = studio.line.wording(wish)
        settled = studio.line.overlooked(wording)
        settled = replace(settled, warnings=(*notes, *settled.warnings))
        choices = tell_choices(wording)
        return tell_truth(settled, studio.catalog.looks, studio.settings, studio.reader, choices)


def _read(given: Mapping[str, object], hands: Hands) -> tuple[ImageRequest, list[str]]:
    """The wish, and what there is to say of the pictures in it."""
    fields: dict[str, object] = {}
    for name, value in given.items():
        inside = OUTSIDE.get(name, name)
        if inside in fields:
            raise Refused(f"{name}: {inside} is given already; say it once.", field=name)
        fields[inside] = value
    if fields.get("seed") == -1:  # the world's word for "any"
        fields["seed"] = None
    fields, notes = hands.settle(fields)
    wish = read_request(
        {name: value for name, value in fields.items() if value is not None or name == "prompt"}
    )
    return wish, notes


@contextmanager
def _in_words_of(*wishes: Mapping[str, object]) -> Iterator[None]:
    names = {OUTSIDE[name]: name for fields in wishes for name in fields if name in OUTSIDE}
    try:
        yield
    except Refused as error:
        raise in_their_words(error, names) from None


def in_their_words(error: Refused, names: Mapping[str, str]) -> Refused:
    theirs = names.get(error.field or "")
    if theirs is None:
        return error
    sentence = str(error)
    if sentence.startswith(f"{error.field}:"):
        sentence = theirs + sentence[len(error.field or "") :]
    return Refused(sentence, field=theirs)
