"""Schemathesis hooks for rules that the OpenAPI document states in prose.

Every path answers HEAD and OPTIONS, so both are added to each GET. Parameters may exclude or require each other, and
their total length is limited: generated valid requests are corrected, and invalid ones are unchanged.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from schemathesis import Case, GenerationMode, HookContext, hook

MAX_QUERY_BYTES = 4096
COMMON_STATUSES = {"400", "401", "405", "408", "413", "414", "421", "500"}


@hook
def before_load_schema(_: HookContext, raw_schema: dict[str, Any]) -> None:
    shared = raw_schema["components"]["responses"]
    for item in raw_schema["paths"].values():
        get = item["get"]
        responses = {
            status: shared[status] if "$ref" in response else response for status, response in get["responses"].items()
        }
        item["head"] = {
            **get,
            "operationId": f"{get['operationId']}_head",
            "responses": {
                status: {name: value for name, value in response.items() if name != "content"}
                for status, response in responses.items()
            },
        }
        item["options"] = {
            "operationId": f"{get['operationId']}_options",
            "security": get["security"],
            "parameters": [
                {**parameter, "schema": {"type": "string", "minLength": 1}}
                for parameter in get["parameters"]
                if parameter["in"] == "path"
            ],
            "responses": {
                "204": _allowed_methods(responses["405"]),
                **{status: response for status, response in responses.items() if status in COMMON_STATUSES},
            },
        }


def _allowed_methods(problem: dict[str, Any]) -> dict[str, Any]:
    about_the_body = {"Cache-Control", "Connection", "Content-Length"}
    headers = {name: value for name, value in problem["headers"].items() if name not in about_the_body}
    return {"description": "The allowed methods.", "headers": headers}


@hook
def filter_case(_: HookContext, case: Case[Any]) -> bool:
    query = case.query or {}
    is_regex = str(query.get("name", "")).startswith("re:")
    return _is_meant_to_be_invalid(case) or (not is_regex and len(urlencode(query, doseq=True)) <= MAX_QUERY_BYTES)


@hook
def map_case(_: HookContext, case: Case[Any]) -> Case[Any]:
    if case.method == "OPTIONS" or _is_meant_to_be_invalid(case):
        return case
    query = dict(case.query or {})
    _correct_groups(query)
    if case.path == "/cpu_usage/history":
        _correct_history(query)
    if case.path in {"/cpu_usage/summary", "/cpu_usage/timeline"}:
        # A range without anything recorded may be empty.
        query.pop("from", None)
        query.pop("to", None)
    if case.path == "/metrics" and query:
        # Queries have an effect only with series for processes.
        query["per_process"] = "true"
    case.query = query
    return case


def _is_meant_to_be_invalid(case: Case[Any]) -> bool:
    return case.meta is not None and case.meta.generation.mode is GenerationMode.NEGATIVE


def _correct_groups(query: dict[str, object]) -> None:
    """Groups cannot be combined with an order or fields."""
    clashing = query.keys() & {"fields", "sort", "order"}
    if "group_by" in query and clashing:
        for name in clashing if len(clashing) == 1 else ("group_by",):
            del query[name]


def _correct_history(query: dict[str, object]) -> None:
    """Exactly one of three parameters is required."""
    beginnings = [name for name in ("since", "from", "seconds") if name in query]
    for name in beginnings[1:]:
        del query[name]
    if not beginnings:
        query["seconds"] = "60"
