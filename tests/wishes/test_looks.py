"""Looks: what they put on a wish, what counts more, and styles of A1111 taken in and given out."""

from pathlib import Path

import pytest

from studio.errors import CannotStart, NotFound, Refused, Unavailable
from studio.formats.styles import MOST_STYLES, read_styles
from studio.request import ImageRequest, read_request
from studio.settings import Settings
from studio.wishes.catalog import Catalog
from studio.wishes.look_folder import give_styles, own, read_look, remove_look, survey, take_styles
from studio.wishes.looks import Look, dress, put
from studio.wishes.presets import load_catalog

INK = Look(
    name="ink",
    title="Ink",
    prompt="{prompt}, ink",
    negative="colour",
    loras=({"name": "pen", "weight": 0.7}, {"name": "wash"}),  # type: ignore[arg-type]
    steps=30,
    guidance=4.0,
    width=512,
    height=768,
)
BOLD = Look(name="bold", title="Bold", prompt="bold {prompt}", negative="no {prompt}", steps=12)
LOOKS = {"ink": INK, "bold": BOLD}


def wish(**fields: object) -> ImageRequest:
    return read_request({"prompt": "a car"} | fields)


def no_words(model: str) -> tuple[str, ...]:
    return ()


def test_a_look_puts_on_words_loras_and_settings_and_says_so() -> None:
    found = dress(wish(look="ink", negative_prompt="rain"), LOOKS, no_words)
    assert (found.wish.prompt, found.wish.negative_prompt) == ("a car, ink", "rain, colour")
    assert [(use.name, use.weight) for use in found.wish.loras] == [("pen", 0.7), ("wash", 1.0)]
    assert (found.wish.steps, found.wish.guidance, found.wish.width) == (30, 4.0, 512)
    assert found.wish.look is None
    assert found.said == ("The look Ink sets width 512, height 768, steps 30 and guidance 4.0.",)


def test_what_the_wish_says_counts_more_and_that_is_said() -> None:
    asked = wish(look="ink", quality="draft", guidance=0.0, aspect="tall", loras=[{"name": "pen"}])
    found = dress(asked, LOOKS, no_words)
    assert (found.wish.steps, found.wish.guidance, found.wish.aspect) == (None, 0.0, "tall")
    assert [(use.name, use.weight) for use in found.wish.loras] == [("pen", 1.0), ("wash", 1.0)]
    assert found.said == (
        "The look Ink says width 512 and height 768; the wish aspect tall.",
        "The look Ink says steps 30; the wish quality draft.",
        "The look Ink says guidance 4.0; the wish guidance 0.0.",
    )
    assert not dress(wish(look="bold", steps=12), LOOKS, no_words).said
    assert not dress(wish(look="bold", steps=12, quality="draft"), LOOKS, no_words).said


def test_how_far_from_a_picture_counts_only_where_there_is_one() -> None:
    far = INK.model_copy(update={"strength": 0.3})
    assert dress(wish(look="ink"), {"ink": far}, no_words).wish.strength is None
    begun = wish(look="ink", start_image="0" * 64)
    assert dress(begun, {"ink": far}, no_words).wish.strength == 0.3


def test_several_looks_are_worn_in_their_order_and_the_later_counts_more() -> None:
    found = dress(wish(look="ink, bold", negative_prompt="rain"), LOOKS, no_words)
    assert found.wish.prompt == "bold a car, ink"
    assert found.wish.negative_prompt == "no rain, colour"
    assert (found.wish.steps, found.wish.guidance) == (12, 4.0)


def test_nothing_is_put_beside_nothing() -> None:
    assert put("{prompt}, ink", "") == "ink"
    assert put("ink, {prompt}", " ") == "ink"
    assert put("an ink {prompt} drawing", "car") == "an ink car drawing"
    assert dress(wish(look="ink"), LOOKS, no_words).wish.negative_prompt == "colour"


