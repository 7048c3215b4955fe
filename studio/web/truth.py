"""The quiet line under the prompt, and what is behind it: what the model reads, and what it loses.

Everything from outside is escaped.
"""

from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby
from typing import Any

import gradio as gr

from studio.errors import DarkroomError
from studio.formats.spoken import counted
from studio.jobs.studio import Studio
from studio.models.lora_layers import LORA
from studio.request import ImageRequest
from studio.web.asking import ask_truth
from studio.web.controls import NAMES, spoken, wish_of

USUAL = ImageRequest.model_fields["expand"].default
Told = dict[str, Any]  # as `tell_truth` gives it
# Where there are no words yet; so the line takes its room from the first.
RESTING = (
    '<p class="truth resting">Enter generates, Shift+Enter begins a new line. {this|that} draws '
    "one of them.</p>"
)
# A refusal that stands beside the button does not stand under the words as well.
ONCE = """
const truth = document.querySelector('#truth');
const once = () => {
  const under = truth.querySelector('p.truth'), beside = element.querySelector('.note');
  if (under) under.hidden = under.textContent === beside?.textContent;
};
new MutationObserver(once).observe(truth, { childList: true, subtree: true });
watch('value', once);
"""


def follower(studio: Studio) -> Callable[..., list[object]]:
    """What is shown under the words as they stand, from the values of all controls; and the
    control for choices, where there are any."""

    def truth(*values: object) -> list[object]:
        given = dict(zip(NAMES, values, strict=True))
        otherwise = given["expand"] != USUAL
        if not str(given["prompt"] or "").strip():
            return [RESTING, gr.update(visible=otherwise)]
        try:
            card = studio.catalog.find(str(given["model"]))
            told = ask_truth(studio, wish_of(card, given))
            return [render(told), gr.update(visible=otherwise or told["choices"] is not None)]
        except DarkroomError as error:
            return [refused(str(error)), gr.skip()]

    return truth


def render(told: Told) -> str:
    """One line for the eye, everything else one click away."""
    short = escape(" · ".join(line(told)))
    warnings = "".join(f"<li>{escape(warning)}</li>" for warning in told["warnings"])
    rows = [
        *_text_rows("prompt", told["prompt"]),
        *(_text_rows("not", told["negative_prompt"]) if told["negative_prompt"]["text"] else ()),
        *(("LoRA", escape(_lora(lora))) for lora in told["loras"]),
        *([("looks", escape(told["look"]["title"]))] if told["look"] else ()),
        *([("choices", _choices(told["choices"]))] if told["choices"] else ()),
        *([("tokens", escape(told["why"]))] if told["why"] else ()),
    ]
    behind = "".join(f"<dt>{escape(name)}</dt><dd>{html}</dd>" for name, html in rows)
    mood = ' class="warn"' if told["warnings"] else ""
    return (
        f'<details class="truth"><summary{mood}><span>{short}</span></summary>'
        f"<div><ul>{warnings}</ul><dl>{behind}</dl></div></details>"
    )


def refused(sentence: str) -> str:
    return f'<p class="truth">{escape(spoken(sentence))}</p>'


def line(told: Told) -> list[str]:
    """The same in a few words."""
    prompt, against = told["prompt"], told["negative_prompt"]
    most = prompt["encoders"][0] if prompt["encoders"] else None
    said = [_many(told["choices"])] if told["choices"] else []
    said.append(_tokens(most) if most and told["counted"] else "tokens not counted")
    weighted = [
        part
        for text in (prompt, against)
        for blend in text["blends"]
        for chunk in blend["chunks"]
        for part in chunk
        if part["weight"] != 1
    ]
    said += [f"{len(weighted)} weighted"] if weighted else []
    said += [f"{len(prompt['blends'])} prompts mixed"] if len(prompt["blends"]) > 1 else []
    said += [sentence.rstrip(".") for sentence in prompt["inert"]]
    if against["text"] and not against["heard"]:
        said.append("what should not be in it is not heard")
    said += [f"LoRA {lora['name']} {lora['weight']:g}" for lora in told["loras"]]
    if told["unknown_words"] is not None:
        said.append(_known(told["unknown_words"]))
    if most and told["counted"]:
        said.append(f"{most['cut']} not read" if most["cut"] else "nothing cut")
    return said


