"""``cpuwatch ship`` to a directory and to S3 as moto serves it; the result queried by DuckDB."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from live_server import SCRIPTS, environment
from peer_servers import answer, raw_server
from recorded_days import record_days

moto_server = pytest.importorskip("moto.server", reason="installed on one version of Python only")
duckdb = pytest.importorskip("duckdb", reason="installed on one version of Python only")

pyarrow_dataset = pytest.importorskip("pyarrow.dataset")
fs = pytest.importorskip("pyarrow.fs")

pytestmark = [pytest.mark.timeout(240), pytest.mark.any_python]

END = datetime(2026, 3, 2, tzinfo=UTC)
ACCESS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
WAIT_SECONDS = 60
FLEET = (Path(__file__).parents[2] / "docs/fleet.md").read_text()
QUERIES = re.findall(r"^```sql\n(.*?)^```$", FLEET.partition("## The lake")[2], re.MULTILINE | re.DOTALL)


class Bucket:
    """A bucket ``lake`` on loopback."""

    def __init__(self, authority: str) -> None:
        self.variables = {**ACCESS, "AWS_ENDPOINT_URL": f"http://{authority}", "AWS_EC2_METADATA_DISABLED": "true"}
        self.files = fs.S3FileSystem(
            endpoint_override=authority,
            scheme="http",
            access_key="key",
            secret_key="secret",  # noqa: S106  moto accepts any
            region="us-east-1",
            allow_bucket_creation=True,
        )
        self.files.create_dir("lake")

    def listed(self, prefix: str) -> dict[str, int]:
        found = self.files.get_file_info(fs.FileSelector(f"lake/{prefix}", recursive=True, allow_not_found=True))
        return {each.path.removeprefix(f"lake/{prefix}/"): each.size for each in found if each.is_file}

    def table(self, prefix: str, name: str) -> Any:
        place = f"lake/{prefix}/{name}"
        return pyarrow_dataset.dataset(place, filesystem=self.files, partitioning="hive", format="parquet")


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Bucket(f"{host}:{port}")
    finally:
        server.stop()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory: Path = tmp_path_factory.mktemp("ship") / "recording"
    record_days(directory, END)
    return directory


def ship(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPTS / "cpuwatch"), "ship", *map(str, arguments)]
    given = environment(AWS_EC2_METADATA_DISABLED="true") | variables
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=given)


@contextmanager
def shipping(*arguments: str | Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    command = [str(SCRIPTS / "cpuwatch"), "ship", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment(**variables))
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def progress(path: Path, number: int) -> None:
    """Wait until this many blocks are noted as shipped."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not path.exists() or msgspec.json.decode(path.read_bytes())["number"] < number:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_shipment_goes_on_and_the_amounts_are_those_of_the_report(
    bucket: Bucket, recorded: Path, tmp_path: Path
) -> None:
    state, whole = tmp_path / "state", tmp_path / "whole"
    target = "s3://lake/killed"
    flags = (recorded, target, "--progress-file", state)
    with shipping(*flags, "--bytes-per-second", "20kB", **bucket.variables) as process:
        progress(state, 2)
        process.send_signal(signal.SIGKILL)
        assert process.wait(WAIT_SECONDS) == -signal.SIGKILL
    begun = bucket.listed("killed")
    assert begun
    done = ship(*flags, **bucket.variables)
    assert done.returncode == 0, done.stderr
    listed = bucket.listed("killed")
    assert begun.items() <= listed.items()
    # The same as without an interruption, in a directory.
    assert ship(recorded, whole, "--progress-file", tmp_path / "other").returncode == 0
    assert listed == {str(file.relative_to(whole)): file.stat().st_size for file in whole.rglob("*.parquet")}
    assert "shipped 0 blocks" in ship(*flags, **bucket.variables).stderr

    span = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-12-31T00:00:00Z")
    report = subprocess.run(
        [SCRIPTS / "cpuwatch", "report", recorded, *span, "--group-by", "name", "--json"],
        capture_output=True, check=True, env=environment(),
    )  # fmt: skip
    groups = {row["group"]: row["cpu_seconds"] for row in msgspec.json.decode(report.stdout)["groups"]}
    tables = {name: bucket.table("killed", name) for name in ("processes", "exited")}
    processes, exited = tables["processes"], tables["exited"]  # noqa: F841  DuckDB finds them by their names
    found = dict(
        duckdb.sql(
            "SELECT name, sum(cpu_percent * interval_seconds) / 100 FROM (FROM processes SELECT name, cpu_percent, "
            "interval_seconds UNION ALL FROM exited SELECT name, cpu_percent, interval_seconds) GROUP BY name"
        ).fetchall()
    )
    assert found == pytest.approx(groups, rel=1e-6)
    ticks = bucket.table("killed", "ticks")  # noqa: F841
    assert duckdb.sql("SELECT count(*) = count(DISTINCT (boot_id, run, sequence)) FROM ticks").fetchall() == [(True,)]


