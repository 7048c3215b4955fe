"""`/openapi.json` says what the addresses really take: each example of it is sent to them."""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.routing import Route

from studio.request import ImageRequest
from tests.web.conftest import House

Schema = dict[str, Any]
SMALL = {"model": "test-pattern", "width": 64, "height": 64, "steps": 2}
KEYWORDS = {
    "$ref", "additionalProperties", "anyOf", "const", "default", "description", "enum", "example",
    "exclusiveMaximum", "exclusiveMinimum", "format", "items", "maxItems", "maxLength", "maximum",
    "minItems", "minLength", "minimum", "pattern", "properties", "propertyNames", "required",
    "title", "type",
}  # fmt: skip
TYPES = {"string": str, "object": dict, "array": list, "boolean": bool, "null": type(None)}


@pytest.fixture(scope="module")
def document(house: House) -> Schema:
    answer = house.http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    told: Schema = answer.json()
    return told


def operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, item in document["paths"].items():
        for verb, told in item.items():
            yield path, verb, told


def schemas(told: object) -> Iterator[Schema]:
    """All below a place that holds one."""
    if isinstance(told, dict):
        if isinstance(told.get("schema"), dict):
            yield told["schema"]
        for value in told.values():
            yield from schemas(value)
    elif isinstance(told, list):
        for value in told:
            yield from schemas(value)


def sound(schema: object, document: Schema) -> None:
    """Strictly: only words that JSON Schema has, of their kind, and references that lead on."""
    assert isinstance(schema, dict) and schema.keys() <= KEYWORDS, schema
    if "$ref" in schema:
        assert (
            schema["$ref"].removeprefix("#/components/schemas/")
            in document["components"]["schemas"]
        )
    types = schema.get("type", [])
    named = types if isinstance(types, list) else [types]
    assert set(named) <= {*TYPES, "integer", "number"}
    for inner in schema.get("properties", {}).values():
        sound(inner, document)
    for inner in schema.get("anyOf", ()):
        sound(inner, document)
    for name in ("items", "propertyNames", "additionalProperties"):
        if not isinstance(schema.get(name, True), bool):
            sound(schema[name], document)
    assert set(schema.get("required", ())) <= schema.get("properties", {}).keys()


