"""``/openapi.json``: the description of the service (OpenAPI 3.1), made of what the service itself is made of.

Schemas come from the Structs that are encoded, parameters from the table that parses them, answers from what stands
beside each endpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from inspect import cleandoc
from typing import Any, get_args
from urllib.parse import quote

import msgspec
from msgspec import Struct, defstruct
from msgspec.structs import fields as fields_of
from msgspec.structs import replace
from starlette.types import Scope

from cpuwatch.model import Snapshot
from cpuwatch.query.parameters import Parameter
from cpuwatch.query.view import GroupedSnapshot
from cpuwatch.web.http.fixed import answer_in_coding, in_each_coding
from cpuwatch.web.http.problem import Problem
from cpuwatch.web.http.response import Answer
from cpuwatch.web.openapi.headers import OF_ALL, OF_CORS, OF_PROBLEMS, REQUEST_HEADERS, RESPONSE_HEADERS
from cpuwatch.web.openapi.operation import Operation, Result

__all__ = ["DESCRIPTION", "Description", "document"]

DESCRIPTION = Operation(
    path="/openapi.json",
    name="description",
    summary="This description.",
    results={
        200: Result(
            "The description, as OpenAPI 3.1.",
            {"application/json": {"type": "object", "required": ["openapi", "info", "paths"]}},
            headers=("Content-Length", "Cache-Control", "ETag", "Vary"),
            sometimes=("Content-Encoding",),
        ),
        304: Result("The client has it already.", headers=("Cache-Control", "ETag", "Vary")),
    },
    request_headers=("If-None-Match", "Accept-Encoding"),
)

_SCHEMAS = "#/components/schemas/"
_MEDIA_TYPE_OF_PROBLEMS = "application/problem+json"

_PROBLEMS_OF_ALL = {
    400: "The server cannot make out the request.",
    405: "Another method than GET, HEAD and OPTIONS.",
    408: "A body came with the request, and did not end in time.",
    413: "A body came with the request, and is too large.",
    414: "The URL is too long.",
    421: "Host is no name or address of this machine.",
    500: "A defect of the service; its log says more under the id.",
}
_ABOUT = (
    "What burns the CPU of this machine: every process, once a second, with what ended meanwhile. Percentages named "
    "cpu_percent are of one logical CPU, machine_percent of all of them. null is what is not known."
)


def _with_groups(groups: Any) -> type[Struct]:
    """The kind of GroupedSnapshot that has these, for msgspec has no schema of "either a list of A or a list of B"."""
    (group,) = get_args(groups)
    fields = [(field.name, groups if field.name == "groups" else field.type) for field in fields_of(GroupedSnapshot)]
    about = {"__doc__": GroupedSnapshot.__doc__}
    return defstruct(f"SnapshotOf{group.__name__}", fields, namespace=about, frozen=True)


_GROUPED = [
    _with_groups(groups)
    for field in fields_of(GroupedSnapshot)
    if field.name == "groups"
    for groups in get_args(field.type)
]


class Description:
    """``GET /openapi.json``. Where a token is set it says that one is needed."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._answers = cache(
            lambda needs_token: in_each_coding(
                msgspec.json.encode(document(operations, needs_token=needs_token)), "application/json"
            )
        )

    async def __call__(self, scope: Scope) -> Answer:
        """The answer to one request."""
        needs_token = scope["state"]["cpuwatch_rules"].token is not None
        return answer_in_coding(self._answers(needs_token), scope)


