"""LoRAs by their headers: what they say, what is wrong with them, and which wishes may use them."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from studio.errors import Refused
from studio.formats.safetensors import LONGEST
from studio.models.lora_shapes import MOST_RANK
from studio.models.loras import (
    MOST_BYTES,
    Lora,
    find_loras,
    lora_files,
    scan,
)
from studio.request import read_request
from studio.settings import ROOT, Settings
from studio.wishes.catalog import Catalog, Settled
from studio.wishes.presets import load_catalog

SDXL = ("stable-diffusion-xl-v1-base",)
LAYER = {
    "unet.to_q.lora_A.weight": {"dtype": "F32", "shape": [4, 1], "data_offsets": [0, 16]},
    "unet.to_q.lora_B.weight": {"dtype": "F32", "shape": [1, 4], "data_offsets": [16, 32]},
}


def write(
    file: Path, says: dict[str, str] | None = None, tensors: object = LAYER, data: int = 32
) -> Path:
    header = {"__metadata__": says or {}} | tensors if isinstance(tensors, dict) else tensors
    text = json.dumps(header).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(data))
    return file


def only(folder: Path) -> Lora:
    (lora,) = scan([folder])
    return lora


def test_a_header_tells_title_words_base_and_rank(tmp_path: Path) -> None:
    says = {
        "modelspec.title": "Cross stitch",
        "modelspec.architecture": "darkroom-starter-v1/lora",
        "modelspec.trigger_phrase": "cross stitch, stitched ,cross stitch",
        "darkroom.base": "starter",
    }
    file = write(tmp_path / "cross-stitch.safetensors", says)
    assert only(tmp_path) == Lora(
        "cross-stitch",
        file,
        file.stat().st_size,
        "Cross stitch",
        ("cross stitch", "stitched"),
        ("starter",),
        4,
        1,
        ("unet",),
    )


@pytest.mark.parametrize(
    ("says", "bases"),
    [
        ({"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, SDXL),
        ({"ss_base_model_version": "sdxl_base_v1-0"}, SDXL),
        ({"ss_base_model_version": "sd_v1"}, ("stable-diffusion-v1",)),
        ({"modelspec.architecture": "flux-1-schnell/lora"}, ("flux-1",)),
        ({"ss_base_model_version": "black-forest-labs/FLUX.1-dev"}, ("flux-1",)),
        ({"ss_base_model_version": "flux2_klein_9b"}, ("flux-2-klein-9b",)),
        ({"ss_base_model_version": "qwen_image"}, ("qwen-image",)),
        ({"ss_base_model_version": "zimage_turbo"}, ("z-image",)),
        ({"ss_base_model_version": "wan2"}, ("wan2",)),
        ({}, ()),
    ],
)
def test_a_base_is_known_by_either_word(
    tmp_path: Path, says: dict[str, str], bases: tuple[str, ...]
) -> None:
    write(tmp_path / "a.safetensors", says)
    assert only(tmp_path).bases == bases
    assert only(tmp_path).title == "a" and only(tmp_path).triggers == ()


def test_what_is_too_large_or_of_too_high_a_rank_is_refused_with_its_number(
    tmp_path: Path,
) -> None:
    size = 4 * (MOST_RANK + 1)
    high = {
        f"x.lora_{half}.weight": {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        for half, shape, at in (("A", [MOST_RANK + 1, 1], 0), ("B", [1, MOST_RANK + 1], size))
    }
    write(tmp_path / "high.safetensors", tensors=high, data=2 * size)
    with (tmp_path / "large.safetensors").open("wb") as file:
        file.truncate(MOST_BYTES + 2**29)  # sparse
    assert [lora.refused for lora in scan([tmp_path])] == [
        "its rank is 513; the most is 512",
        "it has 4.5 GiB; the most for a LoRA is 4",
    ]
    half = replace(KNOWN[0], size=3 * 2**30)
    with pytest.raises(Refused, match="up to 'neon' they are 6.0 GiB together; the most is 4"):
        settled(known=(half, replace(half, name="neon")), ink=1.0, neon=1.0)
    assert settled(known=(half, replace(half, name="neon")), ink=1.0, neon=0.0).request.loras


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is no safetensors file"),
        (b"\x7f" * 20, "it is no safetensors file"),
        (b"\x02\0\0\0\0\0\0\0[]", "it is no safetensors file"),
        (b"\x04\0\0\0\0\0\0\0\xff\xfe{}", "it is no safetensors file"),
        (b"\xff\0\0\0\0\0\0\0{}", "it is cut short; fetch it again"),
        ({"x": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]}}, "it holds no LoRA layers"),
        ({"lora": 7}, "it is no safetensors file"),
        (
            {"lora": {"dtype": "F32", "shape": [10], "data_offsets": [0, 40]}},
            "it is cut short by 8 bytes; fetch it again",
        ),
        ({"__metadata__": 7}, "it is no safetensors file"),
    ],
)
def test_a_spoilt_file_is_listed_with_the_reason(tmp_path: Path, content: object, why: str) -> None:
    file = tmp_path / "ink.safetensors"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        write(file, tensors=content)
    assert only(tmp_path).refused == why


def test_pickles_long_names_long_headers_and_deep_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_bytes(b"x")
    write(tmp_path / f"{'b' * 65}.safetensors")
    with (tmp_path / "c.safetensors").open("wb") as file:
        file.write((LONGEST + 1).to_bytes(8, "little"))
        file.truncate(LONGEST + 100)  # sparse: nothing of it is read
    deep = b"[" * 100_000
    (tmp_path / "d.safetensors").write_bytes(len(deep).to_bytes(8, "little") + deep)
    (tmp_path / "e.txt").write_text("no LoRA at all")
    (tmp_path / "f.safetensors").mkdir()
    (tmp_path / "g.safetensors").symlink_to(tmp_path / "nowhere")
    refused = [lora.refused for lora in scan([tmp_path, tmp_path / "missing"])]
    assert refused == [
        "it is pickled, which could run code; convert it to safetensors",
        "its name is longer than 64 characters; rename it",
        f"its header of {LONGEST + 1} bytes is longer than {LONGEST}",
        "it is no safetensors file",
    ]


def test_a_changed_file_is_read_again_and_the_first_folder_wins(tmp_path: Path) -> None:
    own = write(tmp_path / "own" / "ink.safetensors", {"modelspec.title": "One"})
    write(tmp_path / "built-in" / "ink.safetensors", {"modelspec.title": "Two"})
    folders = (tmp_path / "own", tmp_path / "built-in")
    first, double = scan(folders)
    assert (first.title, first.refused) == ("One", "")
    assert double.title == "Two" and double.refused == f"another of this name lies at {own}"
    write(own, {"modelspec.title": "New"})
    os.utime(own, ns=(1, 1))
    assert scan(folders)[0].title == "New"
    own.write_bytes(b"")
    assert [lora.title for lora in scan(folders) if not lora.refused] == ["Two"]


def test_files_are_found_again_when_the_job_is_painted(tmp_path: Path) -> None:
    file = write(tmp_path / "loras" / "ink.safetensors")
    assert lora_files(["ink"], tmp_path) == {"ink": str(file)}
    file.unlink()
    with pytest.raises(Refused, match="^loras: 'ink' is no longer on this machine"):
        lora_files(["ink"], tmp_path)
    assert all(lora.file.is_relative_to(ROOT / "starter") for lora in find_loras(tmp_path))


KNOWN = (
    Lora("ink", Path("ink"), 1, "Ink", ("ink style", "inked"), ("painter",)),
    Lora("neon", Path("neon"), 1, "Neon", (), ("painter",)),
    Lora("plain", Path("plain"), 1, "Plain"),
    Lora("flux", Path("flux"), 1, "Flux", (), ("flux-1",)),
    Lora("cut", Path("cut"), 1, "Cut", refused="it is cut short; fetch it again"),
)


def settled(prompt: str = "a boat", known: tuple[Lora, ...] = KNOWN, **fields: object) -> Settled:
    card = load_catalog(Settings().presets).cards["test-pattern"]
    update: dict[str, object] = {"title": "Painter", "lora_base": "painter"}
    words = fields.pop("words", ())
    if fields.pop("deaf", False):
        update["can"] = frozenset({"guidance"})
    card = card.model_copy(update=update | {"words": words})
    uses = [
        {"name": name, **(use if isinstance(use, dict) else {"weight": use})}
        for name, use in fields.items()
    ]
    return Catalog([card], []).settle(read_request({"prompt": prompt, "loras": uses}), known)


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("a boat, Ink (style:1.2)", None),
        ("an INKED boat", None),
        ("an ink boat in style", "listens to 'ink style' or 'inked'; the prompt does not say it."),
        ("inkeda", "listens to 'ink style' or 'inked'; the prompt does not say it."),
    ],
)
def test_a_trigger_that_is_not_said_is_named(prompt: str, sentence: str | None) -> None:
    warnings = settled(prompt, ink=1.0).warnings
    assert warnings == ((f"The LoRA 'ink' {sentence}",) if sentence else ())


def test_a_trigger_is_a_word_that_the_model_knows_then() -> None:
    words = ("a", "boat")
    assert settled("inked boat", words=words, ink=1.0).warnings == ()
    assert settled("inked boat", words=words).warnings == (
        "Painter does not know 'inked'; it paints the rest.",
    )


def test_a_weight_of_zero_is_kept_and_said() -> None:
    whole = settled(ink=0.0, neon=0.7)
    assert [(use.name, use.weight) for use in whole.request.loras] == [("ink", 0.0), ("neon", 0.7)]
    assert whole.warnings == ("The LoRA 'ink' has weight 0 and has no effect.",)
    assert settled(plain=1.0).warnings == ()


def test_parts_may_have_weights_of_their_own() -> None:
    reading = replace(KNOWN[1], name="reading", parts=("unet", "text_encoder"))
    own = {"weight": 0.0, "components": {"text_encoder": 0.5}}
    whole = settled(known=(reading,), reading=own)
    assert whole.warnings == () and whole.request.loras[0].components == {"text_encoder": 0.5}
    silent = settled(neon=own).warnings
    assert silent == ("The LoRA 'neon' changes no text encoder; its weight there has no effect.",)
    off = {"components": {"text_encoder": 0, "unet": 0}}
    assert settled(known=(reading,), reading=off).warnings == (
        "The LoRA 'reading' has weight 0 and has no effect.",
    )
    with pytest.raises(Refused, match="'vae' is not one of 'unet' or 'text_encoder'"):
        settled(neon={"components": {"vae": 1.0}})
    with pytest.raises(Refused, match=r"loras.0.components.unet: 11.0 is too large; the most is 1"):
        settled(neon={"components": {"unet": 11.0}})


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("inc", "there is no LoRA 'inc'. Did you mean 'ink'?"),
        ("zebra", "there is no LoRA 'zebra'. There are: ink, neon, plain, flux."),
        (
            "flux",
            "'flux' was made for FLUX.1; Painter takes those for painter. "
            "Pick 'ink' or 'neon' or 'plain', or take it off.",
        ),
        ("cut", "'cut' cannot be used: it is cut short; fetch it again."),
    ],
)
def test_what_cannot_be_worn_is_refused_before_anything_is_loaded(name: str, sentence: str) -> None:
    with pytest.raises(Refused) as refusal:
        settled(**{name: 1.0})
    assert str(refusal.value) == f"loras: {sentence}" and refusal.value.field == "loras"


def test_doubles_none_at_all_and_models_without_loras_are_refused() -> None:
    double = [{"name": "ink"}, {"name": "ink", "weight": 0.5}]
    card = load_catalog(Settings().presets).cards["test-pattern"]
    with pytest.raises(Refused, match="^loras: 'ink' is there twice; name it once, with one"):
        Catalog([card.model_copy(update={"lora_base": ""})], []).settle(
            read_request({"prompt": "x", "loras": double}), KNOWN
        )
    with pytest.raises(Refused, match="^loras: there is no LoRA 'ink'. There are: none.$"):
        settled(known=(), ink=1.0)
    with pytest.raises(Refused, match="^loras: Painter takes no LoRAs. Take them off.$"):
        settled(deaf=True, ink=1.0)


def test_a_tag_in_the_prompt_is_worn_and_leaves_the_words() -> None:
    whole = settled("an inked boat <lora:ink:0.8> <lora:neon>", neon=0.3)
    assert whole.request.prompt.strip() == "an inked boat"
    worn = {use.name: use.weight for use in whole.request.loras}
    assert worn == {"neon": 0.3, "ink": 0.8}  # the field wins over the tag, and that is said
    assert whole.warnings == (
        "<lora:neon:1> in the prompt does not count: 'neon' has weight 0.3 by the field loras.",
    )
    assert settled("inked <lora:ink:1> <lora:ink:0.5>").warnings == (
        "<lora:ink:1> in the prompt does not count: 'ink' has weight 0.5 by its last tag.",
    )
    assert settled("inked <lora:ink:0.5>", ink=0.5).warnings == ()
    (apart,) = settled("inked <lora:ink:0.8:0.5>").request.loras
    assert (apart.weight, apart.components) == (0.5, {"text_encoder": 0.8})
    again = Catalog([whole.card], []).settle(whole.request, KNOWN)
    assert again.request == whole.request
    with pytest.raises(Refused, match="^loras: there is no LoRA 'inc'"):
        settled("a boat <lora:inc:1>")
    with pytest.raises(Refused, match="^prompt: Painter takes no LoRAs"):
        settled("a boat <lora:ink:1>", deaf=True)
    with pytest.raises(Refused, match="^prompt: <lora:ink:99>"):
        settled("a boat <lora:ink:99>")


def test_only_wrong_ones_leave_nothing_to_pick() -> None:
    with pytest.raises(Refused, match="takes those for painter. Take it off.$"):
        settled(known=(KNOWN[3],), flux=1.0)
