"""The arithmetic of CPU accounting: two readings in, one snapshot out. Pure.

Imports the model, :mod:`cpuwatch.errors` and :mod:`cpuwatch.packed_rows`; never a sampler, a clock or a file.
"""
