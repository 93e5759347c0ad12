"""The completion scripts, run in their shells."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from live_server import environment

pytestmark = [pytest.mark.timeout(60), pytest.mark.any_python]


def run(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60, env=environment()
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def script(shell: str, folder: Path) -> str:
    """Write the script for a shell, and return its path. Skips the test if the shell is not installed."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = folder / "_cpuwatch"
    path.write_text(run(sys.executable, "-m", "cpuwatch", "completion", shell))
    return str(path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_valid_in_its_shell(shell: str, tmp_path: Path) -> None:
    run(shell, "-n", script(shell, tmp_path))


def test_zsh_finds_the_completion_in_its_fpath(tmp_path: Path) -> None:
    path = script("zsh", tmp_path)
    program = "fpath=($1 $fpath); autoload -U compinit; compinit -D -u; print $_comps[cpuwatch]; autoload +X _cpuwatch"
    assert run("zsh", "-f", "-c", program, "zsh", str(Path(path).parent)) == "_cpuwatch\n"


# bash-completion sets these variables and calls the function that the script registers.
IN_BASH = """
source "$1"; shift
COMP_WORDS=("$@")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
$(complete -p cpuwatch | sed 's/.*-F \\([^ ]*\\) .*/\\1/') cpuwatch "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
IN_FISH = 'source $argv[1]; complete --do-complete (string join -- " " $argv[2..])'


@pytest.mark.parametrize(
    ("shell", "program"), [("bash", ["bash", "--norc", "-c", IN_BASH, "bash"]), ("fish", ["fish", "-N", "-c", IN_FISH])]
)
@pytest.mark.parametrize(
    ("words", "completions"),
    [
        (["sa"], {"sample"}),
        (["sample", "--gr"], {"--group-by"}),
        (["serve", "--po"], {"--port"}),
        (["sample", "--group-by", "c"], {"cgroup"}),
        (["serve", "--token-file", "/etc/hostn"], {"/etc/hostname"}),
    ],
)
def test_commands_flags_values_and_files_are_completed(
    shell: str, program: list[str], words: list[str], completions: set[str], tmp_path: Path
) -> None:
    found = run(*program, script(shell, tmp_path), "cpuwatch", *words)
    # Fish adds a description after a tab.
    assert {line.partition("\t")[0] for line in found.splitlines()} == completions
