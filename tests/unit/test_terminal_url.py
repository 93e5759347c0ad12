"""The URL of ``cpuwatch top URL``."""

from __future__ import annotations

import pytest

from cpuwatch.commands.cli import main
from cpuwatch.errors import SettingsError
from cpuwatch.terminal.remote import Url, parse_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://host:8845", Url(True, "host", 8845, "")),
        ("http://[::1]:1/prefix/", Url(False, "::1", 1, "/prefix")),
        ("https://host", Url(True, "host", 443, "")),
    ],
)
def test_a_url_has_a_host_and_may_have_a_port_and_a_prefix(text: str, expected: Url) -> None:
    assert parse_url(text) == expected


@pytest.mark.parametrize(
    "text", ["ftp://host", "http://", "http://user@host", "http://host/?a", "http://host#a", "http://host:port"]
)
def test_an_invalid_url_is_named_with_a_valid_one(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^invalid URL '.*': must be like https://host:8845"):
        parse_url(text)


@pytest.mark.parametrize(
    ("source", "instead"), [("http://host", "request /cpu_usage?format=text"), ("folder", "use cpuwatch replay")]
)
def test_a_batch_of_another_source_is_an_error_that_names_what_prints_it(
    source: str, instead: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top", "--batch", source]) == 2
    assert capsys.readouterr().err == f"cpuwatch: --batch samples this machine: leave out '{source}', or {instead}\n"
