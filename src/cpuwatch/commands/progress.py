"""A progress bar over the times of snapshots, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime

from cpuwatch.model import Snapshot

__all__ = ["with_progress"]

_SECONDS_IN_HOUR = 3600


def with_progress(snapshots: Iterable[Snapshot], begin: datetime, end: datetime) -> Iterator[Snapshot]:
    """The snapshots, which span these times. The bar is shown while they are consumed.

    It needs tqdm, which comes with the extra ``arrow``. Without it, or without a terminal, there is no bar.
    """
    try:
        from tqdm import tqdm  # noqa: PLC0415  optional
    except ModuleNotFoundError:
        yield from snapshots
        return
    reached = begin
    hours = (end - begin).total_seconds() / _SECONDS_IN_HOUR
    layout = "{percentage:3.0f}% |{bar}| {n:.1f} of {total:.1f} h [{elapsed}, {remaining} left]"
    # disable=None is tqdm's word for "unless it is a terminal".
    disable = True if sys.stderr is None else None
    with tqdm(total=max(hours, 1e-9), disable=disable, bar_format=layout, leave=False) as bar:
        for snapshot in snapshots:
            yield snapshot
            if snapshot.time > reached:
                bar.update((snapshot.time - reached).total_seconds() / _SECONDS_IN_HOUR)
                reached = snapshot.time
