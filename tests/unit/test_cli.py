from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from readings import SECOND, process, reading, snapshot

from cpuwatch import CpuwatchError, Snapshot, decode, usage
from cpuwatch.commands.cli import main
from cpuwatch.errors import DecodeError, SamplerUnavailableError
from cpuwatch.server.listening import Listening, is_local, parse_bind
from cpuwatch.settings import Settings
from cpuwatch.token_file import Token


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove cpuwatch's variables from the environment."""
    for variable in list(os.environ):
        if variable.startswith("CPUWATCH_") or variable == "COLUMNS":
            monkeypatch.delenv(variable)


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str]]:
    """Record the interval and backend of each sample, without waiting."""
    calls: list[tuple[float, str]] = []

    def sample(interval: float, backend: str, **___: bool) -> Snapshot:
        calls.append((interval, backend))
        return snapshot(*((pid, pid * 1_000_000) for pid in range(1, 31)))

    monkeypatch.setattr("cpuwatch.commands.sample.sample", sample)
    return calls


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, Listening]]:
    calls: list[tuple[Settings, Listening]] = []
    monkeypatch.setattr(
        "cpuwatch.commands.serve.serve", lambda settings, listening: calls.append((settings, listening))
    )
    return calls


# Invalid arguments


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "COMMAND"),
        (["nope"], "nope"),
        (["--nope", "sample"], "--nope"),
        (["sample", "extra"], "extra"),
        (["sample", "--nope"], "--nope"),
        # If abbreviations were accepted, new flags could make them ambiguous.
        (["sample", "--inter", "1"], "unknown argument '--inter': did you mean --interval?"),
        (["sample", "--usr=root"], "unknown argument '--usr=root': did you mean --user?"),
        (["sample", "--interval"], "--interval"),
        (["sample", "--interval", "0"], "from 0.05 to 3600"),
        (["sample", "--interval", "soon"], "'soon'"),
        (["sample", "--top", "0"], "invalid top '0': must be an integer from 1 to 100000"),
        (["sample", "--top", "-1"], "--top"),
        (["sample", "--top", "1.5"], "'1.5'"),
        (["sample", "--bind", ":80"], "--bind"),
        (["serve", "--bind", "nonsense"], "HOST:PORT"),
        (["serve", "--port", "65536"], "invalid port '65536': must be an integer from 0 to 65535"),
        (["serve", "--port", ""], "invalid port ''"),
        (["serve", "--host", "a b"], "invalid host 'a b': must be a host name or an IP address, without port"),
        (["serve", "--host", ""], "invalid host ''"),
        (["serve", "--host", "localhost:80"], "without port"),
        (["serve", "--bind", "127.0.0.1:1", "--bind", "[::1]:1"], "--bind can be given only once"),
        (["serve", "--history", "0"], "from 1 to 86400"),
        (["serve", "--root-path", "cpu"], "invalid prefix 'cpu'"),
        (["serve", "--root-path", "/cpu?x"], "a path such as /cpu"),
        (["serve", "--root-path", "//cpu"], "a path such as /cpu"),
        (["serve", "--proxies", "proxy.example"], "invalid address or network 'proxy.example'"),
        (["serve", "--history-bytes", "1024"], "from 1048576 to 1099511627776"),
        (["serve", "--json"], "--json"),
        (["serve", "--token", "a"], "--token"),
        (["serve", "--token-file", "/none"], "cannot read '/none': No such file or directory"),
        (["serve", "--allowed-hosts", "a b"], "invalid host 'a b': must be a host name or an IP address"),
        (["serve", "--cors-origins", "*"], "invalid origin '*': must be scheme and host, such as https://example.org"),
        (["serve", "--log-format", "xml"], "invalid log format 'xml': must be text or json"),
        (["sample", "--format", "xml"], "json, ndjson, text"),
        (["sample", "--sort", "colour"], "cpu_percent"),
        (["sample", "--name", "re:("], "RE2"),
        (["sample", "--pid", "1,x"], "'x'"),
        (["sample", "-n"], "-n/--top"),
        (["sample", "-n", "3", "--all"], "--all"),
    ],
)
def test_an_invalid_command_is_reported_in_one_line(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("cpuwatch")
    assert named in line
    assert "--help" in line


@pytest.mark.parametrize(
    ("command", "variable", "text"),
    [
        ("sample", "CPUWATCH_INTERVAL", "never"),
        ("serve", "CPUWATCH_INTERVAL", "never"),
        ("serve", "CPUWATCH_HISTORY", "-1"),
        ("serve", "CPUWATCH_TOKEN_FILE", "/none/such"),
    ],
)
@pytest.mark.usefixtures("sampled", "served")
def test_an_invalid_variable_is_reported_in_one_line(
    command: str, variable: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, text)
    assert main([command]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"cpuwatch: {variable}: ")


@pytest.mark.usefixtures("sampled")
def test_a_setting_of_the_service_does_not_stop_a_sample(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CPUWATCH_TOKEN_FILE", "/none/such")
    monkeypatch.setenv("CPUWATCH_HISTORY", "-1")
    assert main(["sample"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("sampled", "served")
def test_an_unknown_variable_only_causes_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CPUWATCH_INTERVALL", "1")
    told = "CPUWATCH_INTERVALL is not a setting and is ignored; did you mean CPUWATCH_INTERVAL?"
    assert main(["sample"]) == 0
    assert capsys.readouterr().err == f"cpuwatch: {told}\n"
    assert main(["serve"]) == 0
    assert caplog.messages == [told]


@pytest.mark.parametrize(("variable", "text"), [("CPUWATCH_TOKEN_FIEL", "/run/token"), ("CPUWATCH_TOKEN_FILE", "")])
def test_the_service_does_not_start_without_a_token_if_the_environment_seems_to_set_one(
    variable: str,
    text: str,
    served: list[tuple[Settings, Listening]],
    token_file: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, text)
    for arguments in (["serve"], ["serve", "--bind", ":8845", "--open-to-everyone"]):
        assert main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"cpuwatch: {variable} is ")
    assert not served
    assert main(["serve", "--token-file", token_file]) == 0


def test_an_unknown_backend_is_reported_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--backend", "prokfs"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "'prokfs'" in line
    assert "procfs, psutil" in line


# Failures


def test_a_backend_that_cannot_work_here_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def sample(_: float, __: str, **___: bool) -> Snapshot:
        raise SamplerUnavailableError("/proc is no /proc of Linux")

    monkeypatch.setattr("cpuwatch.commands.sample.sample", sample)
    assert main(["sample"]) == 1
    assert capsys.readouterr().err == "cpuwatch: /proc is no /proc of Linux\n"


def test_a_system_error_names_its_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def sample(_: float, __: str, **___: bool) -> Snapshot:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "/proc/1/stat")

    monkeypatch.setattr("cpuwatch.commands.sample.sample", sample)
    assert main(["sample"]) == 1
    assert capsys.readouterr().err == "cpuwatch: Too many open files: /proc/1/stat\n"


@pytest.mark.parametrize(
    "defect", [ValueError("ours"), UnicodeEncodeError("ascii", "\xf6", 0, 1, "ours"), DecodeError("ours"), KeyError(1)]
)
def test_a_defect_is_not_reported_as_wrong_usage(
    defect: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def sample(_: float, __: str, **___: bool) -> Snapshot:
        raise defect

    monkeypatch.setattr("cpuwatch.commands.sample.sample", sample)
    if isinstance(defect, CpuwatchError):
        assert main(["sample"]) == 1
        assert capsys.readouterr().err == "cpuwatch: ours\n"
    else:
        # The interpreter writes its traceback, and exits with 1.
        with pytest.raises(type(defect)):
            main(["sample"])


def test_an_interrupt_ends_with_the_code_that_shells_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    def sample(_: float, __: str, **___: bool) -> Snapshot:
        raise KeyboardInterrupt

    monkeypatch.setattr("cpuwatch.commands.sample.sample", sample)
    assert main(["sample"]) == 128 + 2


def test_a_reader_that_closes_the_pipe_is_not_a_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cpuwatch", "sample", "--interval", "0.05", "--json"],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


# sample


def test_by_default_the_twenty_busiest_are_shown_in_a_table(
    sampled: list[tuple[float, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = out.splitlines()[5:]
    assert [int(row.split()[0]) for row in rows[:-1]] == list(range(30, 10, -1))
    assert rows[-1] == "... 10 more (--all shows them)"
    assert sampled == [(1.0, "auto")]


def test_json_contains_all_processes_in_one_line(
    sampled: list[tuple[float, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "--json", "--interval", "0.25", "--backend", "psutil"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert len(json.loads(out)["processes"]) == 30
    assert len(decode(out).processes) == 30
    assert sampled == [(0.25, "psutil")]


@pytest.mark.usefixtures("sampled")
def test_top_applies_to_both_formats(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--json", "--top", "2"]) == 0
    assert [row["pid"] for row in json.loads(capsys.readouterr().out)["processes"]] == [30, 29]
    assert main(["sample", "--top", "2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5 + 2 + 1
    assert main(["sample", "-n", "2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5 + 2 + 1


@pytest.mark.usefixtures("sampled")
@pytest.mark.parametrize("flags", [["--all"], ["--top", "30"]])
def test_all_rows_can_be_shown_busiest_first(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", *flags]) == 0
    rows = capsys.readouterr().out.splitlines()[5:]
    assert [int(row.split()[0]) for row in rows] == list(range(30, 0, -1))


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--pid", "999"], "no process with PID 999"),
        (["--pid", "7,999,998"], "no process with PID 998; no process with PID 999"),
        (["--user", "nobody-such"], "no user 'nobody-such'"),
        (["--user", "nobody-such", "--group-by", "name"], "no user 'nobody-such'"),
    ],
)
@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.usefixtures("sampled")
def test_a_filter_with_an_unknown_name_fails_after_valid_output(
    flags: list[str], complaint: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "--format", form, *flags]) == 1
    out, err = capsys.readouterr()
    assert err == f"cpuwatch: {complaint}\n"
    if form == "json":
        rows = json.loads(out)
        assert [row["pid"] for row in rows.get("processes", [])] == ([7] if "7,999,998" in flags else [])
    else:
        assert out.startswith("here ")


@pytest.mark.parametrize("flags", [["--user", "root"], ["--pid", "7", "--user", "root"], ["--name", "none"]])
@pytest.mark.usefixtures("sampled")
def test_a_filter_that_matches_nothing_is_not_a_failure(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    # root has an account, but none of these processes.
    assert main(["sample", "--json", *flags]) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out)["processes"], err) == ([], "")


@pytest.mark.usefixtures("sampled")
def test_the_table_is_as_wide_as_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["sample", "-n", "1"])
    assert capsys.readouterr().out.splitlines()[4].split()[-3:] == ["EXITED%", "TIME", "NAME"]
    monkeypatch.setenv("COLUMNS", "40")
    main(["sample", "-n", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40
    (heading,) = (line.split() for line in lines if "PID" in line)
    assert (heading[0], heading[-1], "SYS%" in heading) == ("PID", "NAME", False)
    main(["sample", "-n", "1", "--json"])
    assert len(capsys.readouterr().out) > 40


def test_a_flag_overrides_the_environment_which_overrides_the_default(
    sampled: list[tuple[float, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPUWATCH_INTERVAL", "5")
    monkeypatch.setenv("CPUWATCH_BACKEND", "psutil")
    assert main(["sample", "--interval", "2"]) == 0
    assert main(["sample", "--backend", "procfs"]) == 0
    assert sampled == [(2.0, "psutil"), (5.0, "procfs")]


@pytest.mark.usefixtures("sampled")
@pytest.mark.parametrize(
    ("flags", "pids"),
    [
        (["--sort", "pid", "--top", "3"], [1, 2, 3]),
        (["--sort", "pid", "--order", "desc", "--top", "2"], [30, 29]),
        (["--pid", "4,7"], [7, 4]),
        (["--min-percent", "2.9"], [30, 29]),
        (["--state", "Z"], []),
        (["--name", "re:^w.*k$", "--top", "1"], [30]),
        (["--name", "wor"], []),
    ],
)
def test_every_query_parameter_of_the_service_is_a_flag(
    flags: list[str], pids: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "--format", "json", *flags]) == 0
    assert [row["pid"] for row in json.loads(capsys.readouterr().out)["processes"]] == pids


def test_kernel_threads_can_be_left_out(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    earlier, later = (reading(process(1), process(2, name="kthreadd"), at_ns=at * SECOND) for at in (100, 101))
    monkeypatch.setattr("cpuwatch.commands.sample.sample", lambda _, __, **___: usage(earlier, later))
    assert main(["sample", "--json", "--no-kernel-threads"]) == 0
    assert [row["pid"] for row in json.loads(capsys.readouterr().out)["processes"]] == [1]


@pytest.mark.usefixtures("sampled")
def test_lines_of_json_have_the_requested_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--format", "ndjson", "--fields", "pid,cpu_percent", "--top", "1"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first)["kind"] == "snapshot"
    assert json.loads(second).keys() == {"kind", "pid", "cpu_percent"}


@pytest.mark.usefixtures("sampled")
def test_the_table_has_the_requested_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--fields", "name,pid", "--top", "1"]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()[4:6]] == [["NAME", "PID"], ["work", "30"]]


@pytest.mark.usefixtures("sampled")
def test_groups_are_shown_in_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--group-by", "user"]) == 0
    assert capsys.readouterr().out.splitlines()[4].split()[-1] == "GROUP"
    assert main(["sample", "--group-by", "user", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["groups"][0]["processes"] == 30


@pytest.mark.usefixtures("sampled")
@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--fields", "pid", "--group-by", "user", "--json"], "group_by"),
        (["--sort", "pid", "--group-by", "user"], "group_by"),
    ],
)
def test_conflicting_flags_are_reported_in_one_line(
    flags: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert named in line


@pytest.mark.parametrize("flags", [["--name"], ["--user"]])
def test_a_name_with_invalid_utf_8_is_found(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # As returned by samplers, and as Python decodes a command-line argument.
    earlier, later = (
        reading(process(1), process(2, name=r"\xff", user=r"\xff"), at_ns=at * SECOND) for at in (100, 101)
    )
    monkeypatch.setattr("cpuwatch.commands.sample.sample", lambda _, __, **___: usage(earlier, later))
    assert main(["sample", "--json", *flags, "\udcff"]) == 0
    assert [row["pid"] for row in json.loads(capsys.readouterr().out)["processes"]] == [2]


# serve


def test_the_default_address_is_local(served: list[tuple[Settings, Listening]]) -> None:
    assert main(["serve"]) == 0
    assert served == [(Settings(), Listening("127.0.0.1:8845"))]


@pytest.mark.parametrize(
    ("flags", "bind"),
    [
        (["--port", "80"], "127.0.0.1:80"),
        (["--host", "::1"], "[::1]:8845"),
        (["--host", "[::1]", "--port", "0"], "[::1]:0"),
        (["--host", "LOCALHOST", "--port", "80"], "localhost:80"),
    ],
)
def test_host_and_port_can_be_given_separately(
    flags: list[str], bind: str, served: list[tuple[Settings, Listening]]
) -> None:
    assert main(["serve", *flags]) == 0
    assert served == [(Settings(), Listening(bind))]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])  # noqa: S104
def test_a_public_host_needs_a_token_too(
    host: str, served: list[tuple[Settings, Listening]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--host", host]) == 2
    assert "--token-file FILE" in capsys.readouterr().err
    assert not served


@pytest.mark.parametrize("flags", [["--host", "127.0.0.1"], ["--port", "8845"]])
def test_host_and_port_conflict_with_bind(
    flags: list[str], served: list[tuple[Settings, Listening]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--bind", "127.0.0.1:8845", *flags]) == 2
    assert capsys.readouterr().err.startswith(f"cpuwatch: {flags[0]} conflicts with --bind: use ")
    assert not served


def test_serving_takes_all_settings_from_flags(served: list[tuple[Settings, Listening]], token_file: str) -> None:
    arguments = ["--bind", "[::]:80", "--interval", "2", "--history", "30", "--backend", "psutil"]
    arguments += ["--token-file", token_file, "--allowed-hosts", "Watch,10.0.0.1", "--access-log"]
    arguments += ["--cors-origins", "https://a.example,http://b.example:3000", "--log-format", "json"]
    arguments += ["--history-bytes", "2000000"]
    arguments += ["--proxies", "10.0.0.0/8", "--root-path", "/cpu/", "--certfile", "cert", "--keyfile", "key"]
    assert main(["serve", *arguments]) == 0
    settings = Settings(
        interval=2.0,
        history=30,
        history_bytes=2_000_000,
        backend="psutil",
        token=Token(b"open-sesame-open"),
        allowed_hosts=frozenset({"watch", "10.0.0.1"}),
        cors_origins=frozenset({"https://a.example", "http://b.example:3000"}),
        log_format="json",
        access_log=True,
        proxies=frozenset({ip_network("10.0.0.0/8")}),
    )
    assert served == [(settings, Listening("[::]:80", "/cpu", "cert", "key"))]


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text("open-sesame-open\n")
    return str(path)


@pytest.mark.parametrize("bind", [":8845", "0.0.0.0:8845", "[::]:8845", "192.0.2.1:8845", "machine:8845"])
def test_an_address_that_others_can_reach_needs_a_token_or_open_to_everyone(
    bind: str, served: list[tuple[Settings, Listening]], token_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--bind", bind]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert bind in line
    assert "--token-file FILE" in line
    assert "--open-to-everyone" in line
    assert not served
    assert main(["serve", "--bind", bind, "--token-file", token_file]) == 0
    assert main(["serve", "--bind", bind, "--open-to-everyone"]) == 0
    assert [settings.token is not None for settings, _ in served] == [True, False]


def test_a_token_in_the_environment_allows_a_public_address(
    served: list[tuple[Settings, Listening]], token_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPUWATCH_TOKEN_FILE", token_file)
    assert main(["serve", "--bind", ":8845"]) == 0
    assert main(["serve", "--bind", ":8845", "--open-to-everyone"]) == 2
    assert len(served) == 1


@pytest.mark.parametrize("bind", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/run/x", "fd://3"])
def test_a_local_address_needs_no_token(bind: str, served: list[tuple[Settings, Listening]]) -> None:
    assert is_local(bind)
    assert main(["serve", "--bind", bind]) == 0
    assert len(served) == 1


@given(st.ip_addresses())
def test_only_loopback_addresses_are_local(address: IPv4Address | IPv6Address) -> None:
    place = f"[{address}]:1" if address.version == 6 else f"{address}:1"
    assert is_local(place) == address.is_loopback


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_the_version_is_that_of_the_installed_package(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([flag])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"cpuwatch {version('cpuwatch')}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["sample", "--help"], ["serve", "--help"]])
def test_help_goes_to_the_standard_output(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 0
    out, err = capsys.readouterr()
    assert out.startswith("usage: cpuwatch")
    assert err == ""


# parse_bind


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1:8845", "localhost:1", ":8845", "[::1]:8845", "[::]:0", "host-1.example.org:65535"),
        *("unix:/run/cpuwatch.sock", "unix:a b", "fd://3"),
    ],
)
def test_a_valid_address_is_returned_unchanged(text: str) -> None:
    assert parse_bind(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "8845", "localhost", "localhost:", "localhost:http", "localhost:65536", "localhost:-1", "::1:8845"),
        *(
            "fd://2147483648",
            "[::1]",
            "[::1",
            "[x]:1",
            "a b:1",
            "a/b:1",
            "http://localhost:1",
            "unix:",
            "fd://",
            "fd://x",
            "h:1\n",
            "h:٣",
        ),
    ],
)
def test_an_invalid_address_is_refused_with_the_valid_forms(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"invalid address {text!r}: must be HOST:PORT, [IPV6]:PORT, ")):
        parse_bind(text)


@given(st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map("[{}]".format), st.integers(0, 65_535))
def test_every_address_and_port_is_valid(address: str, port: int) -> None:
    assert parse_bind(f"{address}:{port}") == f"{address}:{port}"


@given(st.integers(65_536, 10**9))
def test_a_port_above_65535_is_invalid(port: int) -> None:
    with pytest.raises(ValueError, match="with a port from 0 to 65535"):
        parse_bind(f"localhost:{port}")


def test_one_second_of_work_is_shown_as_100_percent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cpuwatch.commands.sample.sample", lambda _, __, **___: snapshot((7, SECOND)))
    main(["sample"])
    assert capsys.readouterr().out.splitlines()[-1].split()[3] == "100.0"
