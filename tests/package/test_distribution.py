"""The archives of a release: ``tox -e package`` builds them in dist/, and publishes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import httpx
import pytest
from live_server import environment, running_server

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"
SOURCE = ROOT / "src"
PRODUCTS_OF_TOOLS = ("__pycache__", ".pyc", ".mypy_cache", ".ruff_cache", ".hypothesis", ".venv", ".git/")


def only_file(pattern: str) -> Path:
    found = list(DIST.glob(pattern))
    assert len(found) == 1, f"expected one {pattern} in {DIST}, found {found}: run tox -e package"
    return found[0]


def names_in(path: Path) -> set[str]:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return set(wheel.namelist())
    with tarfile.open(path) as archive:
        return {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}


def contents(path: Path) -> dict[str, bytes]:
    """Return the files of a wheel, except those that name the version of the build backend."""
    with zipfile.ZipFile(path) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist() if not name.endswith(("/WHEEL", "/RECORD"))}


def tracked_files(*folders: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", "-z", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(filter(None, listed.stdout.split("\0")))


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in an environment without anything else, and return the folder of its commands."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    install = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, f"{only_file('*.whl')}[web]"], check=True, timeout=240, env=environment())
    return folder / "bin"


def test_the_wheel_contains_every_source_file_and_nothing_else_of_the_project() -> None:
    names = names_in(only_file("*.whl"))
    code = {name for name in names if ".dist-info/" not in name and ".data/" not in name}
    assert code == {name.removeprefix("src/") for name in tracked_files("src")}
    assert {name.partition(".data/data/share/")[2] for name in names if ".data/" in name} == {
        "bash-completion/completions/cpuwatch",
        "fish/vendor_completions.d/cpuwatch.fish",
        "man/man1/cpuwatch.1",
        "zsh/site-functions/_cpuwatch",
    }


def test_the_sdist_contains_what_builds_and_tests_need() -> None:
    names = names_in(only_file("*.tar.gz"))
    needed = ("src", "tests", "deploy", "docs/cpuwatch.1.include", "pyproject.toml", "hatch_build.py", "LICENSE")
    assert tracked_files(*needed) <= names
    assert names <= tracked_files() | {"PKG-INFO"}


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"])
def test_no_archive_contains_products_of_tools(pattern: str) -> None:
    assert not [name for name in names_in(only_file(pattern)) if any(part in name for part in PRODUCTS_OF_TOOLS)]


def test_the_tree_and_the_sdist_build_the_same_wheel(tmp_path: Path) -> None:
    # The one in dist/ is built from the sdist.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120, capture_output=True)
    (from_tree,) = tmp_path.glob("*.whl")
    assert contents(from_tree) == contents(only_file("*.whl"))


def test_the_installed_wheel_knows_its_version(scripts: Path) -> None:
    version = only_file("*.whl").name.split("-")[1]
    done = subprocess.run(
        [str(scripts / "cpuwatch"), "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["cpuwatch", version]


def test_the_installed_wheel_samples(scripts: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(scripts / "cpuwatch"), "sample", "--interval", "0.2", "--json"],
        capture_output=True,
        check=True,
        timeout=60,
        cwd=tmp_path,
        env=environment(),
    )
    assert json.loads(done.stdout)["processes"]


def test_the_installed_wheel_serves_the_figures_the_page_and_its_scripts(scripts: Path) -> None:
    command = (str(scripts / "cpuwatch"), "serve", "--bind", "127.0.0.1:0")
    with running_server(command, CPUWATCH_INTERVAL="0.2") as server, httpx.Client(base_url=server.url) as client:
        assert client.get("/cpu_usage").raise_for_status().json()["processes"]
        assert "cpuwatch_ticks_total" in client.get("/metrics").raise_for_status().text
        assert (
            client.get("/", headers={"accept": "text/html"})
            .raise_for_status()
            .headers["content-type"]
            .startswith("text/html")
        )
        assert (
            client.get("/static/app.js").raise_for_status().content
            == (SOURCE / "cpuwatch" / "web" / "static" / "app.js").read_bytes()
        )
