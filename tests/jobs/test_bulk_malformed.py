"""Files with slips: each is told with its line, its column, a sentence and what may be meant."""

from collections.abc import Iterator

import pytest

from studio.jobs.bulk import check
from studio.jobs.feed import Feed
from studio.jobs.forecast import Forecaster
from studio.jobs.line import Line
from studio.jobs.slot import Inbox
from studio.settings import Settings
from studio.store.store import Store
from studio.wishes.presets import load_catalog

HASH = "a" * 64
# name of the file, its text, and of each problem: line, column, how its sentence and hint go.
MALFORMED = [
    ("a.md", "- x {sede: 7}", [(1, 6, "There is no setting 'sede'. Did you mean 'seed'?")]),
    ("a.md", "- x {stepz: 7}", [(1, 6, "There is no setting 'stepz'. Did you mean 'steps'?")]),
    ("a.md", "- x {steps: many}", [(1, 6, "steps: 'many' is not a whole number.")]),
    ("a.md", "- x {steps: 2.5}", [(1, 6, "steps: '2.5' is not a whole number.")]),
    ("a.md", "- x {steps: 300}", [(1, 6, "steps: 300 is too large; the most is 200.")]),
    ("a.md", "- x {steps: 150}", [(1, 6, "steps: 150 is too many for Test pattern")]),
    ("a.md", "- x {steps: 0}", [(1, 6, "steps: 0 is too small; the least is 1.")]),
    ("a.md", "- x {cfg: 7,5}", [(1, 6, "guidance: '7,5' is not a number. Write 7.5.")]),
    ("a.md", "- x {cfg: inf}", [(1, 6, "guidance: inf is not a finite number.")]),
    ("a.md", "- x {count: 11}", [(1, 6, "count: 11 is too large; the most is 10.")]),
    ("a.md", "- x {seed: 7, seed: 8}", [(1, 15, "seed is said already, in line 1. Say it once.")]),
    ("a.md", "- x {seed: 1}\n  - seed: 2", [(2, 5, "seed is said already, in line 1.")]),
    ("a.md", "- x {size: 64}", [(1, 6, "aspect: Test pattern (untrained) has no shape '64'.")]),
    ("a.md", "- x {size: 60x64}", [(1, 6, "width: 60 wide is not a multiple of 8.")]),
    ("a.md", "- x {width: 64}", [(1, 6, "Width and height go together")]),
    ("a.md", "- x {model: starte}", [(1, 6, "model: there is no model 'starte'. Did you mean")]),
    ("a.md", "- x {sampler: eulr}", [(1, 6, "sampler: Test pattern (untrained) has no 'eulr'.")]),
    ("a.md", "- x {look: filmy}", [(1, 6, "look: there is no look 'filmy'")]),
    ("a.md", "- x {lora: blueprnt}", [(1, 6, "loras: there is no LoRA 'blueprnt'. Did you mean")]),
    ("a.md", "- x {lora: ink:x}", [(1, 6, "loras: 'x' is not a number.")]),
    ("a.md", "- x {lora: ink:1 unet}", [(1, 6, "loras: 'unet' says no weight. Write unet=0.8.")]),
    ("a.md", "- x {expand: maybe}", [(1, 6, "expand: 'maybe' is not one of random, all")]),
    ("a.md", "- x {priority: soon}", [(1, 6, "priority: 'soon' is not one of 'urgent'")]),
    ("a.md", f"- x {{start: {HASH}}}", [(1, 6, "start_image: there is no picture aaaaaaaaaaaa")]),
    ("a.md", "- x {mask: 12}", [(1, 6, "mask: '12' does not look like")]),
    ("a.md", "- x {tags: [a, b}", [(1, 6, "The bracket that opens a list is not closed.")]),
    ("a.md", '- x {filename: "a" b}', [(1, 6, "filename: there is text behind the closing quote")]),
    ("a.md", '- x {filename: "a\\q"}', [(1, 6, "'\"a\\\\q\"' is not text as JSON writes it.")]),
    ("a.md", "- x {seed 7}", [(1, 5, "seed is a setting, but these are not read as settings.")]),
    ("a.md", "- x {seed: 7", [(1, 5, "seed is a setting, but these are not read")]),
    ("a.md", "- x (size: portrait)", [(1, 5, "size is a setting, but these are not read")]),
    ("a.md", "- x {seed: 7} y", [(1, 5, "seed is a setting, but these are not read")]),
    ("a.md", "- a __nowhere__ car", [(1, 5, "prompt: there is no wildcard 'nowhere'.")]),
    ("a.md", "```\nx\nthe __y__ z\n```", [(3, 5, "prompt: there is no wildcard 'y'.")]),
    ("a.md", "- a {red|blue car", [(1, 5, "prompt: ")]),
    ("a.md", "- x\n  - y", [(2, 5, "A list inside a list holds settings; 'y' is none.")]),
    ("a.md", "-", [(1, 2, "This picture has no prompt. Say what it should show.")]),
    ("a.md", f"# {'x' * 65}\n- x", [(1, 3, "This heading has 65 characters; a group has at most")]),
    ("a.md", "---\nseed: 7\n- x", [(1, 1, "The head of the file, which begins here, has no end.")]),
    (
        "a.md",
        "---\nsteps: 8 # few\nsteps: 9\n---\n- x",
        [(3, 1, "steps is said already, in line 2")],
    ),
    ("a.md", "---\nsize\n---\n- x", [(2, 1, "'size' is no setting. Write name: value.")]),
    ("a.md", "```\nx", [(1, 1, "The block that begins here has no end. Close it: ```")]),
    ("a.md", "- x <!-- y\n- z", [(1, 5, "The comment that begins here has no end.")]),
    ("a.md", "| a | b |\n- x", [(1, 1, "This row stands in no table.")]),
    ("a.md", "|prompt|sed|\n|-|-|\n|x|7|", [(1, 9, "There is no setting 'sed'. Did you mean")]),
    ("a.md", "|prompt|seed|\n|-|-|\n|x|y|", [(3, 4, "seed: 'y' is not a whole number.")]),
    ("a.md", "|prompt|seed|\n|-|-|\n|x|", [(3, 1, "This row has 1 cell; the head has 2.")]),
    (
        "a.md",
        "|seed|\n|-|\n|7|",
        [(1, 1, "No column is called prompt.")],
    ),
    ("a.md", "Only prose.", [(1, 1, "There is no picture in this file. Write one a line")]),
    (
        "a.md",
        "- x\x00y",
        [(1, 3, "prompt: the text"), (1, 4, "This is a character that no text has.")],
    ),
    ("a.csv", "prompt,seed\nx,y", [(2, 3, "seed: 'y' is not a whole number.")]),
    ("a.csv", "prompt,seed\nx,1,2", [(2, 1, "This row has 3 cells; the head has 2.")]),
    ("a.csv", 'prompt,seed\n"x,1', [(2, 1, "The quotes that open here are not closed.")]),
    ("a.csv", "prompt,prompt\nx,y", [(1, 8, "There are two columns 'prompt'. Leave one out.")]),
    (
        "a.jsonl",
        '{"prompt": "x"}\n{"prompt" "y"}',
        [(2, 11, "This line is not JSON: Expecting ':'")],
    ),
    ("a.jsonl", '{"prompt": "x", "seed": "y"}', [(1, 17, "seed: 'y' is not a whole number.")]),
    ("a.jsonl", '{"prompt": "x", "steps": 2.5}', [(1, 17, "steps: 2.5 is not a whole number.")]),
    ("a.jsonl", '["x"]', [(1, 1, "This line is no object.")]),
    ("a.txt", '--prompt "x" --stepz 3', [(1, 14, "There is no setting 'stepz'. Did you mean")]),
    ("a.txt", '--prompt "x', [(1, 1, "No closing quotation. Close the quotes.")]),
    ("a.txt", '--prompt "x" --steps', [(1, 14, "--steps has no value.")]),
    ("a.txt", "a\n\nb {seed: x}", [(3, 4, "seed: 'x' is not a whole number.")]),
    (
        "a.md",
        "- a {sed: 1}\n- b\n- c {steps: x, size: 60x64}\n# G {modl: y}\n- d {count: 99, cfg: -1}",
        [
            (1, 6, "There is no setting 'sed'."),
            (3, 6, "steps: 'x' is not"),
            (3, 16, "width: 60 wide is not"),
            (4, 6, "There is no setting 'modl'. Did you mean 'model'?"),
            (5, 6, "count: 99 is too large"),
            (5, 17, "guidance: -1.0 is too small"),
        ],
    ),
]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    settings = Settings(data=tmp_path_factory.mktemp("bulk"))
    catalog = load_catalog(settings.presets, "test-pattern", settings.model_folder)
    store, inbox = Store.open(settings), Inbox()
    yield Line(store, catalog, settings, Feed(), inbox, Forecaster(inbox))
    store.close()


@pytest.mark.parametrize(("name", "text", "problems"), MALFORMED)
def test_a_slip_is_told_where_it_is(
    name: str, text: str, problems: list[tuple[int, int, str]], line: Line
) -> None:
    told = check(line, text, name).problems
    assert [(one.line, one.column) for one in told] == [(row, at) for row, at, _ in problems]
    for one, (_, _, sentence) in zip(told, problems, strict=True):
        assert f"{one.sentence} {one.hint}".startswith(sentence)


def test_there_are_more_than_forty_of_them() -> None:
    assert len(MALFORMED) > 40


def test_what_is_not_read_is_said_and_stops_nothing(line: Line) -> None:
    text = "Prose of\ntwo lines.\n\n- a car, seed: 7\n- [x] done\n\n```python\nx\n```\n> quoted\n"
    plan = check(line, text, "a.md")
    assert not plan.problems and len(plan.pictures) == 1
    assert [(one.line, one.sentence.partition(":")[0]) for one in plan.remarks] == [
        (1, "Not read, so not painted"),
        (4, "seed"),
        (5, "Ticked off, so it is not painted."),
        (7, "Not read, so not painted"),
        (10, "Not read, so not painted"),
    ]
