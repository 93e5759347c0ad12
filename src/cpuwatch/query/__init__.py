"""Selects, groups and shapes what a snapshot shows. Pure.

Imports the model and :mod:`cpuwatch.accounting`; never an encoding or a client of them.
"""
