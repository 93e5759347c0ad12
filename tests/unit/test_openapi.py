from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
from asgi_client import Service, service, state_of
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from starlette.routing import Route
from strategies import broken_texts, snapshots

from cpuwatch import Query, Snapshot, View, apply_view, encode_view
from cpuwatch.encoding.formats import FORMAT
from cpuwatch.fields import FIELDS, NAMES
from cpuwatch.query.parameters import AT, HISTORY, METRICS, SUMMARY, TIMELINE, VIEW
from cpuwatch.query.threads import THREADS
from cpuwatch.query.view import Grouping
from cpuwatch.settings import Settings
from cpuwatch.token_file import parse_token
from cpuwatch.web import create_app

TOKEN = "a-token-for-the-tests-0123456789"  # noqa: S105


def get(path: str = "/openapi.json", *, token: str | None = None, **headers: str) -> httpx.Response:
    settings = Settings(token=None if token is None else parse_token(token))
    app = create_app(settings)
    shown = {} if token is None else {"authorization": f"Bearer {token}"}

    async def act(running: Service) -> httpx.Response:
        async def call(scope: Any, receive: Any, send: Any) -> None:
            state = state_of(running.live, settings)
            await app({**scope, "state": state}, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(call), base_url="http://localhost") as client:
            return await client.get(
                path, headers={name.replace("_", "-"): text for name, text in headers.items()} | shown
            )

    async def run() -> httpx.Response:
        async with service(processes=5) as running:
            return await act(running)

    return asyncio.run(run())


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = get().json()
    return found


def resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        found: Any = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = found
    return value


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        yield path, item["get"]


def responses(document: dict[str, Any], path: str) -> dict[str, dict[str, Any]]:
    found = document["paths"][path]["get"]["responses"]
    return {status: resolved(document, response) for status, response in found.items()}


def validator(document: dict[str, Any], name: str) -> jsonschema.Draft202012Validator:
    registry: Registry[Any] = Registry().with_resource("urn:cpuwatch", DRAFT202012.create_resource(document))
    schema = {"$ref": f"urn:cpuwatch#/components/schemas/{name}"}
    return jsonschema.Draft202012Validator(schema, registry=registry)


@pytest.mark.parametrize("token", [None, TOKEN])
def test_the_document_is_valid_openapi_3_1(token: str | None) -> None:
    answer = get(token=token)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["openapi"].startswith("3.1.")
    validate(answer.json(), cls=OpenAPIV31SpecValidator)


def test_every_route_is_described_and_nothing_else(document: dict[str, Any]) -> None:
    routed = {route.path_format for route in create_app(Settings()).routes if isinstance(route, Route)}
    assert {path.replace("%20", " ") for path in document["paths"]} == routed
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names)) == len(routed)


def test_head_and_options_are_described_once_in_prose(document: dict[str, Any]) -> None:
    assert all(item.keys() == {"get"} for item in document["paths"].values())
    assert "HEAD" in document["info"]["description"]
    assert "OPTIONS" in document["info"]["description"]


def test_the_parameters_are_those_that_are_parsed(document: dict[str, Any]) -> None:
    known = {
        "/cpu_usage": {**VIEW, **FORMAT, **AT},
        "/cpu_usage/{pid}/threads": {**THREADS, **FORMAT},
        "/cpu_usage/stream": VIEW,
        "/cpu_usage/history": {**HISTORY, **VIEW},
        "/cpu_usage/summary": SUMMARY,
        "/cpu_usage/timeline": TIMELINE,
        "/metrics": METRICS,
    }
    for path, operation in operations(document):
        described = [resolved(document, parameter) for parameter in operation.get("parameters", [])]
        of_query = {parameter["name"]: parameter for parameter in described if parameter["in"] == "query"}
        expected = known.get(path, {})
        assert {name: parameter["schema"] for name, parameter in of_query.items()} == {
            name: parameter.schema for name, parameter in expected.items()
        }
        # Lists are separated by commas.
        assert all(not of_query[name]["explode"] for name in of_query.keys() & {"pid", "user", "state", "fields"})


