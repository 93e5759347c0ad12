from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch import CpuwatchError
from cpuwatch.environment import unknown_variables
from cpuwatch.errors import SettingsError
from cpuwatch.settings import VARIABLES, Settings, parse_history, parse_history_bytes, parse_interval
from cpuwatch.token_file import Token


def test_the_defaults_are_one_second_and_an_hour() -> None:
    assert Settings.from_environment({}) == Settings(interval=1.0, history=3600, backend="auto")


def test_each_setting_is_read_from_its_variable() -> None:
    environment = {"CPUWATCH_INTERVAL": "0.5", "CPUWATCH_HISTORY": "10", "CPUWATCH_BACKEND": "psutil"}
    assert Settings.from_environment(environment) == Settings(0.5, 10, backend="psutil")


def test_other_variables_are_ignored() -> None:
    assert Settings.from_environment({"PATH": "/bin", "WATCH_INTERVAL": "x", "XCPUWATCH_Y": "1"}) == Settings()


@pytest.mark.parametrize("variable", sorted(VARIABLES))
def test_an_empty_variable_counts_as_unset(variable: str) -> None:
    # As in compose files: `CPUWATCH_INTERVAL=${INTERVAL:-}`.
    assert Settings.from_environment({variable: ""}) == Settings()


def test_only_the_variables_of_the_given_fields_are_read() -> None:
    environment = {"CPUWATCH_INTERVAL": "5", "CPUWATCH_TOKEN_FILE": "/none/such", "CPUWATCH_HISTORY": "-1"}
    assert Settings.from_environment(environment, {"interval", "backend"}) == Settings(interval=5.0)
    with pytest.raises(SettingsError, match="CPUWATCH_HISTORY"):
        Settings.from_environment(environment, {"history"})


