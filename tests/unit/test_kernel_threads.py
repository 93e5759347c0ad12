from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.accounting.kernel_threads import summed_name

TABLE = Path(__file__).parents[1] / "summed_names.json"


@pytest.mark.parametrize(("name", "parent", "expected"), json.loads(TABLE.read_text(encoding="utf-8")))
def test_processes_are_summed_under_these_names(name: str, parent: int | None, expected: str) -> None:
    assert summed_name(name, parent) == expected


@given(st.text(), st.none() | st.integers(0, 5))
def test_only_kernel_workers_are_summed_under_another_name(name: str, parent: int | None) -> None:
    assert summed_name(name, parent) == name or (parent == 2 and name.startswith("kworker/"))
