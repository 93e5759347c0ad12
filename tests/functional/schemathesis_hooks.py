"""Loaded by Schemathesis: what the description states in words.

Every path answers HEAD and OPTIONS, so both are added beside each GET. Parameters may exclude or require each other,
and their total length is limited: requests that are meant to be valid are corrected, those meant to be invalid stay as
they are.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from schemathesis import Case, GenerationMode, HookContext, hook

LONGEST_QUERY = 4096
EVERY_PATH_ANSWERS = {"400", "401", "405", "408", "413", "414", "421", "500"}


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
                **{status: response for status, response in responses.items() if status in EVERY_PATH_ANSWERS},
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
    return _is_meant_to_be_bad(case) or (not is_regex and len(urlencode(query, doseq=True)) <= LONGEST_QUERY)


@hook
def map_case(_: HookContext, case: Case[Any]) -> Case[Any]:
    if case.method == "OPTIONS" or _is_meant_to_be_bad(case):
        return case
    query = dict(case.query or {})
    _mend_groups(query)
    if case.path == "/cpu_usage/history":
        _mend_history(query)
    if case.path == "/metrics" and query:
        # Only with series for processes is there something to choose among.
        query["per_process"] = "true"
    case.query = query
    return case


def _is_meant_to_be_bad(case: Case[Any]) -> bool:
    return case.meta is not None and case.meta.generation.mode is GenerationMode.NEGATIVE


def _mend_groups(query: dict[str, object]) -> None:
    """Groups have an order and fields of their own."""
    clashing = query.keys() & {"fields", "sort", "order"}
    if "group_by" in query and clashing:
        for name in clashing if len(clashing) == 1 else ("group_by",):
            del query[name]


def _mend_history(query: dict[str, object]) -> None:
    """One of the two is needed."""
    if "since" in query:
        query.pop("seconds", None)
    else:
        query.setdefault("seconds", "60")
