"""Loaded by Schemathesis: what OpenAPI 3.1 cannot say of the parameters of a good request.

They may exclude each other or need each other, and all of them together have a length. Requests that are meant to be
good are mended to be so; those that are meant to be bad stay as they are.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from schemathesis import Case, GenerationMode, HookContext, hook

LONGEST_QUERY = 4096


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
