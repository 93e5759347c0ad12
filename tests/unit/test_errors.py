from __future__ import annotations

import inspect

import pytest

from cpuwatch import errors
from cpuwatch.errors import CpuwatchError

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_is_a_cpuwatch_error(kind: type[Exception]) -> None:
    assert issubclass(kind, CpuwatchError)


@pytest.mark.parametrize("kind", [kind for kind in TREE if kind is not CpuwatchError])
def test_the_documented_tree_has_every_error_with_its_other_base(kind: type[Exception]) -> None:
    assert errors.__doc__ is not None
    (line,) = (line for line in errors.__doc__.splitlines() if f"─ {kind.__name__}" in line)
    others = [base.__name__ for base in kind.__bases__ if not issubclass(base, CpuwatchError)]
    for other in others:
        assert f"(also {other})" in line
    assert ("(also" in line) == bool(others)