def test_the_queries_of_the_document_run(recorded: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    assert ship(recorded, lake, "--progress-file", tmp_path / "state").returncode == 0
    hours, names, merged = (text.replace("s3://bucket/cpuwatch", str(lake)) for text in QUERIES)
    assert len(duckdb.sql(hours.partition(";")[2]).fetchall()) == 20
    assert {row[0] for row in duckdb.sql(names).fetchall()} == {"web", "make", "backup", "<img src=x onerror=alert(1)>"}
    duckdb.sql(merged)
    day = f"read_parquet('{lake}/processes/*/day=2026-03-01/*.parquet')"
    counts = f"SELECT (SELECT count(*) FROM '{lake}/merged-2026-03-01.parquet'), (SELECT count(*) FROM {day})"  # noqa: S608
    ((of_merged, of_day),) = duckdb.sql(counts).fetchall()
    assert of_merged == of_day > 0


def test_new_blocks_are_shipped_as_they_come_until_a_signal(tmp_path: Path) -> None:
    directory, lake, state = tmp_path / "recording", tmp_path / "lake", tmp_path / "state"
    record_days(directory, END)
    last = max(int(path.name.partition(".")[0]) for path in directory.glob("*.block"))
    hidden = directory / f"{last:08}.block"
    hidden.rename(tmp_path / "hidden")
    with shipping(directory, lake, "--follow", "--progress-file", state) as process:
        progress(state, last - 1)
        (tmp_path / "hidden").rename(hidden)
        progress(state, last)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) == 0


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, r"there is no bucket 'missing'; create it first"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, r"NETWORK_CONNECTION: .* \(the endpoint cannot be reached\)"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_an_error_of_one_line(
    bucket: Bucket, recorded: Path, variables: dict[str, str], message: str
) -> None:
    done = ship(recorded, "s3://missing/x", **(bucket.variables | variables))
    assert done.returncode == 1
    assert re.fullmatch(rf"cpuwatch: cannot ship to s3://missing/x: {message}\n", done.stderr), done.stderr


def test_refused_credentials_are_an_error_that_says_what_to_set(recorded: Path, tmp_path: Path) -> None:
    body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    refusal = answer(body, "403 Forbidden").replace(b"application/json", b"application/xml")
    with raw_server(lambda request: refusal if request.startswith((b"PUT", b"POST")) else refusal[: -len(body)]) as s3:
        variables = {**ACCESS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3.port}"}
        done = ship(recorded, "s3://lake/x", "--progress-file", tmp_path / "state", **variables)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("cpuwatch: cannot ship to s3://lake/x: ACCESS_DENIED: ")
    assert last.endswith("(set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role that may write there)")


def test_a_full_disk_is_an_error_of_one_line(recorded: Path, tmp_path: Path) -> None:
    limited = (
        f"ulimit -f 1; exec {SCRIPTS / 'cpuwatch'} ship {recorded} {tmp_path / 'lake'} --progress-file {tmp_path}/s"
    )
    done = subprocess.run(
        ["bash", "-c", limited], capture_output=True, text=True, check=False, env=environment(), timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("cpuwatch: cannot ")
    assert "File too large" in done.stderr
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_directory_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    done = ship(tmp_path, tmp_path / "lake")
    assert (done.returncode, done.stderr) == (
        1,
        f"cpuwatch: cannot read the recording {str(tmp_path)!r}: it holds no recording\n",
    )


def test_a_shipment_that_fails_is_tried_again(recorded: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    lake.write_text("a file in the way")
    with shipping(recorded, lake, "--follow", "--progress-file", tmp_path / "state") as process:
        assert process.stderr is not None
        assert "trying again" in process.stderr.readline()
        lake.unlink()
        progress(tmp_path / "state", 1)
    assert os.listdir(lake)