def test_common_responses_are_listed_for_every_path(document: dict[str, Any]) -> None:
    for path, _ in operations(document):
        described = responses(document, path)
        assert described.keys() >= {"400", "405", "408", "413", "414", "421", "500"}
        for response in described.values():
            assert response["headers"].keys() >= {"X-Content-Type-Options", "Content-Security-Policy"}
            assert resolved(document, response["headers"]["X-Frame-Options"])["required"]
    assert "Allow" in responses(document, "/cpu_usage")["405"]["headers"]


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/cpu_usage", {"200", "304", "404", "406", "503"}),
        ("/cpu_usage/{pid}", {"200", "404", "503"}),
        ("/cpu_usage/{pid}/threads", {"200", "403", "404", "406", "429", "503"}),
        ("/cpu_usage/stream", {"200", "406", "429", "503"}),
        ("/cpu_usage/history", {"200", "304", "429", "503"}),
        ("/cpu_usage/summary", {"200", "404", "503"}),
        ("/cpu_usage/timeline", {"200", "404", "503"}),
        ("/cpu%20usage", {"308"}),
        ("/metrics", {"200", "406", "503"}),
        ("/livez", {"200"}),
        ("/readyz", {"200", "503"}),
        ("/openapi.json", {"200", "304"}),
    ],
)
def test_specific_responses_are_listed_for_their_path(document: dict[str, Any], path: str, statuses: set[str]) -> None:
    described = responses(document, path)
    assert described.keys() - {"400", "405", "408", "413", "414", "421", "500"} == statuses
    if "503" in statuses:
        assert "Retry-After" in described["503"]["headers"]


def test_paths_that_need_the_token_declare_it(document: dict[str, Any]) -> None:
    assert all(not operation["security"] for _, operation in operations(document))
    assert all("401" not in responses(document, path) for path, _ in operations(document))
    secured = get(token=TOKEN).json()
    assert secured["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    for path, operation in operations(secured):
        is_open = path in {"/", "/machines", "/livez", "/readyz", "/static/{name}"}
        assert operation["security"] == ([] if is_open else [{"token": []}])
        assert ("401" in responses(secured, path)) is not is_open
    assert "WWW-Authenticate" in responses(secured, "/cpu_usage")["401"]["headers"]


@pytest.mark.parametrize("schema", ["ProcessUsage", "ProcessFields"])
def test_every_field_of_a_process_has_its_description(document: dict[str, Any], schema: str) -> None:
    properties = document["components"]["schemas"][schema]["properties"]
    descriptions = {name: field.get("description") for name, field in properties.items()}
    assert descriptions == {name: field.description for name, field in FIELDS.items()}


groupings = st.none() | st.sampled_from(["name", "user", "cgroup", "tree"])
chosen_fields = st.none() | st.lists(st.sampled_from(NAMES), min_size=1, unique=True).map(tuple)


@given(snapshots(broken_texts), groupings, chosen_fields)
def test_every_view_matches_its_schema(
    document: dict[str, Any], snapshot: Snapshot, grouping: Grouping | None, fields: tuple[str, ...] | None
) -> None:
    view = View(Query(), fields=None if grouping else fields, group_by=grouping)
    validator(document, "Shown").validate(json.loads(encode_view(apply_view(snapshot, view), view.fields)))


@given(snapshots(), st.sampled_from(["host", "machine", "sequence", "exited", "sampling"]))
def test_a_snapshot_without_a_required_field_does_not_match_the_schema(
    document: dict[str, Any], snapshot: Snapshot, part: str
) -> None:
    body = json.loads(encode_view(snapshot))
    del body[part]
    assert not validator(document, "Shown").is_valid(body)


@pytest.mark.parametrize(
    ("path", "status", "schema"),
    [
        ("/cpu_usage/10", 200, "OneProcess"),
        ("/cpu_usage/99", 404, "Problem"),
        ("/cpu_usage?top=0", 400, "Problem"),
        ("/cpu_usage/history?seconds=60", 200, "HistoryPage"),
        ("/livez", 200, "Alive"),
    ],
)
def test_bodies_match_their_schemas(document: dict[str, Any], path: str, status: int, schema: str) -> None:
    answer = get(path)
    assert answer.status_code == status
    validator(document, schema).validate(answer.json())


def test_the_etag_depends_on_the_document_and_the_coding() -> None:
    plain, zipped = get(accept_encoding="identity"), get(accept_encoding="gzip")
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.content == plain.content
    assert len(gzip.compress(plain.content)) < len(plain.content) / 5
    assert get(accept_encoding="identity").headers["etag"] == plain.headers["etag"]
    tags = {plain.headers["etag"], zipped.headers["etag"], get(token=TOKEN).headers["etag"]}
    assert len(tags) == 3
    assert get(accept_encoding="identity", if_none_match=plain.headers["etag"]).status_code == 304
    assert get(accept_encoding="gzip", if_none_match=plain.headers["etag"]).status_code == 200
