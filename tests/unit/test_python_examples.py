"""The Python examples of the documents: they pass ``mypy --strict``, and they run."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = {
    f"{document.stem.lower()}_{number}": code
    for document in (ROOT / "README.md", ROOT / "docs/library.md")
    for number, code in enumerate(CODE.findall(document.read_text()), 1)
}


def written(folder: Path) -> list[Path]:
    paths = [folder / f"{name}.py" for name in EXAMPLES]
    for path in paths:
        path.write_text(EXAMPLES[path.stem])
    return paths


def test_both_documents_have_examples() -> None:
    assert {"readme_1", "library_1"} <= EXAMPLES.keys()


def test_the_examples_pass_mypy_strict(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}"]
    done = subprocess.run(
        [*command, *map(str, written(tmp_path))], capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_an_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"{name}.py"
    path.write_text(EXAMPLES[name])
    runpy.run_path(str(path), run_name="__main__")
