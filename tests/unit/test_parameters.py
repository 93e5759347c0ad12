from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch import Query, View
from cpuwatch.encoding.formats import FORMAT
from cpuwatch.errors import QueryError
from cpuwatch.fields import NAMES as FIELDS
from cpuwatch.query.parameters import VIEW, parse_query_string, view_from

ALL = {**VIEW, **FORMAT}

VALID: list[tuple[str, str, Any]] = [
    ("top", "1", 1),
    ("top", "100000", 100_000),
    ("top", "007", 7),
    ("sort", "cpu_seconds", "cpu_seconds"),
    ("order", "asc", "asc"),
    ("order", "desc", "desc"),
    ("name", "py*", "py*"),
    ("name", "re:^k.*[0-9]$", "re:^k.*[0-9]$"),
    ("name", "a" * 256, "a" * 256),
    ("name", "Web Content", "Web Content"),
    ("name", "žluť", "žluť"),
    ("pid", "1", (1,)),
    ("pid", "7,2147483647", (7, 2**31 - 1)),
    ("pid", ",".join("1" * 100), (1,) * 100),
    ("user", "root,www-data", ("root", "www-data")),
    ("state", "R", ("R",)),
    ("state", "R,D,t", ("R", "D", "t")),
    ("min_percent", "0", 0.0),
    ("min_percent", "2.5", 2.5),
    ("min_percent", "1e6", 1e6),
    ("min_percent", "1E-3", 0.001),
    ("kernel_threads", "true", True),
    ("kernel_threads", "false", False),
    ("fields", "name,pid", ("name", "pid")),
    ("fields", ",".join(FIELDS), FIELDS),
    ("group_by", "tree", "tree"),
    ("format", "ndjson", "ndjson"),
]

INVALID = [
    ("top", ["0", "-1", "100001", "1.5", "1e2", "ten", "+1", " 1", "1 ", "1_0", "٣", "9" * 4000], "from 1 to 100000"),
    ("sort", ["cpu", "CPU_PERCENT", "pid,name", "key"], "cpu_percent, "),
    ("order", ["up", "ASC", "asc,desc"], "asc, desc"),
    ("name", ["re:(", "re:a**", "a" * 257], ""),
    ("pid", ["0", "-1", "a", "1,", ",1", "1,,2", "2147483648", "1;2", ",".join("1" * 101)], ""),
    ("user", ["alice,", ",", "a,,b"], "empty"),
    ("state", ["RS", "R,", "1", "é", "*"], "letter of a process state"),
    ("min_percent", ["-1", "1000001", "nan", "inf", "1e400", "1_0", " 1", "0x1", "٣", "1,5", "."], "from 0 to 1e+06"),
    ("kernel_threads", ["1", "True", "yes", "TRUE"], "true, false"),
    ("fields", ["pid,", "nothing", "pid,Name", "*"], "cpu_percent, "),
    ("group_by", ["pid", "Name", "name,user"], "name, user, cgroup, tree"),
    ("format", ["xml", "application/json", "JSON"], "json, ndjson, text"),
]


def parsed(query: str) -> dict[str, Any]:
    return parse_query_string(query.encode(), ALL)


def refusal(query: str | bytes) -> str:
    with pytest.raises(QueryError) as caught:
        parse_query_string(query if isinstance(query, bytes) else query.encode(), ALL)
    return str(caught.value)


@pytest.mark.parametrize(("name", "text", "value"), VALID)
def test_a_valid_value_is_parsed(name: str, text: str, value: Any) -> None:
    assert parsed(urlencode({name: text})) == {name: value}


@pytest.mark.parametrize(("name", "text", "value"), VALID)
def test_a_valid_value_matches_its_schema(name: str, text: str, value: Any) -> None:
    del text
    jsonschema.validate(list(value) if isinstance(value, tuple) else value, ALL[name].schema)


def test_every_parameter_has_valid_and_invalid_examples() -> None:
    assert {name for name, _, _ in VALID} == {name for name, _, _ in INVALID} == ALL.keys()


@pytest.mark.parametrize(
    ("name", "text", "allowed"), [(name, text, told) for name, texts, told in INVALID for text in texts]
)
def test_an_invalid_value_is_refused_with_its_parameter_and_what_is_allowed(name: str, text: str, allowed: str) -> None:
    message = refusal(urlencode({name: text}))
    assert message.startswith(f"invalid {name}")
    assert allowed in message


