"""The wheel: the man page and the completion scripts that are made when it is built."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.timeout(180), pytest.mark.any_python]

SHARED = {
    "share/man/man1/cpuwatch.1",
    "share/bash-completion/completions/cpuwatch",
    "share/zsh/site-functions/_cpuwatch",
    "share/fish/vendor_completions.d/cpuwatch.fish",
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel, and return the folder of its shared data."""
    for module in ("hatchling", "argparse_manpage"):
        pytest.importorskip(module)
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(Path(__file__).parents[2])], check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    (data,) = folder.glob("*.data/data")
    return data


def test_the_wheel_contains_the_man_page_and_the_completion_scripts(shared: Path) -> None:
    assert {str(path.relative_to(shared)) for path in shared.rglob("*") if path.is_file()} == SHARED


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_match_the_command(shell: str, shared: Path) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "cpuwatch", "completion", shell], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert printed in {path.read_text() for path in shared.rglob("*") if path.is_file()}


def test_the_man_page_has_every_command_and_flag(shared: Path) -> None:
    page = (shared / "share/man/man1/cpuwatch.1").read_text().replace("\\-", "-")
    for command in ("serve", "sample", "export", "completion"):
        shown = subprocess.run(
            [sys.executable, "-m", "cpuwatch", command, "--help"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        flags = {word.strip(",[]") for word in shown.split() if word.strip(",[]").startswith("--")}
        assert not {flag for flag in flags - {"--help"} if flag not in page}
    assert "EXIT STATUS" in page


@pytest.mark.parametrize(
    "command",
    [("man", "--warnings", "--local-file"), ("groff", "-man", "-ww", "-z"), ("mandoc", "-T", "lint", "-W", "error")],
)
def test_the_man_page_is_shown_without_warnings(command: tuple[str, ...], shared: Path) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    page = shared / "share/man/man1/cpuwatch.1"
    done = subprocess.run([*command, str(page)], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
