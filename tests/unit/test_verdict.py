from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import snapshot

from cpuwatch import MachineUsage, Verdict
from cpuwatch.accounting.verdict import stolen_share, verdict_of

MACHINE = replace(snapshot().machine, cpu_percent=50.0, steal_percent=0.0)
amounts = st.floats(0, 6400)
shares = st.floats(0, 1)


@pytest.mark.parametrize(
    ("used", "waited", "throttled", "stolen", "verdict"),
    [
        (0.3, 0.1, 0.0, 0.0, "idle"),
        (100.0, 0.0, 0.0, 0.0, "busy"),
        (100.0, 9.0, 0.0, 0.0, "busy"),
        (3.0, 4.0, 0.0, 0.0, "busy"),  # many short waits: wakeups
        (50.0, 50.0, 0.0, 0.0, "crowded"),
        (0.0, 100.0, 0.0, 0.0, "crowded"),
        (20.0, 80.0, 62.0, 0.0, "throttled"),
        (20.0, 80.0, 30.0, 0.0, "crowded"),
        (0.0, 100.0, 100.0, 0.0, "throttled"),
        (70.0, 0.0, 0.0, 0.3, "stolen"),
        (70.0, 20.0, 0.0, 0.3, "stolen"),
        (40.0, 60.0, 0.0, 0.3, "crowded"),
        (40.0, 60.0, 60.0, 0.3, "throttled"),
    ],
)
def test_the_main_reason(used: float, waited: float, throttled: float, stolen: float, verdict: Verdict) -> None:
    assert verdict_of(used, waited, throttled, stolen) == verdict


def test_what_is_unknown_gives_no_verdict() -> None:
    assert verdict_of(None, 50.0, 0.0, 0.0) is None
    assert verdict_of(50.0, None, None, 0.0) is None
    assert verdict_of(50.0, 50.0, None, 0.0) is None
    # The quota does not matter if next to nothing was wanted, or everything was received.
    assert verdict_of(0.1, 0.1, None, 0.0) == "idle"
    assert verdict_of(90.0, 1.0, None, 0.0) == "busy"


@pytest.mark.parametrize(
    ("busy", "steal", "share"),
    [(50.0, 20.0, 0.4), (100.0, 5.0, 0.05), (10.0, 1.0, 0.0), (0.0, 0.0, 0.0), (None, None, 0.0), (50.0, None, 0.0)],
)
def test_steal_is_a_share_of_the_time_that_was_wanted(busy: float | None, steal: float | None, share: float) -> None:
    machine: MachineUsage = replace(MACHINE, cpu_percent=busy, steal_percent=steal)
    assert stolen_share(machine) == pytest.approx(share)


@given(amounts, amounts, shares, shares)
def test_a_verdict_says_the_largest_loss(used: float, waited: float, throttled_share: float, stolen: float) -> None:
    throttled = waited * throttled_share
    verdict = verdict_of(used, waited, throttled, stolen)
    assert verdict in get_args(Verdict)
    losses = {"throttled": 0.0, "crowded": 0.0, "stolen": stolen * (used + waited)}
    if waited >= 5:
        losses |= {"throttled": throttled, "crowded": waited - throttled}
    if verdict in losses:
        assert losses[verdict] >= max(losses.values()) * (1 - 1e-9)
        assert sum(losses.values()) >= (used + waited) * 0.1 * (1 - 1e-9)
