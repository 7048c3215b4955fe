"""The pure parts of the web: names from outside, what controls send, HTML, paces and file names."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from studio.errors import Refused
from studio.jobs.fake import FakeSlot
from studio.jobs.seats import SlotView
from studio.jobs.studio import Studio
from studio.jobs.view import Live, View
from studio.models import upscalers
from studio.models.lora_hub import Source
from studio.settings import Settings
from studio.store.naming import stem_of
from studio.store.wins import Basis, Share, Standing
from studio.web import frame
from studio.web.asking import ask
from studio.web.choosing import Choosing
from studio.web.controls import (
    NAMES,
    bounds,
    dressed,
    model_choices,
    usual,
    values_of,
    wish_of,
)
from studio.web.desk import Desk
from studio.web.gallery import winning
from studio.web.library import draw
from studio.web.openai import _take_size
from studio.web.pace import Pace, share
from studio.web.rest import Rest
from studio.web.telling import tell_loras, tell_model, tell_models
from studio.web.wardrobe import ROWS, Wardrobe, choices_for, empty_rows
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog
from tests.conftest import OpenStudio
from tests.models.test_checkpoints import SDXL, write
from tests.models.test_loras import write as write_lora
from tests.networks import compact

WISH = {"prompt": "a red car", "width": 64, "height": 64, "steps": 2}


@pytest.fixture
def studio(open_studio: OpenStudio) -> Iterator[Studio]:
    yield open_studio()


def finished(studio: Studio, **fields: object) -> View:
    job = ask(studio.line, [WISH | fields])[0]
    return studio.line.wait(job.id, 60)


def test_outside_names_mean_our_fields_and_refusals_use_theirs(studio: Studio) -> None:
    fields = {"prompt": "x", "num_inference_steps": 3, "guidance_scale": 2, "seed": -1}
    job = ask(studio.line, [fields | {"model_mode": "test-pattern", "num_images": 2}])[0]
    request = job.request
    assert (request["steps"], request["guidance"], request["count"]) == (3, 2.0, 2)
    assert request["seed"] >= 0
    with pytest.raises(Refused, match="^num_inference_steps: 101 is too many"):
        ask(studio.line, [{"prompt": "x", "num_inference_steps": 101}])


def test_the_bounds_of_controls_are_those_of_the_fields() -> None:
    assert bounds("steps") == (1, 200)
    assert bounds("count") == (1, 10)
    assert bounds("guidance") == (0, 30)


def test_a_model_without_an_ability_is_not_sent_its_field(studio: Studio) -> None:
    card = studio.catalog.find("sdxl-lightning")
    values = usual(card) | {"prompt": "x", "negative_prompt": "y", "model": card.name}
    values |= {
        "seed": 7,
        "fresh": True,
        "look": [],
        "count": 1,
        "expand": "random",
        "output_format": "png",
        "upscale": 1,
        "sources": None,
    }
    wish = wish_of(card, values)
    assert not {"negative_prompt", "guidance", "quality", "seed", "look"} & set(wish)
    assert wish_of(card, values | {"fresh": False})["seed"] == 7


def test_the_controls_can_be_filled_from_a_job_again(studio: Studio) -> None:
    job = finished(studio, width=256, height=256, look="ink", seed=9, steps=3).job
    card = studio.catalog.find(job.model)
    values, missing = values_of(job, card, 9)
    assert missing == [] and values["prompt"] == "a red car" and values["look"] == ["ink"]
    again = ask(studio.line, [wish_of(card, values)])[0]
    assert again.request == job.request


def test_what_a_control_cannot_show_of_a_job_is_said(studio: Studio) -> None:
    job = finished(studio, width=256, height=256, precision="fp32", count=2).job
    values, missing = values_of(job, studio.catalog.find(job.model), None)
    assert "fp32" in missing[0] and values["count"] == 2


def test_the_job_of_an_address_is_shown_beside_those_of_the_page(studio: Studio) -> None:
    mine, other = (finished(studio, seed=seed).job.id for seed in (1, 2))

    def opened(address: str) -> object:
        asked = SimpleNamespace(query_params={"job": address})
        return Desk(studio).attach({"jobs": [mine], "picture": "", "model": ""}, asked)[0]  # type: ignore[arg-type]

    (picture,) = studio.store.pictures(job=other)
    shown = {"jobs": [mine, other], "picture": picture.id, "model": "test-pattern"}
    assert opened(other) == shown
    assert opened("nonsense") == opened(mine)


def test_a_slot_of_a_cluster_that_rests_is_ready(open_studio: OpenStudio) -> None:
    studio = open_studio(FakeSlot(leased=True))
    answer = asyncio.run(Rest(studio).ready(Request({"type": "http"})))
    assert answer.status_code == 200


def test_a_size_that_no_shape_has_is_said(studio: Studio) -> None:
    job = finished(studio).job
    _, missing = values_of(job, studio.catalog.default, None)
    assert "64 × 64" in missing[0]


def test_words_from_outside_are_escaped(studio: Studio) -> None:
    evil = '"><script>alert(1)</script><img src=x onerror="alert(1)">'
    view = finished(studio, prompt=evil, negative_prompt=evil, filename=evil)
    state = {"jobs": [view.job.id], "picture": view.pictures[0].id}
    desk = Desk(studio)
    shown = "".join(str(part) for part in [*desk.show(state), desk._held(state)])
    assert "<script" not in shown and "<img src=x" not in shown and "&lt;script" in shown
    assert "<b>" not in frame.note("<b>")


def test_a_state_from_a_strange_browser_does_no_harm(studio: Studio) -> None:
    desk = Desk(studio)
    for state in (None, 7, "x", [], {}, {"jobs": "x"}, {"jobs": [None, {}], "picture": 3}):
        assert "try one" in str(desk.show(state)[1])
        assert desk._held(state) == ""


def test_the_empty_page_offers_the_examples_of_the_chosen_model(studio: Studio) -> None:
    desk = Desk(studio)
    taught = studio.catalog.cards["sdxl"].model_copy(update={"examples": ("a <red> boat",)})
    studio.catalog._by_name["sdxl"] = studio.catalog._by_alias["sdxl"] = taught
    assert frame.EXAMPLES[0] in str(desk.show(None)[1])
    state, live, *_ = desk.choose_model(None, "sdxl", None)
    assert state == {"jobs": [], "picture": "", "model": "sdxl"}
    for shown in (live, desk.show(state)[1]):
        assert 'data-try="a &lt;red&gt; boat"' in str(shown)
        assert frame.EXAMPLES[0] not in str(shown)
    assert frame.EXAMPLES[0] in str(desk.show(state | {"model": "gone"})[1])
    painted = {"jobs": [finished(studio).job.id]}
    assert "a red car" in str(desk.show(painted)[1])
    assert "value" not in desk.choose_model(painted, "sdxl", None)[1]


def test_the_status_says_slots_painting_and_waiting() -> None:
    idle = SlotView("a", "cpu", "idle", None, None, (), 0, None, "no GPU", "")
    busy = replace(idle, name="b", state="painting")
    assert "2 slots · 1 painting · 3 waiting" in frame.status([idle, busy], 3)
    assert "1 slot · ready" in frame.status([idle], 0)
    assert 'class="warn"' in frame.status([replace(idle, state="starting")], 0)


def test_time_left_is_said_only_from_the_steps_of_the_job_itself(studio: Studio) -> None:
    clock = iter([0.0, 1.0, 2.0, 3.0])
    pace = Pace(clock=lambda: next(clock))
    view = finished(studio, count=2)

    def at(index: int, step: int) -> View:
        return replace(view, live=Live(index=index, step=step, steps=10))

    assert pace.left(at(0, 0)) is None
    assert pace.left(at(0, 1)) is None
    assert pace.left(at(0, 2)) == pytest.approx(18)
    assert pace.left(at(1, 1)) == pytest.approx(9 * 2 / 10)
    assert share(at(1, 0)) == 0.5


def test_a_picture_keeps_the_name_it_was_given(studio: Studio) -> None:
    view = finished(studio, filename="cars/red: one.PNG", seed=7, count=2)
    assert [stem_of(studio.store, one) for one in view.pictures] == [
        "cars_red__one",
        "cars_red__one-1",
    ]
    (plain,) = finished(studio, seed=7).pictures
    assert stem_of(studio.store, plain) == "test-pattern-7"


@pytest.fixture
def upscaler(studio: Studio) -> Path:
    """Only looked for here; the fake slots enlarge without it."""
    return compact(studio.settings.model_folder / "upscalers" / "starter-x2.safetensors")


def test_an_enlarged_picture_is_asked_for_kept_shown_and_reused(
    studio: Studio, upscaler: Path
) -> None:
    job = finished(studio, width=256, height=256, upscale=2, seed=9).job
    (picture,) = studio.store.pictures(job=job.id)
    assert (picture.width, picture.height) == (512, 512)
    page = Desk(studio)
    shown = str(page.show({"jobs": [job.id]})[1])
    assert "512 × 512" in shown and "<dt>enlarged</dt><dd>2×</dd>" in shown
    card = studio.catalog.find(job.model)
    values, missing = values_of(job, card, 9)
    assert missing == [] and values["upscale"] == 2 and values["aspect"] == "square"
    again = ask(studio.line, [wish_of(card, values | {"count": 1})])[0]
    assert again.request == job.request
    assert "256 × 256 → 512 × 512" in str(page._fill(job, 9)[2])
    choosing = Choosing(studio)
    assert "→" not in choosing.choose_shape(card.name, "square", 1)
    assert "320 × 192 → 1280 × 768" in choosing.choose_shape(card.name, "landscape", 4)


def test_without_the_upscaler_a_wish_to_enlarge_is_refused_in_a_sentence(
    studio: Studio, upscaler: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(upscalers, "ROOT", tmp_path)
    card, folder, known = studio.catalog.default, studio.settings.model_folder, studio.catalog
    offered = [dict(zip(NAMES, dressed(card, {}, known, folder), strict=True))["upscale"]]
    upscaler.unlink()
    offered += [dict(zip(NAMES, dressed(card, {}, known, folder), strict=True))["upscale"]]
    assert [update["visible"] for update in offered] == [True, False]
    with pytest.raises(Refused) as refusal:
        ask(studio.line, [WISH | {"upscale": 2}])
    assert str(refusal.value) == (
        "upscale: no upscaler is on this machine. Fetch one with: python app.py models pull "
        "realesrgan-x4plus, or ask for upscale 1."
    )
    assert refusal.value.field == "upscale"
    assert finished(studio, upscale=1).job.state == "done"


def test_a_size_of_openais_is_that_of_the_finished_picture(studio: Studio) -> None:
    card = studio.catalog.default.model_copy(update={"upscale": 2})
    catalog = Catalog([card], [])

    def size(**fields: object) -> tuple[object, ...]:
        _take_size(fields, catalog)
        return tuple(fields.get(name) for name in ("width", "height", "upscale"))

    assert size(size="512x256") == (256, 128, 2)
    assert size(size="512x256", upscale=4) == (128, 64, 4)
    assert size(size="512x256", upscale=1) == (512, 256, 1)
    assert size(size="104x72") == (104, 72, 1)  # half of it is no size of the model's
    assert size(size="auto") == (None, None, None)
    with pytest.raises(Refused, match="^size: 104x72 is not 4 times a size that Test pattern"):
        size(size="104x72", upscale=4)


@pytest.fixture
def ink(studio: Studio) -> Path:
    """A LoRA by its header; the fake slots paint without it."""
    folder = studio.settings.model_folder / "loras"
    folder.mkdir(parents=True)
    says = {"modelspec.trigger_phrase": "inked", "darkroom.base": "test-pattern"}
    write_lora(folder / "neon.safetensors", {"darkroom.base": "test-pattern"})
    return write_lora(folder / "ink.safetensors", says)


def test_loras_are_offered_asked_for_shown_and_reused(studio: Studio, ink: Path) -> None:
    card = studio.catalog.find("test-pattern")
    assert [name for _, name in choices_for(card, studio.settings.model_folder)] == ["ink", "neon"]
    assert not choices_for(studio.catalog.find("sdxl"), studio.settings.model_folder)
    told = next(one for one in tell_model(studio, card)["loras"] if one["name"] == "ink")
    assert told["trigger_words"] == ["inked"] and told["rank"] == 4
    assert told["kind"] == "LoRA"
    uses = [{"name": "ink", "weight": 0.75}, {"name": "neon", "weight": -3.0}]
    job = finished(studio, width=256, height=256, seed=9, loras=uses).job
    assert job.warnings == ("The LoRA 'ink' listens to 'inked'; the prompt does not say it.",)
    (slot, _), *_ = studio.pool.fleet.singles
    assert isinstance(slot, FakeSlot) and slot.asked[-1].loras["ink"] == str(ink)
    assert studio.pool.views()[0].loras == ("ink", "neon")
    shown = str(Desk(studio).show({"jobs": [job.id]})[1])
    assert "<dt>LoRAs</dt><dd>ink 0.75, neon -3</dd>" in shown
    values, missing = values_of(job, card, 9)
    assert missing == [] and (values["lora_2"], values["lora_weight_2"]) == ("neon", -3.0)
    again = ask(studio.line, [wish_of(card, values | {"count": 1})])[0]
    assert again.request == job.request


def test_weights_of_parts_have_no_control_and_are_said(studio: Studio, ink: Path) -> None:
    use = {"name": "ink", "weight": 0.8, "components": {"text_encoder": 0.5}}
    job = finished(studio, width=256, height=256, loras=[use]).job
    _, missing = values_of(job, studio.catalog.default, None)
    assert missing == ["The LoRA ink had weights of its parts: 0.5 in text_encoder."]
    assert "ink 0.8, 0.5 in text_encoder" in str(Desk(studio).show({"jobs": [job.id]})[1])


def test_a_row_appears_when_the_one_before_is_taken(studio: Studio, ink: Path) -> None:
    def rows(**chosen: str) -> dict[str, Any]:
        values = empty_rows() | chosen | {"listening": ""}
        found = Wardrobe(studio).choose("test-pattern", *(values[row] for row in ROWS))
        return dict(zip(ROWS, found, strict=True))

    none, one = rows(), rows(lora_1="ink")
    assert none["lora_1"]["visible"] and not none["lora_weight_1"]["visible"]
    assert not none["lora_2"]["visible"] and not none["listening"]["visible"]
    assert one["lora_weight_1"]["visible"] and one["lora_2"]["visible"]
    assert not one["lora_3"]["visible"]
    assert '<button type="button" data-say="inked">' in one["listening"]["value"]
    gone = rows(lora_1="lost")
    assert ("lost (not here)", "lost") in gone["lora_1"]["choices"]
    assert Wardrobe(studio).say(SimpleNamespace(words="inked"), "a boat, ") == "a boat, inked"
    assert Wardrobe(studio).say(SimpleNamespace(words="inked"), "an Inked boat") == "an Inked boat"
    assert Wardrobe(studio).say(SimpleNamespace(words="inked"), "") == "inked"


def test_choosing_another_model_takes_the_loras_off(studio: Studio, ink: Path) -> None:
    other = {"model": "sdxl"}
    shown = dict(zip(NAMES, Desk(studio).choose_model(other, "test-pattern", {})[6:], strict=True))
    assert shown["lora_1"]["value"] == "" and shown["lora_1"]["visible"]
    shown = dict(zip(NAMES, Desk(studio).choose_model(None, "sdxl", {})[6:], strict=True))
    assert not shown["lora_1"]["visible"] and not shown["lora_weight_1"]["visible"]


def test_all_loras_are_told_with_what_they_fit_and_what_is_wrong(studio: Studio, ink: Path) -> None:
    (ink.parent / "cut.safetensors").write_bytes(b"")
    source = Source("a/b", "0" * 40, "ink.safetensors", "")
    ink.with_suffix(".json").write_text(json.dumps(asdict(source)))
    told = {one["name"]: one for one in tell_loras(studio)}
    whole = hashlib.sha256(ink.read_bytes()).hexdigest()
    assert told["ink"]["models"] == ["test-pattern"] and told["ink"]["problem"] is None
    assert (told["ink"]["hashes"]["sha256"], told["ink"]["hashes"]["autov2"]) == (
        whole,
        whole[:10],
    )
    assert told["ink"]["hashes"]["autov3"] == hashlib.sha256(bytes(32)).hexdigest()[:12]
    assert told["ink"]["source"] == asdict(source) and told["neon"]["source"] is None
    assert told["cut"]["problem"] == "it is no safetensors file" and not told["cut"]["models"]
    assert told["blueprint"]["base"] == "Darkroom Starter"


def test_models_that_can_paint_now_come_first(tmp_path: Path) -> None:
    choices = model_choices(list(load_catalog(Settings().presets).cards.values()), tmp_path)
    assert [name for _, name in choices[:2]] == ["starter", "test-pattern"]
    others = [title for title, _ in choices[2:]]
    assert all(title.endswith("(not on this machine)") for title in others)
    assert others == sorted(others, key=str.lower)


def test_what_is_brought_is_offered_on_the_open_page_or_named_with_the_reason(
    studio: Studio,
) -> None:
    page, models = Desk(studio), studio.settings.model_folder
    models.mkdir(parents=True, exist_ok=True)
    assert "mine" not in str(page.choose_model(None, "sdxl", None))
    write(models / "mine.safetensors", SDXL)
    (models / "<b>.safetensors").write_bytes(b"<html>")
    opened: Any = SimpleNamespace(query_params={})
    assert "('mine (not on this machine)', 'mine')" in str(page.attach(None, opened))
    assert "models pull mine" in str(page.choose_model(None, "mine", None))
    drawn = draw(studio)
    assert "checkpoint of SDXL 1.0 in one file" in drawn
    assert "&lt;b&gt;.safetensors" in drawn and "it is a web page, not weights" in drawn
    assert [told["name"] for told in tell_models(studio)][-1:] == ["mine"]


def test_what_wins_tells_how_many_pictures_say_nothing_of_a_setting() -> None:
    few = [
        Standing(value, Share(1, 20, 0.0, 0.3), Share(0, 0, 0.0, 1.0), 0, None)
        for value in ("2", "20")
    ]
    told = {kind: few if kind in ("steps", "size") else [] for kind in winning.TITLES}
    html = winning.draw(told, Basis(52, 3, 0, {"steps": 40, "size": 52}), str)
    steps, sizes = html.split("<h3>")[1:]
    assert "of 40 of 52 pictures, the others do not say" in steps
    assert "do not say" not in sizes
