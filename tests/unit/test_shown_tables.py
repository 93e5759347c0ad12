from __future__ import annotations

import io
import subprocess
import sys

import pytest
from msgspec.structs import replace
from readings import snapshot

from cpuwatch.query.view import Grouping, View, apply_view

HOSTILE = "<script>[red]\x1b[31m"


def test_the_repr_of_a_snapshot_is_one_short_line() -> None:
    shown = snapshot(*((pid, 10) for pid in range(10, 500)), sequence=7)
    assert repr(shown) == "<Snapshot 7 of here at 2026-01-01T00:01:41Z: CPU 0.0 %, 490 processes>"


def test_rows_show_all_their_fields() -> None:
    assert "cpu_percent=50.0" in repr(snapshot((10, 500_000_000)).processes[0])


def test_html_has_the_busiest_processes_first_and_escapes_names() -> None:
    taken = snapshot((10, 1), (11, 500_000_000))
    rows = [replace(row, name=HOSTILE) for row in taken.processes]
    html = replace(taken, processes=rows)._repr_html_()
    assert html.index("<td>11</td>") < html.index("<td>10</td>")
    assert "<script>" not in html
    assert r"&lt;script&gt;[red]\x1b[31m" in html
    assert "\x1b" not in html


def test_rich_shows_a_table_and_no_markup_of_names() -> None:
    console = pytest.importorskip("rich.console")
    output = io.StringIO()
    taken = snapshot((10, 500_000_000))
    named = replace(taken, processes=[replace(row, name=HOSTILE) for row in taken.processes])
    console.Console(file=output, width=100).print(named)
    assert r"<script>[red]\x1b[31m" in output.getvalue()
    assert "\x1b" not in output.getvalue()


@pytest.mark.parametrize("group_by", ["name", "tree"])
def test_a_grouped_snapshot_shows_its_groups(group_by: Grouping) -> None:
    taken = snapshot((10, 1), (11, 500_000_000), sequence=7)
    named = replace(taken, processes=[replace(row, name=f"{HOSTILE}{row.pid}") for row in taken.processes])
    grouped = apply_view(named, View(group_by=group_by))
    assert repr(grouped) == (f"<GroupedSnapshot 7 of here at 2026-01-01T00:01:41Z: CPU 0.0 %, 2 groups by {group_by}>")
    html = grouped._repr_html_()
    assert html.index(r"[red]\x1b[31m11</td>") < html.index(r"[red]\x1b[31m10</td>")
    assert "&lt;script&gt;" in html
    console = pytest.importorskip("rich.console")
    output = io.StringIO()
    console.Console(file=output, width=100).print(grouped)
    assert r"<script>[red]\x1b[31m11" in output.getvalue()


def test_rich_is_not_imported() -> None:
    code = "import sys, cpuwatch; cpuwatch.sample(0.05)._repr_html_(); print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
