"""What is written is read back equal: a thousand generated files, with all that a wish may hold."""

import random
import string

import pytest

from studio.formats.bulk.read import read
from studio.formats.bulk.sheet import wish_of
from studio.formats.bulk.write import Picture, write_markdown
from studio.request import ImageRequest

ODD = ["{seed: 7}", "- ", "# ", "---", "|", "```", "<!-- x -->", '"', "\\", "[x] ", "(size: tall)"]
ODD += ["{a|b}", "__name__", "${v}", ", seed: 9", "none", "--prompt", "{2::a|b}", "* * *", "not: x"]
ODD += ["\u2028", "\x85", "\t", "\n", "\r", "\r\n", "é", "漢", "🦊", "=", "1. ", "~~~", "> ", "'"]
WORDS = ["a", "red", "car", "on", "the", "moon", "(soft:1.2)", "light,", "snow.", "AND", "BREAK"]
GROUPS = [(), (), ("Autumn",), ("Autumn", "Walk"), ("Winter: light",), ("None",), ("Autumn", "Sea")]


def text(dice: random.Random, most: int) -> str:
    """Mostly words; at times whatever could be read as something else."""
    pieces = [dice.choice(WORDS) for _ in range(dice.randrange(1, 6))]
    if dice.random() < 0.4:
        pieces.insert(dice.randrange(len(pieces) + 1), dice.choice(ODD))
    if dice.random() < 0.1:
        pieces.append("".join(dice.choice(string.printable) for _ in range(8)))
    return dice.choice([" ", " ", ""]).join(pieces)[:most] or "x"


def number(dice: random.Random, least: float, most: float) -> float:
    return dice.choice(
        [least, most, round(dice.uniform(least, most), 2), dice.uniform(least, most)]
    )


def wish(dice: random.Random, groups: tuple[str, ...]) -> ImageRequest:
    digits = string.hexdigits[:16]
    a_hash = "".join(dice.choice(digits) for _ in range(64))
    may: dict[str, object] = {
        "negative_prompt": text(dice, 900),
        "model": dice.choice(["starter", "flux", text(dice, 128)]),
        "seed": dice.randrange(2**32),
        "steps": dice.randrange(1, 201),
        "guidance": number(dice, 0, 30),
        "sampler": dice.choice(["euler a", "DPM++ 2M", text(dice, 32)]),
        "count": dice.randrange(1, 11),
        "loras": [
            {
                "name": dice.choice(["ink", text(dice, 64)]),
                "weight": number(dice, -10, 10),
                "components": dice.choice([{}, {"unet": 1.0}, {"text_encoder": 0.5, "unet": -1}]),
            }
            for _ in range(dice.randrange(4))
        ],
        "look": dice.choice(["film", text(dice, 64)]),
        "references": [{"id": a_hash, "weight": number(dice, 0, 2)}],
        "start_image": a_hash,
        "mask": a_hash,
        "strength": number(dice, 0, 1),
        "fit": dice.choice(["cover", "contain"]),
        "upscale": dice.choice([1, 2, 4]),
        "upscaler": text(dice, 128),
        "enlarged_from": a_hash[:32],
        "output_format": dice.choice(["png", "jpeg", "webp"]),
        "quality": dice.choice(["draft", "balanced", "best"]),
        "precision": dice.choice(["auto", "fp8", "full"]),
        "filename": text(dice, 120),
        "priority": dice.choice(["urgent", "high", "low"]),
        "upload_urls": ["https://example.org/a?b=[1],2"],
    }
    fields = {name: value for name, value in may.items() if dice.random() < 0.3}
    own = [text(dice, 64) for _ in range(dice.randrange(4))]
    fields["tags"] = tuple(dict.fromkeys((*groups, *own)))
    if dice.random() < 0.5:
        fields |= {"width": dice.randrange(1, 4097), "height": dice.randrange(1, 4097)}
    elif dice.random() < 0.5:
        fields["aspect"] = dice.choice(["portrait", "8x8", "none", text(dice, 32)])
    fields["prompt"] = text(dice, 2000)
    if not str(fields["prompt"]).strip():
        fields["prompt"] = "x"
    return ImageRequest.model_validate(fields)


def pictures(dice: random.Random) -> list[Picture]:
    same = wish(dice, ())
    found: list[Picture] = []
    for _ in range(dice.randrange(1, 9)):
        groups = dice.choice(GROUPS)
        if dice.random() < 0.5:  # alike in all but the prompt, as pictures of one hour are
            tags = tuple(dict.fromkeys((*groups, *same.tags)))
            alike = same.model_dump() | {"prompt": f"x {text(dice, 99)}", "tags": tags}
            found.append(Picture(groups, ImageRequest.model_validate(alike)))
        else:
            found.append(Picture(groups, wish(dice, groups)))
    return found


@pytest.mark.parametrize("part", range(4))
def test_a_thousand_files_come_back_equal(part: int) -> None:
    for seed in range(part * 250, part * 250 + 250):
        asked = pictures(random.Random(seed))
        file = write_markdown(asked)
        sheet = read(file, "history.md")
        assert not [one for one in sheet.remarks if one.stops], (seed, file, sheet.remarks)
        found = [(entry.groups, wish_of(entry)) for entry in sheet.entries]
        assert found == [(groups, (one, [])) for groups, one, *_ in asked], (seed, file)
        assert write_markdown(asked) == file


@pytest.mark.parametrize("above", ["x--->- [ ] a dog", "a ---> b", "--", "->-->--->x", "a - b"])
def test_what_stands_above_a_picture_stays_a_comment(above: str) -> None:
    wish = ImageRequest(prompt="a boat")
    sheet = read(write_markdown([Picture((), wish, above)]))
    assert [entry.fields["prompt"] for entry in sheet.entries] == ["a boat"]
    assert not sheet.remarks
