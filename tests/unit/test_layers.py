"""The imports of the package: each layer imports only those below it, and there are no cycles.

The layers are listed from the bottom up; the longest prefix that matches a module is its layer.
"""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import cpuwatch

ROOT = Path(cpuwatch.__file__).parent
LAYERS = [
    ["errors", "text", "shown_tables"],
    [
        "parse",
        "container_cgroup",
        "fields",
        "redact",
        "host_names",
        "human_time",
        "interval",
        "deadlines",
        "packed_rows",
        "model",
        "thread_usage",
    ],
    ["accounting"],
    ["query", "tick_id"],
    ["encoding"],
    ["samplers", "sampled_tick"],
    ["snapshot_bytes", "history", "attempts", "snapshot_source", "tick_thread"],
    ["recording"],
    ["monitor", "one_shot", "playback", "measuring"],
    ["quantities", "receiver_settings", "token_file"],
    ["peers"],
    ["settings", "environment", "log", "log_writer"],
    ["push"],
    ["", "server.hypercorn_quirks"],
    ["web.http"],
    ["web.access", "web.openapi"],
    ["web"],
    ["web.endpoints"],
    ["web.app", "web.__init__"],
    ["server"],
    ["terminal.model"],
    ["terminal"],
    ["commands", "pytest_plugin"],
    ["__main__"],
]
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imported_by(name: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "cpuwatch":
            origin = (node.module or "").removeprefix("cpuwatch").removeprefix(".")
            for alias in node.names:
                inner = f"{origin}.{alias.name}".removeprefix(".")
                found.add(
                    inner
                    if inner in MODULES
                    else origin
                    if origin in MODULES
                    else f"{origin}.__init__".removeprefix(".")
                )
    return found


def height(name: str) -> int:
    parts = name.split(".")
    prefixes = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return HEIGHT[next(prefix for prefix in [*prefixes, ""] if prefix in HEIGHT)]


@pytest.mark.parametrize("name", list(MODULES))
def test_a_module_imports_only_what_is_below_it(name: str) -> None:
    above = {other for other in imported_by(name) if height(other) > height(name)}
    assert not above


def test_there_are_no_import_cycles() -> None:
    TopologicalSorter({name: imported_by(name) for name in MODULES}).prepare()


def test_underscore_modules_are_imported_only_in_their_folder() -> None:
    for name in MODULES:
        for other in imported_by(name):
            folder, _, last = other.rpartition(".")
            assert not last.startswith("_") or last == "__init__" or name.startswith(folder), (name, other)
