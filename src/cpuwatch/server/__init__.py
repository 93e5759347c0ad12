"""Runs the web app on Hypercorn: sockets, signals, a clean stop.

May import :mod:`cpuwatch.web` and everything below it.
"""