@pytest.mark.parametrize(
    ("variable", "text", "allowed"),
    [
        ("CPUWATCH_INTERVAL", "0", "from 0.05 to 3600"),
        ("CPUWATCH_INTERVAL", "nan", "from 0.05 to 3600"),
        ("CPUWATCH_INTERVAL", "inf", "from 0.05 to 3600"),
        ("CPUWATCH_INTERVAL", "1 s", "from 0.05 to 3600"),
        ("CPUWATCH_INTERVAL", " ", "from 0.05 to 3600"),
        ("CPUWATCH_HISTORY", "0", "from 1 to 86400"),
        ("CPUWATCH_HISTORY", "1.5", "from 1 to 86400"),
        ("CPUWATCH_HISTORY", "-1", "from 1 to 86400"),
        ("CPUWATCH_HISTORY", "٣", "from 1 to 86400"),
        ("CPUWATCH_HISTORY", "86401", "from 1 to 86400"),
        ("CPUWATCH_STREAMS", "-1", "from 0 to 10000"),
        ("CPUWATCH_STREAMS", "10001", "from 0 to 10000"),
        ("CPUWATCH_METRIC_NAMES", "0", "from 1 to 500"),
        ("CPUWATCH_METRIC_NAMES", "501", "from 1 to 500"),
    ],
)
def test_an_invalid_value_is_named_with_what_is_allowed(variable: str, text: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({variable: text})
    message = str(caught.value)
    assert message.startswith(f"{variable}: ")
    assert allowed in message
    assert "\n" not in message
    assert isinstance(caught.value, CpuwatchError)
    assert isinstance(caught.value, ValueError)


def test_access_and_log_settings_are_read(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef\n")
    settings = Settings.from_environment(
        {
            "CPUWATCH_TOKEN_FILE": str(tmp_path / "token"),
            "CPUWATCH_ALLOWED_HOSTS": "Watch.Example.org., 10.0.0.1,[::1]",
            "CPUWATCH_CORS_ORIGINS": "https://Grafana.example:443,http://[::1]:3000",
            "CPUWATCH_LOG_FORMAT": "json",
            "CPUWATCH_ACCESS_LOG": "true",
            "CPUWATCH_PROXIES": "127.0.0.1, 10.0.0.0/8,fd00::/8",
        }
    )
    assert settings.token == Token(b"0123456789abcdef")
    assert settings.allowed_hosts == {"watch.example.org", "10.0.0.1", "::1"}
    assert settings.cors_origins == {"https://grafana.example", "http://[::1]:3000"}
    assert settings.log_format == "json"
    assert settings.access_log
    assert settings.proxies == {ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("fd00::/8")}


@pytest.mark.parametrize(
    ("variable", "text", "allowed"),
    [
        ("CPUWATCH_TOKEN", "short", "use at least 16"),
        ("CPUWATCH_TOKEN", "with a blank in the middle", "letters, digits"),
        ("CPUWATCH_TOKEN_FILE", "/none/such", "No such file"),
        ("CPUWATCH_TOKEN_FILE", "/", "directory"),
        ("CPUWATCH_TOKEN_FILE", "/dev/null", "'/dev/null': the token is empty"),
        ("CPUWATCH_ALLOWED_HOSTS", ",", "must be a host name"),
        ("CPUWATCH_ALLOWED_HOSTS", "a:80", "without port"),
        ("CPUWATCH_ALLOWED_HOSTS", "a,,b", "must be a host name"),
        ("CPUWATCH_CORS_ORIGINS", "*", "https://example.org"),
        ("CPUWATCH_CORS_ORIGINS", "https://a/", "https://example.org"),
        ("CPUWATCH_CORS_ORIGINS", "null", "https://example.org"),
        ("CPUWATCH_PROXIES", "10.0.0.1/8", "10.0.0.0/8"),
        ("CPUWATCH_PROXIES", ",", "10.0.0.0/8"),
        ("CPUWATCH_LOG_FORMAT", "xml", "must be text or json"),
        ("CPUWATCH_ACCESS_LOG", "maybe", "true, false"),
    ],
)
def test_an_invalid_access_setting_is_named(variable: str, text: str, allowed: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{variable}: .*{re.escape(allowed)}"):
        Settings.from_environment({variable: text})


def test_two_tokens_are_refused() -> None:
    with pytest.raises(SettingsError, match="CPUWATCH_TOKEN and CPUWATCH_TOKEN_FILE"):
        Settings.from_environment({"CPUWATCH_TOKEN": "0123456789abcdef", "CPUWATCH_TOKEN_FILE": "/dev/null"})


@pytest.mark.parametrize("text", ["secret", "secret-secret secret-secret", "secret-secret-secret\x00"])
def test_a_token_appears_neither_in_errors_nor_in_repr(text: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(text)
    for variable, value in (("CPUWATCH_TOKEN", text), ("CPUWATCH_TOKEN_FILE", str(tmp_path / "token"))):
        with pytest.raises(SettingsError) as caught:
            Settings.from_environment({variable: value})
        assert "secret" not in str(caught.value).removeprefix(str(tmp_path))
    settings = Settings.from_environment({"CPUWATCH_TOKEN": "secret-secret-secret"})
    assert "secret" not in repr(settings)
    assert "secret" not in f"{settings.token}"


@given(st.floats(0.05, 3600))
def test_every_interval_in_the_range_is_accepted(seconds: float) -> None:
    assert parse_interval(repr(seconds)) == seconds


@given(
    st.floats(max_value=0.05, exclude_max=True) | st.floats(min_value=3600, exclude_min=True) | st.just(float("nan"))
)
def test_an_interval_out_of_range_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="must be a number of seconds"):
        parse_interval(repr(seconds))


@given(st.integers(1, 86_400))
def test_every_history_in_the_range_is_accepted(ticks: int) -> None:
    assert parse_history(str(ticks)) == ticks


@given(st.integers(max_value=0) | st.integers(min_value=86_401))
def test_a_history_out_of_range_is_refused(ticks: int) -> None:
    with pytest.raises(ValueError, match="must be an integer from 1 to 86400"):
        parse_history(str(ticks))


@given(st.integers(2**20, 2**40))
def test_any_amount_of_memory_in_the_range_is_accepted(number: int) -> None:
    assert Settings.from_environment({"CPUWATCH_HISTORY_BYTES": str(number)}).history_bytes == number


@given(st.integers(max_value=2**20 - 1) | st.integers(min_value=2**40 + 1))
def test_an_amount_of_memory_out_of_range_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=r"invalid number of bytes .*must be an integer"):
        parse_history_bytes(str(number))


@given(st.text(), st.sampled_from([parse_interval, parse_history]))
def test_a_text_is_parsed_or_refused_with_a_value_error(text: str, parse: object) -> None:
    assert callable(parse)
    try:
        assert parse(text) > 0
    except ValueError as error:
        # Only the beginning of a long text.
        assert repr(text[:40])[:-1] in str(error)  # noqa: PT017  either outcome is right


def test_docs_operations_names_exactly_these_settings() -> None:
    document = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    assert set(re.findall(r"^\| `(CPUWATCH_[A-Z_]+)`", document, re.MULTILINE)) == set(VARIABLES)
    named = dict.fromkeys(re.findall(r"CPUWATCH_[A-Z0-9_]{2,}", document), "tcp://10.0.0.1:80")
    # All other names in the document are examples of mistakes.
    assert set(unknown_variables(named)) == {"CPUWATCH_TOKEN_FIEL", "CPUWATCH_VERSION"}
