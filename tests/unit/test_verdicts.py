"""The page's modules are tested against the same table: tests/functional/test_page_modules.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cpuwatch import MachineUsage
from cpuwatch.accounting.verdict import stolen_share, verdict_of

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "verdicts.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["about"] for case in CASES])
def test_a_verdict_names_the_main_reason(case: dict[str, Any]) -> None:
    machine = MachineUsage(
        **case["machine"],
        user_percent=None,
        system_percent=None,
        iowait_percent=None,
        irq_percent=None,
        per_cpu_percent=[],
        load_average=None,
    )
    assert verdict_of(case["used"], case["wait"], case["throttled"], stolen_share(machine)) == case["verdict"]
