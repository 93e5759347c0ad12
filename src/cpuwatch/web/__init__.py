"""The HTTP service: ``hypercorn cpuwatch.web:app -b :8845``, or :func:`create_app` for your own app."""

from __future__ import annotations

from cpuwatch.errors import MissingExtraError

try:
    from starlette.applications import Starlette
except ModuleNotFoundError:
    raise MissingExtraError("cpuwatch.web needs the extra 'web': install cpuwatch with [web]") from None

from cpuwatch.web.app import create_app

__all__ = ["app", "create_app"]

app: Starlette = create_app()
