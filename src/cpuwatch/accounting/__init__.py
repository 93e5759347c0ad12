"""The arithmetic of CPU accounting: two readings in, one snapshot out. Pure.

Imports the model and :mod:`cpuwatch.text`; never a sampler, a clock or a file.
"""
