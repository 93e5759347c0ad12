from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins
from strategies import process_rows

from cpuwatch import ProcessUsage
from cpuwatch.encoding.rows import reduced
from cpuwatch.fields import NAMES as FIELDS


@given(process_rows())
def test_all_fields_are_returned_by_default(row: ProcessUsage) -> None:
    assert to_builtins(reduced(row)) == to_builtins(row)


@given(process_rows(), st.lists(st.sampled_from(FIELDS), unique=True))
def test_selected_fields_keep_the_given_order(row: ProcessUsage, fields: list[str]) -> None:
    assert list(reduced(row, fields).items()) == [(name, getattr(row, name)) for name in fields]
