"""The truth about a wish, every word of it, with the tokenizers of a model and without."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import app
from studio.errors import Refused
from studio.jobs.reader import Reader
from studio.jobs.truth import tell_truth
from studio.models.loras import find_loras
from studio.request import read_request
from studio.settings import Settings
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog
from tests.engine.tiny.flux2 import CHAT
from tests.engine.tiny.parts import clip_tokenizer, qwen_tokenizer, t5_tokenizer
from tests.models.test_loras import write

Tell = Callable[..., dict[str, Any]]
UNHEARD = {"text": "", "heard": False, "why": "", "blends": [], "as_text": [], "inert": []}
UNHEARD |= {"encoders": []}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """With the tokenizers of some models, which is all that is needed of them."""
    settings = Settings(data=tmp_path_factory.mktemp("data"))
    folder = settings.model_folder
    qwen = qwen_tokenizer()
    qwen.chat_template = CHAT
    save(folder / "flux-schnell", tokenizer=clip_tokenizer(), tokenizer_2=t5_tokenizer())
    save(folder / "pixart-sigma", tokenizer=t5_tokenizer())
    save(folder / "flux2-klein-4b", tokenizer=qwen)
    save(folder / "sdxl", tokenizer=clip_tokenizer(), tokenizer_2=clip_tokenizer("!"))
    says = {"modelspec.title": "Ink", "modelspec.trigger_phrase": "ink drawing, inked"}
    write(folder / "loras" / "ink.safetensors", says)
    return settings


def save(folder: Path, **tokenizers: Any) -> None:
    index = {name: ["transformers", type(one).__name__] for name, one in tokenizers.items()}
    for name, one in tokenizers.items():
        one.save_pretrained(folder / name)
    (folder / "model_index.json").write_text(json.dumps(index))


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(Settings().presets)


@pytest.fixture(scope="module")
def tell(settings: Settings, catalog: Catalog) -> Iterator[Tell]:
    reader = Reader()

    def tell_one(prompt: str, model: str, **fields: Any) -> dict[str, Any]:
        wish = read_request({"prompt": prompt, "model": model} | fields)
        settled = catalog.settle(wish, find_loras(settings.model_folder))
        return tell_truth(settled, catalog.looks, settings, reader)

    yield tell_one
    reader.close()


def read(encoder: str, sent: str, tokens: int | None, limit: int, **more: Any) -> dict[str, Any]:
    one: dict[str, Any] = {"encoder": encoder, "gist": False, "sent": [sent], "tokens": tokens}
    return one | {"limit": limit, "cut": 0, "lost": "", "lost_at": 0} | more


def test_sdxl_weighs_mixes_wears_and_hears_what_is_against_it(tell: Tell) -> None:
    told = tell(
        r"a (red:1.3) cat \(big\) AND a dog:0.5 <lora:ink:0.8>",
        "sdxl",
        negative_prompt="[snow]",
        look="ink",
    )
    prompt = "a (red:1.3) cat \\(big\\) AND a dog:0.5 , ink drawing on paper, fine lines, "
    prompt += "cross-hatching"
    first, second = (
        "a red cat (big)",
        "a dog:0.5 , ink drawing on paper, fine lines, cross-hatching",
    )
    tokens = [12 + 2, 45 + 2]  # five pairs of letters are one: "in" here, and "er" at an end
    both = {"sent": [first, second], "tokens": sum(tokens)}
    gists = [
        read("CLIP-G", "a  red  cat (big) ", tokens[0], 77, gist=True),
        read("CLIP-G", f" {second}", tokens[1], 77, gist=True),
    ]
    assert told == {
        "model": "sdxl",
        "title": "SDXL 1.0",
        "prompt": {
            "text": prompt,
            "heard": True,
            "why": "",
            "blends": [
                {
                    "share": 1.0,
                    "chunks": [
                        [
                            {"text": "a ", "weight": 1.0},
                            {"text": "red", "weight": 1.3},
                            {"text": " cat (big) ", "weight": 1.0},
                        ]
                    ],
                },
                {"share": 1.0, "chunks": [[{"text": f" {second}", "weight": 1.0}]]},
            ],
            "as_text": [],
            "inert": [],
            "encoders": [read(name, "", 0, 77) | both for name in ("CLIP-L", "CLIP-G")] + gists,
        },
        "negative_prompt": {
            "text": "[snow], photograph, colour",
            "heard": True,
            "why": "",
            "blends": [
                {
                    "share": 1.0,
                    "chunks": [
                        [
                            {"text": "snow", "weight": 1 / 1.1},
                            {"text": ", photograph, colour", "weight": 1.0},
                        ]
                    ],
                }
            ],
            "as_text": [],
            "inert": [],
            "encoders": [
                read("CLIP-L", "snow , photograph, colour", 24, 77),
                read("CLIP-G", "snow , photograph, colour", 24, 77),
                read("CLIP-G", "snow , photograph, colour", 24, 77, gist=True),
            ],
        },
        "loras": [
            {
                "name": "ink",
                "title": "Ink",
                "kind": "LoRA",
                "weight": 0.8,
                "trigger_words": ["ink drawing", "inked"],
                "said": ["ink drawing"],
            }
        ],
        "look": {"name": "ink", "title": "Ink"},
        "choices": None,
        "unknown_words": None,
        "counted": True,
        "why": "",
        "warnings": [],
    }


def test_sdxl_reads_long_prompts_in_chunks(tell: Tell) -> None:
    told = tell("red boats, " * 30 + "BREAK " + "x" * 160, "sdxl")
    words, other, gist = told["prompt"]["encoders"]
    assert words["sent"] == other["sent"] and words["tokens"] == other["tokens"]
    assert "".join("".join(words["sent"]).split()) == "redboats," * 30 + "x" * 160
    assert len(words["sent"][-1]) == 10  # of the long word two windows were full
    assert words["tokens"] == 30 * 9 + 160 + 2 * len(words["sent"])
    assert (words["cut"], gist["cut"]) == (0, 30 * 9 - 75)
    assert gist["sent"][0].endswith(gist["lost"]) and told["warnings"] == []


def test_flux_is_sent_the_marks_as_they_stand(tell: Tell) -> None:
    told = tell(r"a (red:1.3) boat \(big\)", "flux-schnell", negative_prompt="snow")
    sent, inert = (
        "a (red:1.3) boat (big)",
        "This model reads no weights: (red:1.3) is sent as it stands.",
    )
    silent = "FLUX.1 schnell paints without one."
    assert told["prompt"] == {
        "text": r"a (red:1.3) boat \(big\)",
        "heard": True,
        "why": "",
        "blends": [],
        "as_text": ["(red:1.3)"],
        "inert": [inert],
        "encoders": [read("T5", sent, 20, 256), read("CLIP", sent, 21, 77, gist=True)],
    }
    assert told["negative_prompt"] == UNHEARD | {"text": "snow", "why": silent}
    assert told["warnings"] == [f"The negative prompt has no effect: {silent}", inert]
    assert told["counted"] and told["loras"] == []


def test_what_flux_and_pixart_cut_is_named_to_the_letter(tell: Tell) -> None:
    told = tell("boat, " * 60, "flux-schnell")
    by_t5, by_clip = told["prompt"]["encoders"]
    assert (by_t5["tokens"], by_t5["limit"], by_t5["cut"]) == (301, 256, 45)
    assert by_t5["lost"] == "boat, " * 9 and by_t5["lost_at"] == 6 * 51
    assert (by_clip["tokens"], by_clip["cut"]) == (302, 225)
    assert by_clip["lost"] == "boat, " * 45
    assert told["warnings"] == [
        "The prompt has 301 tokens; FLUX.1 schnell reads the first 256 and not "
        f"{('boat, ' * 9).strip()!r}."
    ]
    told = tell(" A Boat, " * 90, "pixart-sigma", negative_prompt="Snow")
    (by_t5,) = told["prompt"]["encoders"]
    assert by_t5["sent"] == [(" A Boat, " * 90).lower().strip()]
    assert (by_t5["tokens"], by_t5["limit"], by_t5["cut"]) == (541, 300, 241)
    assert by_t5["lost"] == by_t5["sent"][0][by_t5["lost_at"] :]
    assert len(by_t5["lost"].replace(" ", "")) == 241 - 1 + 1
    assert told["negative_prompt"]["encoders"] == [read("T5", "snow", 5, 300)]


def test_klein_is_sent_a_chat_and_the_frame_takes_room(tell: Tell) -> None:
    frame = CHAT.removesuffix("\n").partition("{{ messages[0].content }}")
    told = tell("a boat", "flux2-klein-4b")
    around = len("user\n\n" + "assistant\n" + "\n\n\n") + 5  # and its special words
    assert told["prompt"]["encoders"] == [
        read("Qwen3", frame[0] + "a boat" + frame[2], 6 + around, 512)
    ]
    (one,) = tell("b" * 600, "flux2-klein-4b")["prompt"]["encoders"]
    before = len("user\n") + 1
    assert one["lost"] == "b" * (600 - (512 - before))
    assert one["sent"][0][: one["lost_at"]] == frame[0] + "b" * (512 - before)
    (one,) = tell("b" * (512 - before), "flux2-klein-4b")["prompt"]["encoders"]
    assert (one["lost"], one["cut"]) == ("", around - before)  # the end of the frame alone


def test_without_its_files_all_but_the_tokens_is_told(tell: Tell) -> None:
    told = tell("a (Red:1.3) boat", "sana-1.5")
    assert not told["counted"]
    assert told["why"].startswith("Tokens are not counted: Sana 1.5")
    assert "models pull sana-1.5" in told["why"]
    (one,) = told["prompt"]["encoders"]
    assert one["tokens"] is None and one["limit"] == 300
    assert one["sent"][0].endswith("User Prompt: a (red:1.3) boat")
    assert told["prompt"]["as_text"] == ["(Red:1.3)"]
    assert "is made on this machine when it first paints" in tell("a boat", "test-pattern")["why"]


def test_words_the_starter_was_never_taught_are_listed(tell: Tell) -> None:
    told = tell("a red lighthouse, a zebra", "starter")
    assert told["unknown_words"] == ["zebra"]
    assert any("zebra" in warning for warning in told["warnings"])
    assert tell("a red lighthouse", "starter")["unknown_words"] == []


def test_what_would_be_refused_is_refused(tell: Tell) -> None:
    with pytest.raises(Refused, match="there is no LoRA 'inc'"):
        tell("a boat <lora:inc:1>", "sdxl")
    with pytest.raises(Refused, match="weighted parts are too many"):
        tell("(a:1.2) b " * 101, "sdxl")


def test_the_command_line_tells_it(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["truth", "boat", "--model", "flux-schnell", "--data", str(settings.data)]
    assert app.main(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["prompt"]["encoders"][0] == read("T5", "boat", 5, 256)


def test_the_command_line_tells_of_the_model_that_would_paint_it(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    card = settings.model_folder / "cards" / "mine.toml"
    card.parent.mkdir()
    card.write_text(f'base = "flux-schnell"\nrepo = "{settings.model_folder / "flux-schnell"}"\n')
    for asked, painted in (
        (["--model", "flux-dev", "--quality", "draft"], "flux-schnell"),
        (["--model", "mine"], "mine"),
    ):
        assert app.main(["truth", "boat", *asked, "--data", str(settings.data)]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["model"] == painted and told["counted"]
