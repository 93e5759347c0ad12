"""The rows of the recording's benchmark."""

from __future__ import annotations

from benchmarks.recording import Result, peer_results, result_table
from benchmarks.recording_peers import Peer, PeerRun

RUN = PeerRun(60.2, 1085, {"cpuwatch": Peer(500, 4.0), "atop": Peer(17_000, 48.0)}, ["pmlogger"])


def test_peers_are_rows_beside_cpuwatch() -> None:
    size, cpu, missing = peer_results(RUN)
    assert size == Result(
        "bytes a tick beside atop, 1,085 real processes, 60 s", "≤ 1/20 of the smaller", "500 and 17,000: 1/34"
    )
    assert cpu.measured == "4.0 and 48.0 ms"
    assert missing == Result("beside pmlogger", "", "not installed: left out")


def test_results_are_a_table() -> None:
    assert result_table([Result("size", "≤ 1", "0.5")]).splitlines()[2] == "| size | ≤ 1 | 0.5 |"
