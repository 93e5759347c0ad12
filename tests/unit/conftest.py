"""Hypothesis profiles: ``dev``, ``ci`` (taken when CI is set), ``thorough``; HYPOTHESIS_PROFILE names another."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A deadline would be a timing assertion.
settings.register_profile("dev", deadline=None, max_examples=60)
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=100,
    # The same examples each time: a red build has to mean that the change is at fault, not the dice.
    derandomize=True,
    database=None,
    print_blob=True,
    # A shared machine may be slow at making examples, which is no fault of them.
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", deadline=None, max_examples=5_000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))
