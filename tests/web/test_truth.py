"""The line under the prompt and what is behind it, as HTML: nothing from outside is code there."""

from typing import Any

from studio.web.truth import line, refused, render


def text(words: str, *encoders: dict[str, Any], **more: Any) -> dict[str, Any]:
    told = {"text": words, "heard": bool(words), "why": "", "blends": [], "as_text": []}
    return told | {"inert": [], "encoders": list(encoders)} | more


def read(encoder: str, *sent: str, **more: Any) -> dict[str, Any]:
    one = {"encoder": encoder, "gist": False, "sent": list(sent), "tokens": 9, "limit": 77}
    return one | {"cut": 0, "lost": "", "lost_at": 0} | more


def told(prompt: dict[str, Any], **more: Any) -> dict[str, Any]:
    whole = {"model": "m", "title": "M", "prompt": prompt, "negative_prompt": text("")}
    whole |= {"loras": [], "look": None, "unknown_words": None, "counted": True, "choices": None}
    return whole | {"why": "", "warnings": []} | more


def test_the_line_says_tokens_weights_loras_and_what_is_unknown() -> None:
    parts = [{"text": "a ", "weight": 1.0}, {"text": "red", "weight": 1.3}]
    blend = {"share": 1.0, "chunks": [parts]}
    lora = {"name": "ink", "title": "Ink", "weight": 0.8, "trigger_words": ["inked"], "said": []}
    lora["kind"] = "LoRA"
    prompt = text("a (red:1.3)", read("CLIP-L", "a red", "b"), blends=[blend])
    assert line(told(prompt, loras=[lora], unknown_words=["x", "y", "z", "zz"])) == [
        "9 tokens in 2 chunks",
        "1 weighted",
        "LoRA ink 0.8",
        "not known: x, y, z and 1 more",
        "nothing cut",
    ]
    gist = read("CLIP-G", "a  red b", gist=True)
    html = render(told(prompt | {"encoders": [*prompt["encoders"], gist]}, loras=[lora]))
    assert html.count("<dt>prompt</dt>") == 1 and "<dt>gist</dt>" not in html
    html = render(told(prompt | {"encoders": [*prompt["encoders"], gist | {"sent": ["a"]}]}))
    assert "<dt>gist</dt><dd>a<small>CLIP-G" in html
    html = render(told(prompt, loras=[lora]))
    assert "red <b>1.3</b>" in html and "a red<br>b" in html
    assert "ink 0.8, listens to inked, which the prompt does not say" in html
    html = render(told(prompt, loras=[lora | {"kind": "LoKr with DoRA"}]))
    assert "ink 0.8 (LoKr with DoRA), listens to inked" in html


def test_the_line_says_how_many_texts_there_are_and_behind_it_the_first() -> None:
    one = {"prompt": "a <red> car", "negative_prompt": "", "seed": 7, "nth": 0}
    other = one | {"prompt": "a blue car", "negative_prompt": "<fog>", "nth": 1}
    choices = {"expand": "all", "words": "9 texts", "texts": 9, "pictures": 9, "example": False}
    choices |= {"shown": [one, other], "wildcards": ["a/b"]}
    whole = told(text("a <red> car", read("T5", "a <red> car")), choices=choices)
    assert line(whole)[0] == "9 texts, each is painted"
    html = render(whole)
    assert "<dd>a &lt;red&gt; car<br>a blue car <s>&lt;fog&gt;</s><small>and 7 more, from " in html
    assert "__a/b__" in html
    drawn = choices | {"expand": "random", "example": True, "shown": [one]}
    assert "<dd>a &lt;red&gt; car<small>for example, from" in render(whole | {"choices": drawn})
    assert line(whole | {"choices": drawn})[0] == "9 texts, each picture draws one"


def test_what_is_cut_is_struck_through_where_it_stands() -> None:
    one = read("T5", "a boat, a boat!", tokens=80, cut=3, lost=" a boat", lost_at=7)
    html = render(told(text("a boat, a boat!", one), warnings=["The prompt has 80 tokens."]))
    assert "a boat,<s> a boat</s>!" in html
    assert "3 not read" in html and "T5: 80 tokens; it reads 77" in html
    assert '<summary class="warn">' in html and "<li>The prompt has 80 tokens.</li>" in html


def test_a_model_that_is_not_here_and_a_prompt_that_is_not_heard_are_said() -> None:
    against = text("<snow>", heard=False, why="M paints without one.")
    prompt = text("x", read("T5", "x", tokens=None), inert=["This model reads no weights: (x)."])
    whole = told(prompt, negative_prompt=against, counted=False, why="Fetch it.")
    assert line(whole) == [
        "tokens not counted",
        "This model reads no weights: (x)",
        "what should not be in it is not heard",
    ]
    html = render(whole)
    assert "<s>&lt;snow&gt;</s><small>M paints without one.</small>" in html
    assert "<dd>Fetch it.</dd>" in html


def test_nothing_from_outside_is_code() -> None:
    evil = "<img src=x onerror=alert(1)>"
    part = {"text": evil, "weight": 2.0}
    lora = {"name": evil, "title": evil, "weight": 1.0, "trigger_words": [evil], "said": []}
    lora["kind"] = evil
    one = read("T5", f"a{evil}", cut=1, lost=evil, lost_at=1)
    prompt = text(evil, one, blends=[{"share": 1.0, "chunks": [[part]]}], inert=[evil])
    whole = told(prompt, negative_prompt=prompt, loras=[lora], warnings=[evil], why=evil)
    whole |= {"look": {"name": evil, "title": evil}, "unknown_words": [evil]}
    for html in (render(whole), refused(evil)):
        assert "<img" not in html and "&lt;img" in html
