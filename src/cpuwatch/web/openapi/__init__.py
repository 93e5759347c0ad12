"""The OpenAPI description of the service, generated from the code that serves it.

Imports :mod:`cpuwatch.web.http`, the model and :mod:`cpuwatch.query`.
"""
