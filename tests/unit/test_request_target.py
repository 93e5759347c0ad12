from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Scope

from cpuwatch.web.http.request import BadTargetError, in_origin_form


def scope(target: bytes, method: str = "GET", host: bytes = b"localhost") -> Scope:
    """Return the ASGI scope that Hypercorn makes for a request target."""
    raw, _, query = target.partition(b"?")
    return {
        "type": "http",
        "method": method,
        "path": unquote(raw.decode("ascii")),
        "raw_path": raw,
        "query_string": query,
        "headers": [(b"accept", b"*/*"), (b"host", host)],
    }


def host_of(found: Scope) -> bytes:
    (host,) = (value for name, value in found["headers"] if name == b"host")
    assert isinstance(host, bytes)
    return host


paths = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(lambda text: b"/" + quote(text).encode())
hosts = st.sampled_from([b"localhost", b"localhost:8845", b"127.0.0.1", b"[::1]:8845", b"EXAMPLE.org"])


@given(paths, hosts, st.sampled_from([b"http", b"https", b"HTTP"]), st.sampled_from([b"", b"?top=1", b"?a=/?"]))
def test_an_absolute_url_is_split_into_host_and_path(path: bytes, host: bytes, scheme: bytes, query: bytes) -> None:
    whole = in_origin_form(scope(scheme + b"://" + host + path + query, host=b"other.example"))
    plain = scope(path + query, host=host)
    assert host_of(whole) == host
    assert {**whole, "headers": None} == {**plain, "headers": None}


@given(paths)
def test_a_path_is_unchanged(path: bytes) -> None:
    plain = scope(path)
    assert in_origin_form(plain) is plain


@pytest.mark.parametrize(
    ("target", "method", "path", "host"),
    [
        (b"http://localhost", "GET", "/", b"localhost"),
        (b"http://localhost?top=1", "GET", "/", b"localhost"),
        (b"http://localhost//etc", "GET", "//etc", b"localhost"),
        (b"http://localhost%2Fx/livez", "GET", "/livez", b"localhost%2Fx"),
        (b"*", "OPTIONS", "/", b"localhost"),
        (b"other.example:443", "CONNECT", "/", b"other.example:443"),
    ],
)
def test_other_forms_have_a_path_and_a_host(target: bytes, method: str, path: str, host: bytes) -> None:
    found = in_origin_form(scope(target, method))
    assert (found["path"], host_of(found)) == (path, host)


@pytest.mark.parametrize(
    ("target", "method"),
    [
        (b"*", "GET"),
        (b"livez", "GET"),
        (b"localhost:8845", "GET"),
        (b"ftp://localhost/livez", "GET"),
        (b"http:/livez", "GET"),
        (b"http:///livez", "GET"),
        (b"http://", "GET"),
        (b"http://user@localhost/livez", "GET"),
        (b"http://evil.example\\@localhost/livez", "GET"),
        (b"http://localhost#/livez", "GET"),
        (b"a@b:80", "CONNECT"),
    ],
)
def test_an_invalid_target_is_refused(target: bytes, method: str) -> None:
    with pytest.raises(BadTargetError, match="must be a path or an http URL"):
        in_origin_form(scope(target, method))


def test_a_scope_without_raw_path_is_accepted() -> None:
    given_scope = {**scope(b"http://localhost/livez"), "raw_path": None}
    assert in_origin_form(given_scope)["path"] == "/livez"
