"""One door for all faces: fields as the outside names them become wishes, and wishes become jobs.

Older systems, diffusers and OpenAI name the same things differently; here, and only here, their
names are turned into the fields of `ImageRequest`. A refusal speaks in the words of the asker.
"""

from collections.abc import Mapping, Sequence

from studio.errors import Refused
from studio.jobs.line import Line
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
    names = {OUTSIDE[name]: name for fields in wishes for name in fields if name in OUTSIDE}
    hands = Hands(line.store)
    try:
        read = [_read(fields, hands) for fields in wishes]
        asked, notes = [wish for wish, _ in read], [said for _, said in read]
        return line.submit(asked, key=key, batch=batch, notes=notes)
    except Refused as error:
        raise in_their_words(error, names) from None


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


def in_their_words(error: Refused, names: Mapping[str, str]) -> Refused:
    theirs = names.get(error.field or "")
    if theirs is None:
        return error
    sentence = str(error)
    if sentence.startswith(f"{error.field}:"):
        sentence = theirs + sentence[len(error.field or "") :]
    return Refused(sentence, field=theirs)
