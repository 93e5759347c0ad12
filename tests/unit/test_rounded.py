from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from strategies import snapshots

from cpuwatch import Snapshot, View, apply_view, decode, encode, encode_view
from cpuwatch.encoding.rounded import rounded
from cpuwatch.query.view import Grouping


def figures(tree: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Each number in this JSON with the name of its field."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from figures(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from figures(value, name)
    elif isinstance(tree, float):
        yield name, tree


@pytest.mark.parametrize("group_by", [None, "name", "tree"])
@given(shown=snapshots())
def test_values_in_responses_are_rounded_to_their_precision(shown: Snapshot, group_by: Grouping | None) -> None:
    for name, value in figures(json.loads(encode_view(apply_view(shown, View(group_by=group_by))))):
        if name.endswith(("_percent", "_seconds", "_threads", "_cpus")) and name != "clock_resolution_seconds":
            assert value == round(value, 6 if name.endswith("_seconds") else 4)


@given(snapshots())
def test_rounding_changes_only_floats_and_the_library_stays_exact(shown: Snapshot) -> None:
    before = encode(shown)
    close = rounded(shown)
    assert encode(shown) == before
    assert decode(encode(shown)) == shown
    for (name, exact), (_, value) in zip(figures(json.loads(before)), figures(json.loads(encode(close))), strict=True):
        # Half of the last digit, and the step between neighbouring floats: more than that for centuries in seconds.
        half_digit = 0.0000005 if name.endswith("_seconds") else 0.00005
        assert value == pytest.approx(exact, rel=0, abs=half_digit + 2 * math.ulp(exact))
    assert [row.key for row in close.processes] == [row.key for row in shown.processes]
    assert rounded(close) == close
