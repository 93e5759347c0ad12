"""The endpoints, one module each.

Imports everything else in :mod:`cpuwatch.web` but the app.
"""
