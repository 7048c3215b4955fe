"""Nothing holds up or breaks what others look at: no crowd, and no file with a strange name."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from studio.web.library import draw
from tests.web.conftest import House


def test_many_may_ask_for_the_truth_at_once_and_hold_up_nobody(house: House) -> None:
    house.studio.reader.close()  # so that the first has to wait for it

    def ask() -> int:
        return house.http.post("/api/truth", json={"prompt": "a", "model": "starter"}).status_code

    with ThreadPoolExecutor(40) as crowd:  # more than the server has threads
        began = time.monotonic()
        asked = [crowd.submit(ask) for _ in range(40)]
        time.sleep(0.1)
        assert house.http.get("/api/queue/status").status_code == 200
        looked = time.monotonic() - began
        assert {one.result() for one in asked} == {200}
    assert looked < (time.monotonic() - began) / 2


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no file has such a name")
def test_files_whose_names_are_no_text_are_said_and_break_no_list(house: House) -> None:
    """As they come out of an archive that was packed on another system."""
    models = house.studio.settings.model_folder
    files = [models / "loras/\udcff.safetensors", models / "upscalers/\udcff.pth"]
    files.append(models / "\udcff.safetensors")
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    told = house.http.get("/api/loras").json()["loras"]
    assert {one["name"]: one["problem"] for one in told}["?"] == "its name is no text; rename it"
    told = house.http.get("/api/upscalers").json()["upscalers"]
    assert {one["name"]: one["refused"] for one in told}["?"] == "its name is no text; rename it"
    assert house.http.get("/api/models").status_code == 200
    assert "?.safetensors" in draw(house.studio)
    assert house.http.post("/api/generate", json={"prompt": "a", "model": "test-pattern"}).json()[
        "success"
    ]
    for file in files:
        file.unlink()
