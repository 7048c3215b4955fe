"""`/openapi.json`: the addresses of `/api` and `/v1` as OpenAPI 3.1, made from the routes.

What a handler does is its docstring, what it takes stands beside it (`takes`, `brings`, `asks`),
and fields of a wish with their bounds are those of `ImageRequest`. Nothing is loaded for it.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from studio.request import ImageRequest
from studio.settings import ROOT
from studio.web.asking import OUTSIDE

Schema = dict[str, Any]  # JSON-shaped
Act = TypeVar("Act", bound=Callable[..., Any])
TEXT: Schema = {"type": "string"}
ANY_OBJECT: Schema = {"type": "object"}
WISH: Schema = {"$ref": "#/components/schemas/Wish"}
# Handed in inside a wish: an id, a data URL, base64, or an object that names one of these.
HANDED: Schema = {"type": ["string", "object", "null"]}
NUMBERS = ("limit",)  # of the query of an address; all else there is text
WITH_BODY = ("post", "patch", "put")
_PARAMETER = re.compile(r"\{(\w+)(:\w+)?\}")


def takes(body: Schema, example: Mapping[str, object], *others: str) -> Callable[[Act], Act]:
    """Says what a handler reads as JSON; `others` are kinds of body that it reads as they are."""

    def say(act: Act) -> Act:
        act.__dict__.update(body=body, example=dict(example), others=others)
        return act

    return say


def brings(*kinds: str) -> Callable[[Act], Act]:
    """Says of which kinds the body is that a handler reads as it is; it takes no JSON."""

    def say(act: Act) -> Act:
        act.__dict__["brings"] = kinds
        return act

    return say


def asks(*names: str) -> Callable[[Act], Act]:
    """Says what a handler reads of the query of its address; `answers.speaks` refuses all else."""

    def say(act: Act) -> Act:
        act.__dict__["asks"] = names
        return act

    return say


def described_route(routes: Sequence[Route]) -> Route:
    document = describe(routes)

    async def described(request: Request) -> Response:
        return JSONResponse(document)

    return Route("/openapi.json", described)


def describe(routes: Sequence[Route]) -> Schema:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    paths: dict[str, Schema] = {}
    for route in routes:
        if route.path.startswith(("/api/", "/v1/")) and "{rest:" not in route.path:
            path = _PARAMETER.sub(r"{\1}", route.path)
            paths.setdefault(path, {}).update(_operations(route, path))
    schemas = {"Wish": wish_schema(), **ERRORS}
    parts = ImageRequest.model_json_schema(ref_template="#/components/schemas/{model}")["$defs"]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Darkroom", "version": project["version"]},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": parts | schemas},
    }


def wish_schema() -> Schema:
    """The fields of a wish as the outside may name them; none but these is taken."""
    schema = ImageRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    fields: Schema = schema["properties"]
    for name in ("start_image", "mask"):
        fields[name] = HANDED | {"description": fields[name]["description"]}
    fields["references"]["items"] = {"type": ["string", "object"]}
    for least in fields["seed"]["anyOf"]:
        if "minimum" in least:
            least["minimum"] = -1  # the world's word for "any"
    fields |= {theirs: fields[ours] for theirs, ours in OUTSIDE.items()}
    return {key: value for key, value in schema.items() if key != "$defs"}


ERRORS: Schema = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message", "field"],
                "properties": {
                    "code": TEXT,
                    "message": TEXT,
                    "field": {"type": ["string", "null"]},
                },
            }
        },
    },
    "OpenAIError": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    **{name: TEXT for name in ("message", "type", "code")},
                    "param": {"type": ["string", "null"]},
                },
            }
        },
    },
}


def _operations(route: Route, path: str) -> Iterator[tuple[str, Schema]]:
    act = route.endpoint
    said = " ".join((act.__doc__ or "").split())
    error = "OpenAIError" if path.startswith("/v1/") else "Error"
    refused = _json({"$ref": f"#/components/schemas/{error}"})
    for method in sorted((route.methods or set()) - {"HEAD"}):
        verb = method.lower()
        name = re.sub(r"\W+", "_", f"{verb}{path}").strip("_")
        told: Schema = {
            "operationId": name,
            "summary": said.partition(". ")[0].rstrip("."),
            "description": said,
            "parameters": list(_parameters(act, path)),
            "responses": {
                "2XX": {"description": "It was done, or was written down to be done."},
                "default": {"description": "It was refused, in a sentence.", "content": refused},
            },
        }
        if verb in WITH_BODY:
            told["requestBody"] = _body(act)
        yield verb, told


def _parameters(act: Callable[..., Any], path: str) -> Iterator[Schema]:
    for found in _PARAMETER.finditer(path):
        yield {"name": found[1], "in": "path", "required": True, "schema": TEXT}
    for name in getattr(act, "asks", ()):
        kind = {"type": "integer"} if name in NUMBERS else TEXT
        yield {"name": name, "in": "query", "required": False, "schema": kind}


def _body(act: Callable[..., Any]) -> Schema:
    if kinds := getattr(act, "brings", ()):
        return {"required": True, "content": {kind: {} for kind in kinds}}
    schema = getattr(act, "body", None)
    if schema is None:  # it says so in words
        return {"required": False, "content": _json(ANY_OBJECT)}
    content = _json(schema)
    content["application/json"]["example"] = getattr(act, "example", {})
    content |= {kind: {"schema": TEXT} for kind in getattr(act, "others", ())}
    return {"required": True, "content": content}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}