def document(operations: Sequence[Operation], *, needs_token: bool) -> dict[str, Any]:
    """The OpenAPI document, in builtin values."""
    components = _Components(_schemas(operations))
    paths = {
        _path_template(operation): _path_item(operation, components, needs_token=needs_token)
        for operation in operations
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cpuwatch",
            "version": version("cpuwatch"),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        # Relative to where this document is found, so that it holds under any prefix.
        "servers": [{"url": "./"}],
        "paths": paths,
        "components": {
            **components.by_kind,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


class _Components:
    """What stands in the document once and is referred to."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self.by_kind: dict[str, dict[str, Any]] = {"schemas": schemas, "headers": {}, "parameters": {}, "responses": {}}

    def ref(self, kind: str, name: str, value: dict[str, Any]) -> dict[str, Any]:
        """A reference to this; or it itself, if the name stands for something else already."""
        return {"$ref": f"#/components/{kind}/{name}"} if self.by_kind[kind].setdefault(name, value) == value else value


def _path_template(operation: Operation) -> str:
    """OpenAPI has no parameter that spans segments of a path: its clients percent-encode the slashes."""
    return quote(operation.path.replace(":path}", "}"), safe="/{}")


def _path_item(operation: Operation, components: _Components, *, needs_token: bool) -> dict[str, Any]:
    of_all = {status: _problem(status, text) for status, text in _PROBLEMS_OF_ALL.items()}
    security: list[dict[str, list[str]]] = []
    if needs_token and not operation.is_open:
        of_all[401] = _problem(401, "The token is missing or wrong.")
        security = [{"token": []}]
    own = {status: _problem(status, text) for status, text in operation.problems.items()}
    results = {**operation.results, **of_all, **own}
    parameters = [
        *(_parameter(parameter, "path", components) for parameter in operation.in_path.values()),
        *(_parameter(parameter, "query", components) for parameter in operation.query.values()),
        *(_request_header(name, components) for name in operation.request_headers),
    ]
    return {
        "summary": operation.summary,
        "get": {
            "operationId": operation.name,
            "summary": operation.summary,
            "security": security,
            "parameters": parameters,
            "responses": _responses(results, components),
        },
        "head": {
            "operationId": f"{operation.name}_head",
            "summary": "The same without the body.",
            "security": security,
            "parameters": parameters,
            "responses": _responses(_without_bodies(results), components, ".head"),
        },
        "options": {
            "operationId": f"{operation.name}_options",
            "summary": "The methods that are allowed here.",
            "security": security,
            "parameters": [
                _parameter(replace(parameter, schema=_ANY_TEXT), "path", components)
                for parameter in operation.in_path.values()
            ],
            "responses": _responses({204: _METHODS, **of_all}, components),
        },
    }


_METHODS = Result(
    "The methods that are allowed, or what a page of another origin may do.",
    sometimes=(
        "Allow",
        "Access-Control-Allow-Headers",
        "Access-Control-Allow-Methods",
        "Access-Control-Max-Age",
    ),
)


_ANY_TEXT = {"type": "string", "minLength": 1}


def _without_bodies(results: Mapping[int, Result]) -> dict[int, Result]:
    return {status: replace(result, bodies={}) for status, result in results.items()}


def _problem(status: int, description: str) -> Result:
    always = ("Cache-Control", "Content-Length", *OF_PROBLEMS.get(status, ()))
    return Result(description, {_MEDIA_TYPE_OF_PROBLEMS: Problem}, always, ("Connection",))


def _parameter(parameter: Parameter, place: str, components: _Components) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": place,
        "required": place == "path",
        "description": parameter.description,
        "schema": parameter.schema,
    }
    if parameter.schema.get("type") == "array":
        described |= {"style": "form", "explode": False}
    return components.ref("parameters", parameter.name, described)


def _request_header(name: str, components: _Components) -> dict[str, Any]:
    description, schema = REQUEST_HEADERS[name]
    described = {"name": name, "in": "header", "description": description, "schema": schema}
    return components.ref("parameters", name, described)


def _responses(results: Mapping[int, Result], components: _Components, of: str = "") -> dict[str, Any]:
    return {
        str(status): components.ref("responses", f"{status}{of}", _response(result, components))
        for status, result in sorted(results.items())
    }


def _response(result: Result, components: _Components) -> dict[str, Any]:
    always = sorted({*result.headers, *OF_ALL})
    sometimes = sorted({*result.sometimes, *OF_CORS}.difference(always))
    described: dict[str, Any] = {
        "description": result.description,
        "headers": {
            **{name: _header(name, components, always=True) for name in always},
            **{name: _header(name, components, always=False) for name in sometimes},
        },
    }
    if result.bodies:
        described["content"] = {media: {"schema": _schema(body)} for media, body in result.bodies.items()}
    return described


def _header(name: str, components: _Components, *, always: bool) -> dict[str, Any]:
    description, schema = RESPONSE_HEADERS[name]
    return components.ref("headers", name, {"description": description, "required": always, "schema": schema})


def _schema(body: Any) -> Any:
    return {"$ref": f"{_SCHEMAS}{body.__name__}"} if isinstance(body, type) else body


def _schemas(operations: Iterable[Operation]) -> dict[str, Any]:
    bodies = {
        body
        for operation in operations
        for result in operation.results.values()
        for body in result.bodies.values()
        if isinstance(body, type)
    }
    structs = sorted({*bodies, *_GROUPED, Problem, Snapshot}, key=lambda struct: struct.__name__)
    _, schemas = msgspec.json.schema_components(structs, ref_template=_SCHEMAS + "{name}")
    schemas = {name: _of_output(schema) for name, schema in schemas.items()}
    return {**schemas, **_shown(schemas)}


def _of_output(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a Struct, which is of what can be decoded, as one of what is encoded: all fields, no defaults."""
    fields: dict[str, dict[str, Any]] = schema["properties"]
    return {
        **schema,
        "description": cleandoc(schema["description"]).replace("``", "`"),
        "properties": {
            name: {key: value for key, value in field.items() if key != "default"} for name, field in fields.items()
        },
        "required": [name for name, field in fields.items() if name in schema["required"] or "default" in field],
    }


def _shown(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """What a view shows: a snapshot with all fields of its processes or only with some, or with groups."""
    whole, row = schemas["Snapshot"], schemas["ProcessUsage"]
    fewer = {name: value for name, value in row.items() if name != "required"}
    processes = {"type": "array", "items": {"$ref": f"{_SCHEMAS}ProcessFields"}}
    return {
        "ProcessFields": {**fewer, "title": "ProcessFields", "description": "The fields of a process asked for."},
        "SnapshotOfFields": {
            **whole,
            "title": "SnapshotOfFields",
            "properties": {**whole["properties"], "processes": processes},
        },
        "Shown": {"anyOf": [_schema(Snapshot), {"$ref": f"{_SCHEMAS}SnapshotOfFields"}, *map(_schema, _GROUPED)]},
    }
