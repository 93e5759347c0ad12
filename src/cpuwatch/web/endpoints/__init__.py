"""The endpoints, one module each: what a path answers.

Imports everything else in :mod:`cpuwatch.web` but the app.
"""
