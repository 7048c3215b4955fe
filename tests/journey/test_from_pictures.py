"""Painting from pictures with the real server: the starter, the gate, a kill in between."""

import base64
import io
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from openai import OpenAI
from PIL import Image, ImageDraw

from bench.server import ROOT
from tests.journey.conftest import Server
from tests.journey.test_promises import finished, picture_of, submit

BOAT = {"prompt": "a red boat on the ocean", "model": "starter", "steps": 4, "seed": 7}


def seen(data: bytes) -> np.ndarray:  # type: ignore[type-arg]
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int16)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.slow
def test_a_part_is_painted_anew_over_a_kill_and_the_rest_stays_to_the_bit(server: Server) -> None:
    first = finished(server, submit(server, **BOAT))
    boat = seen(picture_of(server, first))
    mask = Image.new("L", (512, 512), 0)
    ImageDraw.Draw(mask).ellipse((120, 140, 400, 440), fill=255)
    told = httpx.post(
        f"{server.url}/api/inputs", content=png(mask), headers={"content-type": "image/png"}
    ).json()
    castle = BOAT | {"prompt": "a teal castle on the ocean"}
    wish = castle | {"start_image": first["pictures"][0]["id"], "mask": told["id"]}  # type: ignore[index]
    blocker = submit(server, **BOAT | {"steps": 20})
    waiting = submit(server, **wish)
    server.kill()
    server.start()
    finished(server, blocker)
    done = finished(server, waiting)
    assert done["state"] == "done", done
    picture, free = seen(picture_of(server, done)), np.asarray(mask) > 0
    assert picture.shape == boat.shape == (512, 512, 3)  # enlarged, and put back as finely
    assert np.array_equal(picture[~free], boat[~free])
    assert np.abs(picture[free] - boat[free]).mean() > 15


@pytest.mark.slow
def test_the_command_line_paints_from_files(tmp_path: Path) -> None:
    start, mask, out = (tmp_path / name for name in ("start.jpg", "mask.png", "out.png"))
    drawing = Image.new("RGB", (128, 128), (120, 180, 240))
    drawing.save(start, quality=95)
    half = Image.new("L", (128, 128), 0)
    half.paste(255, (0, 0, 64, 128))
    half.save(mask)
    command = [sys.executable, "app.py", "paint", "a red boat", "--data", tmp_path / "data"]
    command += ["--model", "starter", "--steps", "2", "--upscale", "1", "--out", out]
    command += ["--start-image", start, "--mask", mask, "--width", "192", "--height", "192"]
    subprocess.run(command, cwd=ROOT, check=True)
    picture = seen(out.read_bytes())
    assert picture.shape == (192, 192, 3)
    assert np.abs(picture[:, 100:] - seen(start.read_bytes())[0, 0]).max() < 9
    assert np.abs(picture[:, :90] - seen(start.read_bytes())[0, 0]).mean() > 9
    spoilt = subprocess.run(
        [*command[:3], "x", "--start-image", ROOT / "README.md"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert spoilt.returncode == 1
    assert spoilt.stderr == "darkroom: start_image: it is no PNG, JPEG or WebP.\n"


def test_the_official_client_edits_with_the_starter(server: Server) -> None:
    drawing = Image.new("RGB", (256, 256), (120, 180, 240))
    ImageDraw.Draw(drawing).rectangle((0, 150, 256, 256), fill=(60, 140, 60))
    ImageDraw.Draw(drawing).ellipse((90, 70, 170, 150), fill=(200, 40, 40))
    client = OpenAI(base_url=f"{server.url}/v1", api_key="none")
    answer = client.images.edit(
        image=("drawing.png", png(drawing), "image/png"),
        prompt="a red tree in a meadow",
        model="starter",
        extra_body={"seed": 7, "num_inference_steps": 6, "strength": 0.5},
    )
    assert answer.data and answer.size == "512x512"
    small = Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json or ""))).resize(
        (256, 256)
    )
    apart = np.abs(np.asarray(small, np.int16) - np.asarray(drawing, np.int16)).mean()
    assert 1 < apart < 30  # it is still that drawing, and no longer the same