def fits(value: object, schema: Schema, document: Schema) -> bool:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return fits(value, document["components"]["schemas"][name], document)
    if "anyOf" in schema and not any(fits(value, one, document) for one in schema["anyOf"]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    types = schema.get("type")
    for_types = types if isinstance(types, list) else [types] if types else []
    if for_types and not any(_is(value, one) for one in for_types):
        return False
    if isinstance(value, dict) and schema.get("properties") is not None:
        fields = schema["properties"]
        known = schema.get("additionalProperties", True) or value.keys() <= fields.keys()
        inside = all(fits(value[name], fields[name], document) for name in value if name in fields)
        return known and inside and set(schema.get("required", ())) <= value.keys()
    if isinstance(value, list):
        return all(fits(one, schema.get("items", {}), document) for one in value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return schema.get("minimum", value) <= value <= schema.get("maximum", value)
    return True


def _is(value: object, kind: str) -> bool:
    if kind in ("integer", "number"):
        wanted = int if kind == "integer" else int | float
        return isinstance(value, wanted) and not isinstance(value, bool)
    return isinstance(value, TYPES[kind])


def test_it_is_sound_and_every_name_in_it_is_its_own(document: Schema) -> None:
    assert document["openapi"] == "3.1.0" and document["info"].keys() >= {"title", "version"}
    names = [told["operationId"] for _, _, told in operations(document)]
    assert len(names) == len(set(names)) > 50
    for schema in (*schemas(document["paths"]), *document["components"]["schemas"].values()):
        sound(schema, document)
    for path, verb, told in operations(document):
        assert verb in ("get", "post", "patch", "delete", "put") and told["description"], path
        inside = [one["name"] for one in told["parameters"] if one["in"] == "path"]
        assert inside == re.findall(r"\{(\w+)\}", path)
        assert set(told["responses"]) == {"2XX", "default"}


def test_it_has_each_address_of_the_page_of_addresses(house: House, document: Schema) -> None:
    page = house.http.get("/docs").text
    assert 'href="/openapi.json"' in page
    listed = set(re.findall(r"<code>([A-Z]+) (/(?:api|v1)/[^<]*)</code>", page))
    told = {(verb.upper(), path) for path, verb, _ in operations(document)}
    assert listed <= told
    assert {path for _, path in told - listed} <= {"/v1/models/{id}"}


def test_each_example_fits_what_is_said_of_it_and_is_taken(house: House, document: Schema) -> None:
    sent = 0
    for path, verb, told in operations(document):
        body = told.get("requestBody", {}).get("content", {}).get("application/json", {})
        if "example" not in body:
            continue
        assert fits(body["example"], body["schema"], document), path
        answer = house.http.request(verb, path, json=_small(body["example"]))
        assert answer.status_code < 300, (path, answer.text[:300])
        sent += 1
    assert sent >= 6


def _small(example: Schema) -> Schema:
    """Painted quickly; what the example says of itself stays."""
    return example if "text" in example or "size" in example else {**SMALL, **example}


def test_what_the_wish_refuses_its_schema_refuses_too(house: House, document: Schema) -> None:
    wish = {"$ref": "#/components/schemas/Wish"}
    for bad in ({"steps": 500}, {"seed": "x"}, {"colour": 1}, {"count": 11}, {"quality": "fast"}):
        asked = {"prompt": "a car", **bad}
        assert not fits(asked, wish, document)
        assert house.http.post("/api/jobs", json=asked).status_code == 422
    assert not fits({}, wish, document)
    for good in ({"seed": -1}, {"num_images": 2}, {"start_image": None}, {"loras": []}):
        assert fits({"prompt": "a car", **good}, wish, document)
        assert house.http.post("/api/truth", json={**SMALL, "prompt": "a", **good}).is_success
    fields = document["components"]["schemas"]["Wish"]["properties"]
    assert ImageRequest.model_fields.keys() <= fields.keys()


def test_what_is_said_of_the_query_is_what_is_read_there(house: House, document: Schema) -> None:
    """By who asks, and by the handlers themselves: one that reads a query says of what."""
    described = {}
    for path, verb, told in operations(document):
        names = [one["name"] for one in told["parameters"] if one["in"] == "query"]
        known = f"there are {', '.join(names)}" if names else "nothing is asked in the address"
        answer = house.http.request(verb, path, params={"unheard": "1"})
        assert answer.status_code == (400 if path.startswith("/v1/") else 422), path
        assert answer.json()["error"]["message"] == f"unheard is not known here; {known}."
        if names:
            described[verb, path] = names
        for name in names:
            answer = house.http.request(verb, path, params={name: "1"})
            assert "not known here" not in answer.text, (path, name)
    assert described.keys() >= {
        *(("get", f"/api/{path}") for path in ("jobs", "history", "wins", "choices/next", "bulk")),
        *(("get", f"/api/pictures{path}") for path in ("", "/facets", "/zip", "/{id}/near")),
        *(("get", f"/api/{path}") for path in ("collections/{id}", "pictures/{id}/variants")),
        *(("post", f"/api/{path}") for path in ("bulk", "looks", "pictures/import", "read")),
    }


def test_an_address_that_is_not_there_is_told_so_whatever_is_asked_of_it(house: House) -> None:
    answer = house.http.get("/api/nothing", params={"unheard": "1"})
    assert answer.status_code == 404 and "/api/nothing" in answer.json()["error"]["message"]


def test_no_handler_reads_a_query_and_keeps_quiet_about_it(house: House) -> None:
    routes = [one for one in house.page.app.routes if isinstance(one, Route)]
    ways = ("/api/", "/v1/", "/pictures/", "/thumbs/", "/inputs/")
    ours = [one for one in routes if one.path.startswith(ways)]
    assert len(ours) > 80
    for route in ours:
        act = inspect.unwrap(route.endpoint)
        if not getattr(act, "asks", ()):
            assert not _reads(act, "query_params"), route.path


def _reads(act: Callable[..., object], word: str) -> bool:
    """By its own text, and that of the functions of its module that it calls."""
    source, module = inspect.getsource(act), inspect.getmodule(act)
    below = [getattr(module, name, None) for name in set(re.findall(r"\b(_\w+)\(", source))]
    return word in source or any(
        word in inspect.getsource(one) for one in below if inspect.isfunction(one)
    )


def test_who_takes_files_says_of_which_kinds(document: Schema) -> None:
    for path, kind in (("/api/pictures/import", "multipart/form-data"), ("/api/looks", "text/csv")):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        assert kind in content and "application/json" not in content


def test_a_schema_library_finds_nothing_wrong_with_it(document: Schema) -> None:
    library = pytest.importorskip("jsonschema")
    for schema in (*schemas(document["paths"]), *document["components"]["schemas"].values()):
        library.Draft202012Validator.check_schema(schema)


def test_gradios_own_list_of_addresses_stays_closed(house: House) -> None:
    for path in ("/redoc", "/gradio_api/docs", "/gradio_api/redoc", "/docs/oauth2-redirect"):
        assert house.http.get(path).status_code in (403, 404), path
    told = json.dumps(house.http.get("/openapi.json").json())
    assert "gradio" not in told and "/config" not in told


def test_a_foreign_page_reads_it_as_little_as_anything_else(house: House) -> None:
    headers = {"origin": "http://elsewhere.example"}
    assert house.http.get("/openapi.json", headers=headers).status_code == 403