def test_a_model_that_knows_few_words_is_told_the_look_in_those() -> None:
    simple = INK.model_copy(update={"simple": "{prompt}, pencil"})
    known = dress(wish(look="ink"), {"ink": simple}, lambda model: ("a", "car", "pencil"))
    assert known.wish.prompt == "a car, pencil"
    assert dress(wish(look="ink"), {"ink": simple}, no_words).wish.prompt == "a car, ink"
    taught = dress(wish(look="ink"), {"ink": simple}, lambda model: ("a", "car", "ink"))
    assert taught.wish.prompt == "a car, ink"


def test_a_look_that_is_not_there_is_refused_with_what_may_be_meant() -> None:
    with pytest.raises(Refused, match="look: there is no look 'inc'. Did you mean 'ink'?"):
        dress(wish(look="inc"), LOOKS, no_words)
    with pytest.raises(Refused, match="look: 9 are too many; the most is 8."):
        dress(wish(look=",".join(["ink"] * 9)), LOOKS, no_words)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(Settings().presets, "test-pattern")


def test_every_look_that_came_along_can_be_worn(catalog: Catalog) -> None:
    assert {"film", "ink", "photo", "clean", "anime", "cinematic"} <= set(catalog.looks)
    for name in catalog.looks:
        settled = catalog.settle(wish(look=name, model="sdxl"))
        assert "a car" in settled.request.prompt and not settled.warnings, name


def test_a_look_that_a_model_was_not_taught_is_said_once_and_own_words_by_name(
    catalog: Catalog,
) -> None:
    said = catalog.settle(wish(prompt="a zeppelin", look="film", model="starter")).warnings
    assert said == (
        "Starter was not taught the look Film; little of it will show.",
        "Starter does not know 'zeppelin'; it paints the rest.",
    )
    assert catalog.settle(wish(look="watercolour", model="starter")).warnings == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('prompt = "no place"', "prompt must say where the words go, with {prompt}"),
        ('prompt = "{prompt}"\ncolour = "red"', "colour is not known here"),
        ("steps = 0", "steps: 0 is too small; the least is 1"),
        ("width = 512", "width and height go together"),
        ("[", "bad.toml"),
    ],
)
def test_a_look_that_is_wrong_is_named_with_its_key_and_holds_up_nobody(
    tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "bad.toml").write_text(text)
    (tmp_path / "good.toml").write_text('title = "Good"')
    with pytest.raises(CannotStart, match=sentence):
        read_look(tmp_path / "bad.toml")
    assert list(own(tmp_path)) == ["good"]
    told = survey(tmp_path)["bad"]
    assert isinstance(told, str) and sentence in told or sentence == "bad.toml"


def test_own_looks_stand_before_those_that_came_along_and_are_seen_at_once(
    settings: Settings,
) -> None:
    catalog = load_catalog(settings.presets, "test-pattern", None, settings.look_folder)
    assert catalog.looks["film"].title == "Film"
    settings.look_folder.mkdir(parents=True)
    (settings.look_folder / "film.toml").write_text('title = "Mine"\nprompt = "my {prompt}"')
    assert catalog.settle(wish(look="film")).request.prompt == "my a car"
    remove_look("film", settings.look_folder)
    assert catalog.looks["film"].title == "Film"
    with pytest.raises(NotFound, match="no look 'film' of your own"):
        remove_look("film", settings.look_folder)
    with pytest.raises(NotFound):
        remove_look("../looks/film", settings.look_folder)


STYLES = (
    "\ufeffname,prompt,negative_prompt,notes\r\n"
    "# Section,,,\r\n"
    'Soft Light,"{prompt}, soft, warm",hard,mine\r\n'
    "Plain,,,\r\n"
    '"Comma, too","oil, on canvas","a ""quoted"" frame"\r\n'
    "\r\n"
    "水彩,watercolour,\r\n"
).encode()