@pytest.mark.parametrize("name", ALL)
def test_an_empty_value_is_refused(name: str) -> None:
    assert refusal(f"{name}=").startswith(f"invalid {name} '': must ")
    assert refusal(name).startswith(f"invalid {name} '': must ")


@pytest.mark.parametrize(("name", "text", "value"), VALID)
def test_only_lists_may_be_repeated(name: str, text: str, value: Any) -> None:
    del value
    is_list = ALL[name].schema.get("type") == "array"
    twice = urlencode([(name, text), (name, text)]) if len(text) < 1000 else f"{name}=1&{name}=1"
    if is_list and "," not in text:
        assert parsed(twice) == parsed(urlencode({name: f"{text},{text}"}))
    elif not is_list:
        assert refusal(twice) == f"{name} is repeated: it takes one value"


def test_a_repeated_list_is_one_list() -> None:
    assert parsed("fields=pid&fields=name") == parsed("fields=pid,name")
    assert parsed("pid=1&pid=2,3") == parsed("pid=1,2,3")


@pytest.mark.parametrize("query", ["tpo=3", "TOP=3", "top%20=3", "=3", "%00=1", "top=3&x", f"{'x' * 4000}=1"])
def test_an_unknown_parameter_is_refused_with_the_known_ones(query: str) -> None:
    message = refusal(query)
    assert message.startswith("unknown parameter")
    assert all(name in message for name in ALL)
    assert len(message) < 300


def test_the_error_says_if_there_are_no_parameters() -> None:
    with pytest.raises(QueryError, match="accepts none"):
        parse_query_string(b"top=3", {})


def test_a_query_is_limited_to_4096_bytes() -> None:
    assert parsed("&" * 4096) == {}
    assert "4097 bytes: at most 4096" in refusal("&" * 4097)


@pytest.mark.parametrize("query", [b"name=\xff", b"name=%FF", b"name=%ED%A0%80", "name=é".encode("latin-1")])
def test_invalid_utf_8_is_refused(query: bytes) -> None:
    assert refusal(query) == "the query string is not percent-encoded UTF-8"


def test_an_empty_query_is_the_whole_snapshot() -> None:
    assert view_from(parsed("")) == View()


def test_all_parameters_together_make_a_view() -> None:
    query = "top=5&sort=name&order=desc&name=p*&pid=1,2&user=root&state=R,S&min_percent=0.5&kernel_threads=false"
    assert view_from(parsed(f"{query}&fields=pid,name")) == View(
        Query(
            top=5,
            sort="name",
            order="desc",
            name="p*",
            pids=frozenset({1, 2}),
            users=frozenset({"root"}),
            states=frozenset({"R", "S"}),
            min_percent=0.5,
            kernel_threads=False,
        ),
        fields=("pid", "name"),
    )
    assert view_from(parsed("group_by=user&top=3")) == View(Query(top=3), group_by="user")


@pytest.mark.parametrize("query", ["group_by=user&fields=pid", "group_by=user&sort=name", "group_by=user&order=asc"])
def test_conflicting_parameters_are_refused(query: str) -> None:
    with pytest.raises(QueryError, match="group"):
        view_from(parsed(query))


names = st.sampled_from(sorted(ALL)) | st.text(max_size=4)
values = st.sampled_from([text for _, text, _ in VALID]) | st.text(max_size=8) | st.from_regex(r"[-+0-9.e,_]{1,8}")
pieces = st.one_of(
    st.builds(lambda name, value: f"{quote(name)}={quote(value)}".encode(), names, values),
    st.binary(max_size=6),
    st.sampled_from([b"&", b"=", b"%", b"%zz", b";", b"+", b"re:"]),
)


@given(st.lists(pieces, max_size=4).map(b"&".join))
def test_any_query_string_is_parsed_or_a_query_error(raw: bytes) -> None:
    try:
        view = view_from(parse_query_string(raw, ALL))
    except QueryError:
        return
    assert len({view: "kept by it"}) == 1


@given(st.dictionaries(names, values, max_size=4))
def test_accepted_values_match_their_schema(given_values: dict[str, str]) -> None:
    try:
        taken = parsed(urlencode(given_values))
    except QueryError:
        return
    for name, value in taken.items():
        jsonschema.validate(list(value) if isinstance(value, tuple) else value, ALL[name].schema)
