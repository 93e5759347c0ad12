from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.query.cgroup_name import cgroup_name, shown_names, unit_names, unit_path

# The page's modules are tested against the same table: tests/functional/test_page_modules.py.
CASES: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "cgroup_names.json").read_text("utf-8"))

segments = st.sampled_from(
    ["", "a", "b", "x.service", r"x\x2dy.service", "x-y.service", r"x\x5cx2dy.service", r"x\x2fy.service", "y.service"]
    + [f"{'ab' * 16}{end * 32}" for end in "01"]
    + [f"docker-{'ab' * 32}.scope"]
)
paths = st.lists(segments, max_size=4).map(lambda parts: "/" + "/".join(parts))


@pytest.mark.parametrize("case", CASES, ids=[f"{case['about']}: {next(iter(case['shown']))}" for case in CASES])
def test_units_and_containers_have_their_familiar_names(case: dict[str, Any]) -> None:
    names = unit_names(map(unit_path, case["shown"]), case.get("given", {}))
    assert {path: names[unit_path(path)] for path in case["shown"]} == case["shown"]
    if "given" not in case:
        assert shown_names(case["shown"]) == case["shown"]


@pytest.mark.parametrize("case", [case for case in CASES if len(case["shown"]) == 1 and "given" not in case])
def test_a_single_cgroup_has_the_name_of_its_unit(case: dict[str, Any]) -> None:
    for path, name in case["shown"].items():
        assert cgroup_name(path) == name


@given(st.text())
def test_any_path_has_a_name(path: str) -> None:
    assert isinstance(cgroup_name(path), str)
    assert unit_path(unit_path(path)) == unit_path(path)


@given(st.lists(st.text(alphabet='/ax\\025cf.service-"\n', max_size=30)))
def test_no_two_units_of_arbitrary_paths_have_the_same_name(some: list[str]) -> None:
    names = unit_names(map(unit_path, some))
    assert len(set(names.values())) == len(names) == len(set(map(unit_path, some)))


@given(st.lists(paths, unique=True))
def test_no_two_units_have_the_same_name(some: list[str]) -> None:
    names = unit_names(map(unit_path, some))
    assert len(set(names.values())) == len(names) == len(set(map(unit_path, some)))


@given(st.lists(paths, unique=True))
def test_a_unit_has_its_short_name_only_if_that_is_unique(some: list[str]) -> None:
    names = unit_names(map(unit_path, some))
    short = [cgroup_name(path) for path in names]
    for path, name in names.items():
        if name == cgroup_name(path):
            assert short.count(name) == 1


@given(paths)
def test_a_cgroup_below_a_unit_belongs_to_it(path: str) -> None:
    unit = f"{path.rstrip('/')}/z.service"
    assert unit_path(unit) == unit_path(f"{unit}/worker-1/x") == unit
