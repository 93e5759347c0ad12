from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from msgspec.structs import fields

from cpuwatch import ProcessUsage, TreeUsage, UsageGroup
from cpuwatch.fields import FIELDS, NAMES, Field, SortKey

HTTP_API = Path(__file__).parents[2] / "docs" / "http-api.md"
TYPES = {"int": "integer", "float": "number", "str": "text", "datetime": "time"}


def test_the_table_has_the_fields_of_a_process_in_their_order() -> None:
    assert tuple(field.name for field in fields(ProcessUsage)) == NAMES
    assert all(name == field.name for name, field in FIELDS.items())


@pytest.mark.parametrize("field", FIELDS.values(), ids=NAMES)
def test_the_type_and_unit_of_a_field_match_its_values(field: Field) -> None:
    annotation = {found.name: found.type for found in fields(ProcessUsage)}[field.name]
    (held,) = [kind for kind in get_args(annotation) or (annotation,) if kind is not type(None)]
    assert TYPES["str" if get_origin(held) is Literal else held.__name__] == field.type
    assert (field.unit or "") == next((unit for unit in ("percent", "seconds") if field.name.endswith(unit)), "")


def test_the_sort_keys_are_the_sortable_fields() -> None:
    assert set(get_args(SortKey)) == {field.name for field in FIELDS.values() if field.is_sortable}


@pytest.mark.parametrize("group", [UsageGroup, TreeUsage])
def test_groups_add_up_exactly_the_additive_fields(group: type[UsageGroup | TreeUsage]) -> None:
    summed = {field.name for field in fields(group)} & {field.name for field in FIELDS.values() if field.unit}
    assert summed
    assert all(FIELDS[name].adds_up for name in summed)


def test_headings_and_titles_are_unique() -> None:
    assert len({field.heading for field in FIELDS.values()}) == len(FIELDS)
    assert len({field.title for field in FIELDS.values()}) == len(FIELDS)


def test_the_documentation_has_the_same_table() -> None:
    rows = [
        f"| `{name}` | {field.type} | {field.unit or ''} | {'yes' if field.is_sortable else ''} | {field.description} |"
        for name, field in FIELDS.items()
    ]
    assert "\n".join(rows) in HTTP_API.read_text()