def _many(choices: Told) -> str:
    how = {"random": "each picture draws one", "all": "each is painted", "cycle": "in turns"}
    return f"{choices['words']}, {how[choices['expand']]}"


def _choices(choices: Told) -> str:
    """The first of them, each as it would be painted; of a wish without a seed examples."""
    negatives = {one["negative_prompt"] for one in choices["shown"]}
    shown = [_one_of(one, len(negatives) > 1) for one in choices["shown"]]
    what = "for example" if choices["example"] else ""
    more = 0 if choices["example"] else choices["pictures"] - len(shown)
    lists = ", ".join(f"__{name}__" for name in choices["wildcards"])
    about = [what, f"and {more:,} more" if more > 0 else "", f"from {lists}" if lists else ""]
    return f"{'<br>'.join(shown)}<small>{escape(', '.join(filter(None, about)))}</small>"


def _one_of(one: Told, both: bool) -> str:
    against = escape(one["negative_prompt"]) if both else ""
    return escape(one["prompt"]) + (f" <s>{against}</s>" if against else "")


def _tokens(one: Told) -> str:
    chunks = f" in {len(one['sent'])} chunks" if len(one["sent"]) > 1 else ""
    return f"{counted(one['tokens'], 'token')}{chunks}"


def _known(unknown: Sequence[str]) -> str:
    if not unknown:
        return "all words known"
    more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
    return f"not known: {', '.join(unknown[:3])}{more}"


def _lora(lora: Told) -> str:
    calls = lora["trigger_words"]
    listens = f", listens to {' or '.join(calls)}" if calls else ""
    heard = ", which the prompt says" if lora["said"] else ", which the prompt does not say"
    kind = f" ({lora['kind']})" if lora["kind"] != LORA else ""
    return f"{lora['name']} {lora['weight']:g}{kind}{listens}{heard if calls else ''}"


def _text_rows(name: str, text: Told) -> list[tuple[str, str]]:
    """One row for each way in which the text is read; encoders that read alike share one. A gist
    of the same words, whole, is not said again."""
    if not text["heard"]:
        return [(name, f"<s>{escape(text['text'])}</s><small>{escape(text['why'])}</small>")]
    rows = []
    said = {tuple(_words(one)) for one in text["encoders"] if not one["gist"]}
    told = [one for one in text["encoders"] if not one["gist"]]
    told += [one for one in text["encoders"] if one["gist"] and tuple(_words(one)) not in said]
    for _, alike in groupby(told, lambda one: (one["sent"], one["limit"], one["gist"])):
        first, *others = alike
        names = ", ".join(one["encoder"] for one in (first, *others))
        about = escape(_about(names, first))
        label = "gist" if first["gist"] else name
        rows.append((label, f"{_sent(first)}<small>{about}</small>"))
    if weights := _weights(text["blends"]):
        rows.append(("weights", weights))
    return rows


def _words(one: Told) -> list[str]:
    """Those that are read."""
    return " ".join(one["sent"]).removesuffix(one["lost"]).split()


def _sent(one: Told) -> str:
    """As it is sent, a line for each chunk; what is not read is struck through."""
    if one["lost"]:
        (whole,) = one["sent"]
        begins, ends = one["lost_at"], one["lost_at"] + len(one["lost"])
        return f"{escape(whole[:begins])}<s>{escape(whole[begins:ends])}</s>{escape(whole[ends:])}"
    return "<br>".join(escape(sent) or "(nothing)" for sent in one["sent"])


def _about(names: str, one: Told) -> str:
    if one["tokens"] is None:
        return names
    if len(one["sent"]) > 1:
        return f"{names}: {_tokens(one)} of {one['limit']}"
    if one["cut"]:
        return f"{names}: {one['tokens']} tokens; it reads {one['limit']}"
    return f"{names}: {one['tokens']} of {one['limit']} tokens"


def _weights(blends: Sequence[Told]) -> str:
    told = [
        f"{escape(part['text'].strip())} <b>{part['weight']:.3g}</b>"
        for blend in blends
        for chunk in blend["chunks"]
        for part in chunk
        if part["weight"] != 1
    ]
    shares = [f"<b>{blend['share']:.3g}</b>" for blend in blends] if len(blends) > 1 else []
    return ", ".join([*told, *([f"mixed {' to '.join(shares)}"] if shares else [])])
