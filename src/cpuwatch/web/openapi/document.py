"""The OpenAPI 3.1 document of the service, generated from the code that serves it.

Schemas come from the Structs that are encoded, parameters from the table that parses them, and responses from the
:class:`~cpuwatch.web.openapi.operation.Operation` beside each endpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from inspect import cleandoc
from typing import Any, get_args, get_type_hints
from urllib.parse import quote

import msgspec

from cpuwatch.fields import FIELDS
from cpuwatch.model import Snapshot
from cpuwatch.query.parameters import TICK_SCHEMAS
from cpuwatch.query.threads import THREAD_FIELDS
from cpuwatch.query.view import GroupedSnapshot
from cpuwatch.web.http.response import SECURITY_HEADERS, Problem
from cpuwatch.web.openapi.operation import TEXT, Operation

__all__ = ["document"]

# HEAD, OPTIONS and CORS are the same on every path. Repeating them would hide the differences.
_ABOUT = (
    "cpuwatch shows which processes use the CPU of this machine, every second, including those that lived for less "
    "than one. cpu_percent is in percent of one logical CPU, machine_percent in percent of all. Unknown values are "
    "null. Every path also answers HEAD, with the headers of GET and no body, and OPTIONS, with status 204 and the "
    "allowed methods in Allow. Pages of the origins that the settings allow get the CORS headers of the Fetch standard."
)

_PROBLEMS = {
    400: "Malformed request, unknown parameter, value out of range, or conflicting parameters.",
    401: "The token is missing or wrong.",
    403: "cpuwatch is not permitted to read the process.",
    404: "No such process, no such file, no recording, or the page is disabled.",
    405: "The method is not GET, HEAD or OPTIONS.",
    406: "None of the accepted formats is available.",
    408: "The body of the request did not arrive in time.",
    413: "The body of the request is too large.",
    414: "The URL is too long.",
    421: "The Host header does not name this machine.",
    429: "This client has reached its limit of concurrent streams, history requests or measurements of threads.",
    500: "Internal error; the log has the details under the same id.",
    503: "No snapshot yet, a stale snapshot, or the limit of concurrent clients is reached.",
}
_PROBLEMS_OF_ALL = (400, 405, 408, 413, 414, 421, 500)
_HEADERS_OF_PROBLEMS = {401: ["WWW-Authenticate"], 405: ["Allow"], 429: ["Retry-After"], 503: ["Retry-After"]}

_REQUEST_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Accept-Encoding": ("The accepted content codings, with weights.", TEXT),
    "If-None-Match": ("The ETags that the client holds; if one is current, the response is 304.", TEXT),
    "Last-Event-ID": (
        "The last event received; the response begins with those after it, or with the whole history after a restart.",
        {"anyOf": [*TICK_SCHEMAS, {"type": "string", "maxLength": 0}]},
    ),
    "Prefer": ("wait=SECONDS: with If-None-Match, delay a 304 until the next tick (RFC 7240).", TEXT),
    "X-Prometheus-Scrape-Timeout-Seconds": ("From Prometheus; counters new since its last scrape start at 0.", TEXT),
}
_RESPONSE_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Allow": ("The allowed methods.", TEXT),
    "Cache-Control": ("Responses must not be reused unchecked.", {"enum": ["no-store", "private, no-cache"]}),
    "Connection": ("The connection closes after this response.", {"enum": ["close"]}),
    "Content-Encoding": ("The content coding of the body.", {"enum": ["zstd", "gzip"]}),
    "Content-Length": ("The length of the body in bytes.", {"type": "integer", "minimum": 0}),
    "ETag": ("Differs for each tick, view, format and coding.", {"type": "string", "pattern": '^"[^"]*"$'}),
    "Location": ("The target of the redirect.", {"type": "string", "format": "uri-reference"}),
    "Preference-Applied": ("The preference that was honored.", {"type": "string", "pattern": "^wait=[0-9]+$"}),
    "Retry-After": ("Seconds to wait before the next attempt.", {"type": "integer", "minimum": 0}),
    "Server-Timing": ("age;dur=MILLISECONDS: the age of the data.", {"type": "string", "pattern": "^age;dur=[0-9]+$"}),
    "Vary": ("The request headers that the response depends on.", TEXT),
    "WWW-Authenticate": ("The required credentials (RFC 6750).", {"type": "string", "pattern": "^Bearer "}),
    "X-Accel-Buffering": ("Tells proxies not to buffer events.", {"enum": ["no"]}),
    **{name.decode().title(): ("For browsers.", {"const": value.decode()}) for name, value in SECURITY_HEADERS},
}
_OPTIONAL_HEADERS = {"Connection", "Content-Encoding", "Preference-Applied"}
_HEADERS_OF_ALL = ["Cache-Control", *(name.decode().title() for name, _ in SECURITY_HEADERS)]
_SCHEMAS = "#/components/schemas/"


def document(operations: Sequence[Operation], *, needs_token: bool) -> dict[str, Any]:
    """The OpenAPI document as builtin values."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cpuwatch",
            "version": version("cpuwatch"),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        # Relative to the URL of this document, so that it is valid below any prefix.
        "servers": [{"url": "./"}],
        "paths": {
            _path_template(each): {"get": _operation(each, needs_token=needs_token and not each.is_open)}
            for each in operations
        },
        "components": {
            "schemas": _schemas(operations),
            "headers": {
                name: {"description": description, "required": name not in _OPTIONAL_HEADERS, "schema": schema}
                for name, (description, schema) in _RESPONSE_HEADERS.items()
            },
            "responses": {
                str(status): _response(
                    description,
                    ["Connection", "Content-Length", *_HEADERS_OF_PROBLEMS.get(status, [])],
                    {"application/problem+json": Problem},
                )
                for status, description in _PROBLEMS.items()
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _path_template(operation: Operation) -> str:
    """OpenAPI has no parameter that spans segments of a path: its clients percent-encode the slashes."""
    return quote(operation.path.replace(":path}", "}"), safe="/{}")


def _operation(operation: Operation, *, needs_token: bool) -> dict[str, Any]:
    headers, request_headers = operation.headers, operation.request_headers
    responses: dict[int, dict[str, Any]] = {}
    if operation.is_conditional:
        headers += ("ETag", "Vary")
        request_headers += ("Accept-Encoding", "If-None-Match")
        responses[304] = _response("The client has the current representation.", headers)
        headers += ("Content-Encoding",)
    if not operation.is_stream:
        headers += ("Content-Length",)
    responses[operation.status] = _response(operation.summary, headers, operation.content)
    for status in (*_PROBLEMS_OF_ALL, *operation.problems, *([401] if needs_token else [])):
        responses[status] = {"$ref": f"#/components/responses/{status}"}
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": [{"token": []}] if needs_token else [],
        "parameters": [
            *(_parameter("path", name, found.description, found.schema) for name, found in operation.in_path.items()),
            *(_parameter("query", name, found.description, found.schema) for name, found in operation.query.items()),
            *(_parameter("header", name, *_REQUEST_HEADERS[name]) for name in request_headers),
        ],
        "responses": {str(status): response for status, response in sorted(responses.items())},
    }


def _parameter(location: str, name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    found = {"name": name, "in": location, "required": location == "path", "description": description, "schema": schema}
    return found | ({"style": "form", "explode": False} if schema.get("type") == "array" else {})


def _response(description: str, headers: Iterable[str], content: Mapping[str, Any] = {}) -> dict[str, Any]:
    return {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in (*_HEADERS_OF_ALL, *headers)},
        "content": {media_type: {"schema": _body_schema(body)} for media_type, body in content.items()},
    }


def _body_schema(body: Any) -> dict[str, Any]:
    match body:
        case type():
            return {"$ref": _SCHEMAS + body.__name__}
        case tuple():
            return {"anyOf": [_body_schema(each) for each in body]}
    schema: dict[str, Any] = body
    return schema


def _schemas(operations: Iterable[Operation]) -> dict[str, Any]:
    contents = [body for operation in operations for body in operation.content.values()]
    listed = [each for body in contents for each in (body if isinstance(body, tuple) else (body,))]
    bodies = {body for body in listed if isinstance(body, type)}
    schemas = _components([*bodies, Problem, Snapshot])[1] | _grouped_snapshot()
    for row, fields in (("ProcessUsage", FIELDS), ("ThreadUsage", THREAD_FIELDS)):
        for name, schema in schemas.get(row, {}).get("properties", {}).items():
            schema["description"] = fields[name].description
    # The parameter fields selects the fields of a row, so the rows of a snapshot may lack any of them.
    schemas["ProcessFields"] = {**schemas["ProcessUsage"], "title": "ProcessFields", "required": []}
    schemas["Snapshot"]["properties"]["processes"]["items"] = {"$ref": _SCHEMAS + "ProcessFields"}
    schemas["Shown"] = {"anyOf": [{"$ref": _SCHEMAS + name} for name in ("Snapshot", "GroupedSnapshot")]}
    return dict(sorted(schemas.items()))


def _grouped_snapshot() -> dict[str, Any]:
    """The schema of GroupedSnapshot and its parts: msgspec has none for a union of two kinds of lists."""
    types = get_type_hints(GroupedSnapshot)
    groups = get_args(types.pop("groups"))
    fields, schemas = _components([*types.values(), *groups])
    properties = dict(zip(types, fields, strict=False)) | {"groups": {"anyOf": fields[len(types) :]}}
    return schemas | {
        "GroupedSnapshot": {
            "title": "GroupedSnapshot",
            "description": cleandoc(GroupedSnapshot.__doc__ or ""),
            "type": "object",
            "properties": properties,
            "required": list(properties),
        }
    }


def _components(types: Iterable[Any]) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """The schemas of these encoded types and those they refer to: no field is missing or has a default."""
    schemas, components = msgspec.json.schema_components(types, ref_template=_SCHEMAS + "{name}")
    for component in components.values():
        component["description"] = cleandoc(component["description"]).replace("``", "`")
        component["required"] += [name for name, field in component["properties"].items() if "default" in field]
        for field in component["properties"].values():
            field.pop("default", None)
    return schemas, components
