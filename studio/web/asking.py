"""One door for all faces: fields as the outside names them become wishes, and wishes become jobs.

Older systems, diffusers and OpenAI name the same things differently; here, and only here, their
names are turned into the fields of `ImageRequest`. A refusal speaks in the words of the asker.
"""

from collections.abc import Mapping, Sequence

from studio.errors import Refused
from studio.jobs.line import Line
from studio.request import ImageRequest, read_request
from studio.store.rows import Job

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
    names = {OUTSIDE[name]: name for fields in wishes for name in fields if name in OUTSIDE}
    try:
        return line.submit([_read(fields) for fields in wishes], key=key, batch=batch)
    except Refused as error:
        raise _in_their_words(error, names) from None


def _read(given: Mapping[str, object]) -> ImageRequest:
    fields: dict[str, object] = {}
    for name, value in given.items():
        inside = OUTSIDE.get(name, name)
        if inside in fields:
            raise Refused(f"{name}: {inside} is given already; say it once.", field=name)
        fields[inside] = value
    if fields.get("seed") == -1:  # the world's word for "any"
        fields["seed"] = None
    return read_request(
        {name: value for name, value in fields.items() if value is not None or name == "prompt"}
    )


def _in_their_words(error: Refused, names: Mapping[str, str]) -> Refused:
    theirs = names.get(error.field or "")
    if theirs is None:
        return error
    sentence = str(error)
    if sentence.startswith(f"{error.field}:"):
        sentence = theirs + sentence[len(error.field or "") :]
    return Refused(sentence, field=theirs)
