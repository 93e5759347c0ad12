"""Which endpoint answers a request: found once, and what it is decides whether the request needs a token."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Scope

from cpuwatch.web.openapi.operation import Operation

__all__ = ["Endpoint", "Routes", "normalized_prefix"]


class Endpoint(Struct, frozen=True):
    """What answers a path, and its description."""

    operation: Operation
    app: ASGIApp


class Routes:
    """The endpoints by their paths. Those without parameters do not share a path with any other."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.routes = [Route(endpoint.operation.path, endpoint.app) for endpoint in endpoints]
        self._found = list(zip(self.routes, endpoints, strict=True))
        self._by_path = {route.path: endpoint for route, endpoint in self._found if not route.param_convertors}

    def find(self, scope: Scope) -> Endpoint | None:
        """The endpoint of this request, or None; what its path says is put into the scope as ``path_params``.

        ``root_path`` is the prefix under which a proxy shows the service. Some proxies leave it in place and others
        take it off, so a path that matches nothing without the prefix is tried as it is.
        """
        if not scope.get("root_path") and (endpoint := self._by_path.get(scope["path"])) is not None:
            return endpoint
        found = self._match(scope)
        if found is None and scope.get("root_path"):
            found = self._match({**scope, "root_path": ""})
        if found is None:
            return None
        endpoint, scope["path_params"] = found
        return endpoint

    def _match(self, scope: Scope) -> tuple[Endpoint, dict[str, str]] | None:
        for route, endpoint in self._found:
            match, matched = route.matches(scope)
            if match is not Match.NONE:
                return endpoint, matched["path_params"]
        return None


def normalized_prefix(root_path: str) -> str:
    """The prefix as routing needs it: with a slash at its beginning and none at its end, or empty."""
    within = root_path.strip("/")
    return f"/{within}" if within else ""
