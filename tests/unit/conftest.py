"""Hypothesis profiles ``dev``, ``ci`` (the default if CI is set) and ``thorough``. HYPOTHESIS_PROFILE selects one."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A deadline would be a timing assertion.
settings.register_profile("dev", deadline=None, max_examples=60)
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=100,
    # The same examples each time, so that a failed build is caused by the change and not by chance.
    derandomize=True,
    database=None,
    print_blob=True,
    # Generating examples can be slow on a shared machine.
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", deadline=None, max_examples=5_000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))
