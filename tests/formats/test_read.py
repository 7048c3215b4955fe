"""What pictures of other tools are read as, field by field; and that no file raises."""

import json
import random
import zlib

import pytest

from studio.errors import Refused
from studio.formats.carried import carried
from studio.formats.metadata import recipe_text
from studio.formats.read import own_recipe, read_picture
from tests.formats.fixtures.a1111 import TEXT
from tests.formats.fixtures.every import FIXTURES
from tests.formats.fixtures.form import Fixture
from tests.formats.fixtures.others import OURS
from tests.formats.mutation import mutated
from tests.formats.pictures import SIZE, graph, jpeg, node, plain, png, raw_png, webp
from tests.pace import within

SECOND = 1.0


@pytest.mark.parametrize("name", FIXTURES)
def test_a_picture_of_another_tool_is_read_field_by_field(name: str) -> None:
    told: Fixture = FIXTURES[name]
    found = read_picture(told.data)
    assert (found.tool, found.version) == (told.tool, told.version)
    assert dict(found.fields) == dict(told.fields)
    assert found.model == told.model
    assert found.loras == told.loras
    assert (found.sampler, found.schedule) == (told.sampler, told.schedule)
    assert _held(found.beyond, told.beyond)
    assert tuple(one.where for one in found.unread) == told.unread
    assert _held(found.translated, told.translated)


def test_there_are_sixty_of_them_over_nine_tools() -> None:
    assert len(FIXTURES) >= 60
    assert len({one.tool for one in FIXTURES.values()}) >= 9


def test_what_could_not_be_understood_is_shown_with_its_text() -> None:
    found = read_picture(FIXTURES["A1111: a value in quotes"].data)
    assert found.unread == (("Moon phase", "full, and: bright"),)


def test_ours_comes_with_its_recipe() -> None:
    found = read_picture(png({"darkroom": recipe_text(OURS), "parameters": TEXT}))
    assert found.own == OURS and found.tool == "Darkroom"


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        *(("request", []), ("fingerprint", None), ("seed", "7"), ("wish", [1])),
        *(("model_hash", 7), ("upscaler_hash", {}), ("loras", [{}]), ("loras", {"a": 1})),
    ],
)
def test_a_part_of_ours_that_was_changed_is_named(part: str, changed: object) -> None:
    marks = OURS["fingerprint"]
    assert isinstance(marks, dict)
    recipe = {**OURS, part: changed}
    if part in ("model_hash", "upscaler_hash", "loras"):
        recipe = {**OURS, "fingerprint": {**marks, part: changed}}
    found = read_picture(png({"darkroom": recipe_text(recipe)}))
    assert found.tool == "" and f"its {part} was changed" in found.unread[0].text


def test_a_recipe_of_ours_that_is_nested_without_end_is_refused() -> None:
    deep: object = 1
    for _ in range(400):
        deep = [deep]
    found = read_picture(png({"darkroom": recipe_text({**OURS, "more": deep})}))
    assert found.tool == "" and "nested too deeply" in found.unread[0].text


@pytest.mark.parametrize("name", ["NaN", "-Infinity"])
def test_a_number_that_json_does_not_have_is_read_by_its_name(name: str) -> None:
    """Recipes of before have one wherever DPMSolver++ painted."""
    text = recipe_text({**OURS, "more": [0.5]}).replace("0.5", name)
    found = read_picture(png({"darkroom": text}))
    assert found.tool == "Darkroom" and found.own == {**OURS, "more": [name]}


def test_a_recipe_of_ours_with_a_number_that_no_answer_can_repeat_is_refused() -> None:
    text = recipe_text({**OURS, "more": [0.5]}).replace("0.5", "1e999")
    found = read_picture(png({"darkroom": text}))
    assert found.tool == "" and "it holds a number that is too large" in found.unread[0].text


def test_a_damaged_recipe_of_ours_is_said_and_the_other_text_is_read() -> None:
    found = read_picture(png({"darkroom": '{"version": 1, "requ', "parameters": TEXT}))
    assert found.tool == "A1111"
    assert found.unread[0].where == "darkroom" and "not JSON" in found.unread[0].text


def test_the_size_of_the_file_is_taken_where_none_is_told() -> None:
    for data in (png({}), jpeg(), webp(), plain("WEBP", lossless=True)):
        assert carried(data).size == SIZE


def test_a_text_that_nobody_knows_is_shown() -> None:
    found = read_picture(png({"Software": "Scanner", "parameters": "just words"}))
    assert found.tool == ""
    assert set(found.unread) == {("Software", "Scanner"), ("parameters", "just words")}
    assert read_picture(plain("PNG")).unread == ()


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"\xff\xd8"]
)
def test_what_is_no_picture_is_said(data: bytes) -> None:
    found = read_picture(data)
    assert found.tool == "" and not found.fields
    with pytest.raises(Refused, match="no whole PNG, JPEG or WebP"):
        own_recipe(data)


