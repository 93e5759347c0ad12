"""The Linux sampler: /proc, the CPU clocks of processes, and taskstats.

Imports the model, :mod:`cpuwatch.accounting.reapers` and the shared modules of :mod:`cpuwatch.samplers`.
"""