def test_styles_of_a1111_are_taken_in_with_their_habits(tmp_path: Path) -> None:
    taken = take_styles(STYLES, tmp_path)
    looks = own(tmp_path)
    assert taken.new[:3] == ("soft-light", "plain", "comma-too")
    assert taken.new[3].startswith("look-")  # in other letters than names have
    assert taken.said == ("The column 'notes' is not read.",)
    assert looks["soft-light"].prompt == "{prompt}, soft, warm"
    assert (looks["plain"].prompt, looks["plain"].negative) == ("{prompt}", "")
    assert looks["comma-too"].prompt == "{prompt}, oil, on canvas"
    assert looks["comma-too"].negative == 'a "quoted" frame'
    assert {look.title for look in looks.values()} == {"Soft Light", "Plain", "Comma, too", "水彩"}


def test_what_is_given_out_comes_back_equal(tmp_path: Path) -> None:
    take_styles(STYLES, tmp_path / "one")
    first = own(tmp_path / "one")
    data, said = give_styles(first.values())
    assert not said
    assert take_styles(data, tmp_path / "one").same == tuple(first)
    take_styles(data, tmp_path / "two")
    assert own(tmp_path / "two") == first


def test_what_a_style_cannot_hold_is_said_when_it_is_given_out() -> None:
    data, said = give_styles([INK])
    styles, _ = read_styles(data)
    assert styles[0].prompt == "ink <lora:pen:0.7> <lora:wash:1>"
    assert said == ["Ink: a style holds no width, height, steps, guidance."]


def test_where_one_of_the_styles_cannot_be_written_none_is_and_that_is_said(
    tmp_path: Path,
) -> None:
    (tmp_path / "pen.new").mkdir()
    with pytest.raises(Unavailable, match=f"^looks: {tmp_path}/pen.new: Is a directory"):
        take_styles(b"name,text\nInk,ink\nPen,pen\n", tmp_path)
    assert not survey(tmp_path) and [file.name for file in tmp_path.iterdir()] == ["pen.new"]
    (tmp_path / "pot.toml").mkdir()
    with pytest.raises(Unavailable, match=f"^looks: {tmp_path}/pot.toml: "):
        remove_look("pot", tmp_path)
    with pytest.raises(Unavailable, match="Not a directory"):
        take_styles(b"name,text\nInk,ink\n", Path(__file__) / "looks")


def test_another_look_of_that_name_is_replaced_only_when_that_is_said(tmp_path: Path) -> None:
    take_styles(b"name,text\nInk,ink\nPen,pen\n", tmp_path)
    assert own(tmp_path)["ink"].prompt == "{prompt}, ink"
    other = b"name,prompt,negative_prompt\nInk,wash,\nNew,new,\n"
    with pytest.raises(Refused, match="looks: there are others by these names: ink. Remove them"):
        take_styles(other, tmp_path)
    assert "new" not in own(tmp_path)  # all or none
    taken = take_styles(other, tmp_path, replace=True)
    assert (taken.new, taken.changed) == (("new",), ("ink",))
    assert own(tmp_path)["ink"].prompt == "{prompt}, wash"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"Ink,ink\n", "line 1: the first line must name the columns"),
        (b"", "line 1: the first line must name the columns"),
        (b"name,prompt\n,ink\n", "line 2: a style without a name"),
        (b'name,prompt\nInk,"open\n', "this is no CSV"),
        (b"name,prompt\nInk,\xff\n", "line 2: the file is not UTF-8"),
        (b"name,prompt\nInk,a\x00b\n", "line 2: the file holds a NUL"),
        (b"name,prompt\nInk," + b"x" * 9000, "... is too long; the most is 8192 characters"),
        (b"name,prompt\n" + b"x" * 2**23, "the most is 4194304"),
    ],
)
def test_a_file_that_holds_no_styles_is_refused_with_its_line(
    tmp_path: Path, data: bytes, sentence: str
) -> None:
    with pytest.raises(Refused) as caught:
        take_styles(data, tmp_path)
    assert sentence in str(caught.value)
    assert not own(tmp_path)


@pytest.mark.slow  # thousands of files
def test_as_many_looks_as_a_file_may_bring_are_read_once(tmp_path: Path) -> None:
    for number in range(MOST_STYLES):
        (tmp_path / f"{number}.toml").write_text('prompt = "{prompt}"\n')
    first, again = survey(tmp_path), survey(tmp_path)
    assert all(again[name] is look for name, look in first.items())