def test_a_chunk_that_was_changed_is_not_believed() -> None:
    data = png({"parameters": TEXT})
    found = read_picture(data.replace(b"red boat", b"red goat"))
    assert found.tool == ""
    assert found.unread[0] == ("parameters", "it is damaged; its check sum is another")


def test_half_of_a_surrogate_pair_becomes_a_question_mark() -> None:
    nodes = graph(n6=node("CLIPTextEncode", text="a \ud83d boat", clip=["4", 1]))
    found = read_picture(png({"prompt": json.dumps(nodes)}))
    assert found.fields["prompt"] == "a ? boat"


def test_texts_that_burst_are_not_unpacked() -> None:
    bomb = raw_png((b"zTXt", b"parameters\0\0" + zlib.compress(b"a" * 64 * 2**20)))
    for _ in within(SECOND):
        found = read_picture(bomb)
    assert "more than 4 MB" in found.unread[0].text


ROW = "Steps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 512x512"


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 100_000,
        "{" + '"1":{"class_type":"KSampler","inputs":{}},' * 60_000 + '"x":1}',
        "(" * 4_000_000,
        "a, b: " * 600_000,
        'Steps: 1, A: "' * 200_000,
        "Steps: 20, Sampler: a, " + "x: {" * 400_000,
        "\nNegative prompt: " * 200_000 + "\nSteps: 1, Seed: 1, Size: 1x1",
        "<lora:" * 600_000,
        "word+" * 700_000,
        '"' + "-s 1 " * 800_000,
        "--ar " * 800_000,
        '{"sui_image_params":{"prompt":"' + "<a:b>" * 700_000 + '"}}',
        " <lora:a>" * 400_000 + f"x\n{ROW}",
        f'{ROW}, X: "' + '\\"' * 1_000_000,
        f"a\n{ROW}, Version: Fooocus v2, Lora hashes: " + " " * 200_000 + "x",
        f"a\n{ROW}" + "\nTemplate: a" * 300_000,
        " " * 2_000_000 + "x --ar 3:2",
    ],
    ids=str.__len__,
)
@pytest.mark.parametrize(
    "place", ["parameters", "prompt", "invokeai_metadata", "Dream", "Description"]
)
def test_hostile_texts_take_less_than_a_second(text: str, place: str) -> None:
    data = raw_png((b"tEXt", place.encode() + b"\0" + text[: 4 * 2**20 - 100].encode()))
    for _ in within(SECOND):
        read_picture(data)


def test_graphs_that_run_in_circles_or_double_end() -> None:
    double = {
        f"n{100 + n}": node(
            "ConditioningCombine",
            conditioning_1=[str(101 + n), 0],
            conditioning_2=[str(101 + n), 0],
        )
        for n in range(60)
    }
    texts = {
        f"n{200 + n}": node(
            "StringConcatenate", string_a=[str(201 + n), 0], string_b=[str(201 + n), 0]
        )
        for n in range(60)
    }
    circle = {
        "n3": {
            **graph()["3"],
            "inputs": {
                **graph()["3"]["inputs"],
                "latent_image": ["3", 0],
                "model": ["300", 0],
                "positive": ["100", 0],
            },
        },
        "n300": node("LoraLoader", lora_name="x", model=["300", 0]),
        "n7": node("CLIPTextEncode", text=["200", 0], clip=["4", 1]),
        "n160": node("CLIPTextEncode", text="a" * 30_000, clip=["300", 0]),
        "n260": node("PrimitiveString", value="b" * 30_000),
    }
    for _ in within(SECOND):
        found = read_picture(png({"prompt": json.dumps(graph(**double, **texts, **circle))}))
    assert found.tool == "ComfyUI" and found.fields["steps"] == 20


def test_mutated_files_never_raise_and_never_take_long() -> None:
    chance = random.Random(7)
    files = [one.data for one in FIXTURES.values()]
    for _ in range(3000):
        data = mutated(chance.choice(files), chance)
        for _ in within(SECOND):
            read_picture(data)


def _held(said: tuple[str, ...], pieces: tuple[str, ...]) -> bool:
    """Each piece is in a sentence of its own, and there are no others."""
    left = list(said)
    for piece in pieces:
        one = next((sentence for sentence in left if piece in sentence), None)
        assert one is not None, f"{piece!r} is not said in {said}"
        left.remove(one)
    assert not left
    return True
