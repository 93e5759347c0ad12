from __future__ import annotations

import re
import sys
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.errors import MissingExtraError, PatternError, QueryError
from cpuwatch.query.name_pattern import compile_name_pattern

names = st.text("ab[]-!", max_size=6) | st.text(max_size=6)
globs = st.text("ab*?[]-!^&~|", max_size=8) | st.text(max_size=8).filter(lambda text: not text.startswith("re:"))

literals = st.sampled_from(["a", "b", "ab", ".", "^", "$", "[ab]", "[^a]", r"\.", r"\d", "é"])


def regexes() -> st.SearchStrategy[str]:
    """Generate regexes that RE2 and the standard library must interpret alike."""
    return st.recursive(
        literals,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["*", "+", "?", "{0,2}"])).map(lambda parts: f"(?:{parts[0]}){parts[1]}"),
            st.tuples(inner, inner).map("".join),
            st.tuples(inner, inner).map(lambda parts: f"(?:{parts[0]}|{parts[1]})"),
        ),
        max_leaves=6,
    )


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("python", ["python"], ["python3", "Python", "a python", ""]),
        ("py*", ["py", "python3", "py\n"], ["cpython", "PY"]),
        ("kworker/?:*", ["kworker/0:1-events"], ["kworker/10:1", "kworker"]),
        ("[ab]c", ["ac", "bc"], ["cc", "[ab]c"]),
        ("re:^kworker", ["kworker/0:1"], ["a kworker"]),
        ("re:thon", ["python3"], ["Python".upper()]),
        ("re:(?i)PYTHON", ["python"], ["perl"]),
        ("re:", ["", "anything"], []),
        ("*", ["", "anything", "\udce9"], []),
    ],
)
def test_a_glob_matches_the_whole_name_and_a_regex_any_part(
    pattern: str, matching: list[str], others: list[str]
) -> None:
    matches = compile_name_pattern(pattern)
    assert [name for name in (*matching, *others) if matches(name)] == matching


@given(globs, names)
def test_globs_match_like_the_standard_library(pattern: str, name: str) -> None:
    assert compile_name_pattern(pattern)(name) == fnmatchcase(name, pattern)


@given(regexes(), st.text("ab.1é", max_size=6))
def test_simple_regexes_match_like_the_standard_library(pattern: str, name: str) -> None:
    assert compile_name_pattern(f"re:{pattern}")(name) == (re.search(pattern, name) is not None)


@pytest.mark.parametrize(
    "pattern",
    [
        "re:(a+)+$",
        "re:(a|aa)+$",
        "re:^(a|a)*$",
        "re:^(.*a){12}$",
        f"re:{'a?' * 60}{'a' * 60}$",
        "*a" * 100 + "c",
        "*?" * 100 + "c",
        "*[a]" * 60 + "c",
    ],
)
def test_patterns_that_are_exponential_with_backtracking_finish(pattern: str) -> None:
    # If it were exponential, this would not finish in any reasonable time.
    assert compile_name_pattern(pattern)("a" * 200 + "b") is False


@pytest.mark.parametrize("pattern", ["re:(", "re:[", "re:a**", "re:(?<=a)b", r"re:(a)\1", "re:a{1001}", r"re:\8"])
def test_an_invalid_regex_is_refused_with_the_pattern_and_the_reason(pattern: str) -> None:
    with pytest.raises(PatternError) as caught:
        compile_name_pattern(pattern)
    assert repr(pattern.removeprefix("re:")) in str(caught.value)
    assert "RE2" in str(caught.value)
    assert isinstance(caught.value, QueryError)


@pytest.mark.parametrize("pattern", ["re:((a{100}){100}){100}", "re:" + "(" * 240, "re:" + r"\pL{500}\pN{500}"])
def test_a_regex_that_needs_much_memory_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_name_pattern(pattern)


def test_a_pattern_is_limited_to_256_characters() -> None:
    assert compile_name_pattern("a" * 256)("a" * 256)
    with pytest.raises(PatternError, match=r"257.*at most 256"):
        compile_name_pattern("a" * 257)


def test_a_lone_surrogate_is_valid_in_a_glob_but_not_in_a_regex() -> None:
    assert compile_name_pattern("*\udce9")("caf\udce9")
    assert compile_name_pattern("re:^caf.$")("caf\udce9")
    with pytest.raises(PatternError, match="surrogate"):
        compile_name_pattern("re:\udce9")


@given(st.text(st.characters(), max_size=12), names)
def test_any_regex_is_compiled_or_a_pattern_error(pattern: str, name: str) -> None:
    try:
        matches = compile_name_pattern(f"re:{pattern}")
    except PatternError:
        return
    assert matches(name) in {True, False}


def test_without_re2_globs_work_and_a_regex_names_the_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    assert compile_name_pattern("py*")("python")
    with pytest.raises(MissingExtraError, match=r"install cpuwatch with \[web\]"):
        compile_name_pattern("re:py")
