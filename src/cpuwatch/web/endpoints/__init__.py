"""The endpoints, one module each: what a path answers.

Imports :mod:`cpuwatch.web.http`, the state and the response cache; never :mod:`cpuwatch.web.access`.
"""
