"""Every example of docs/prompts.md is true."""

import re
import tomllib

import pytest

from studio.formats.expand import Template
from studio.settings import ROOT, Settings
from studio.wishes.looks import Look
from studio.wishes.wildcards import wildcards

DOCUMENT = (ROOT / "docs" / "prompts.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```\n(.*?)\n→ (.*?)\n```", DOCUMENT, re.DOTALL)


@pytest.mark.parametrize(("text", "becomes"), BLOCKS, ids=[text for text, _ in BLOCKS])
def test_an_example_becomes_what_stands_under_it(text: str, becomes: str) -> None:
    template = Template(text, wildcards(Settings()))
    assert list(template.all()) == becomes.split("\n→ ")


def test_there_are_examples_and_the_look_is_one() -> None:
    assert len(BLOCKS) >= 9
    (look,) = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)
    assert Look.model_validate({"name": "night-ink", **tomllib.loads(look)}).steps == 30
