"""GET over one kept connection to one origin, with limits on time and size.

httpcore, not httpx: a request takes 0.3 ms of CPU, with an httpx client for each machine 0.8, and with one for 100
machines 6, because its pool searches all connections. httpcore follows no redirect, so a token reaches no other origin,
and decodes no content coding, so a small body stays small.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress

import httpcore
from msgspec import Struct

from cpuwatch.peers.peer_list import Address
from cpuwatch.token_file import Token

__all__ = ["Connection", "FetchError", "Fetched"]

MAX_BODY_BYTES = 256 * 1024
_TIMEOUT_SECONDS = 5.0


class FetchError(Exception):
    """There is no usable response; the message says why."""


class Fetched(Struct, frozen=True):
    """A response: 304 has no body."""

    status: int
    body: bytes
    etag: bytes | None


class Connection:
    """Sends one request at a time. A connection that has failed or that the server closed is replaced."""

    def __init__(self, address: Address, token: Token | None, tls: ssl.SSLContext) -> None:
        self._address = address
        self._origin = httpcore.Origin(
            b"https" if address.is_secure else b"http", address.host.encode("ascii"), address.port
        )
        self._tls = tls
        self._headers = [
            (b"host", address.authority.encode("ascii")),
            (b"accept", b"application/json"),
            (b"accept-encoding", b"identity"),
            (b"user-agent", b"cpuwatch"),
        ]
        if token is not None:
            self._headers.append((b"authorization", b"Bearer " + token.secret))
        self._http: httpcore.AsyncHTTPConnection | None = None

    async def get(self, target: str, etag: bytes | None = None) -> Fetched:
        """The response to GET. Raises :class:`FetchError` if there is none within the limits."""
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                return await self._get_again_if_closed(target, etag)
        except TimeoutError:
            await self.close()
            raise FetchError(f"no answer within {_TIMEOUT_SECONDS:g} s") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            await self.close()
            raise FetchError(_reason(error)) from None
        except BaseException:
            # Cancelled in the middle of a response: the next request must not read the rest of it.
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection; the next request opens another."""
        http, self._http = self._http, None
        if http is not None:
            with suppress(OSError, httpcore.NetworkError):
                await http.aclose()

    async def _get_again_if_closed(self, target: str, etag: bytes | None) -> Fetched:
        if self._http is not None:
            # Servers close idle connections at any moment (RFC 9112, 9.3.1).
            if self._http.is_available() and not self._http.has_expired():
                with suppress(httpcore.NetworkError, httpcore.RemoteProtocolError, httpcore.ConnectionNotAvailable):
                    return await self._get(self._http, target, etag)
            await self.close()
        self._http = httpcore.AsyncHTTPConnection(self._origin, self._tls)
        return await self._get(self._http, target, etag)

    async def _get(self, http: httpcore.AsyncHTTPConnection, target: str, etag: bytes | None) -> Fetched:
        url = httpcore.URL(
            scheme=self._origin.scheme, host=self._origin.host, port=self._origin.port, target=target.encode("ascii")
        )
        headers = self._headers if etag is None else [*self._headers, (b"if-none-match", etag)]
        async with http.stream("GET", url, headers=headers) as response:
            body = bytearray()
            async for chunk in response.aiter_stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise FetchError(f"the answer is larger than {MAX_BODY_BYTES // 1024} KiB")
        found = next((value for name, value in response.headers if name.lower() == b"etag"), None)
        return Fetched(response.status, bytes(body), found)


def _reason(error: BaseException) -> str:
    """The system's reason, which lies below the exceptions of the library."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not valid: {cause.verify_message}"
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.strerror:
            # asyncio puts the address into the text of its own errors.
            return cause.strerror if isinstance(cause, socket.gaierror) else os.strerror(cause.errno or 0)
    return f"not an HTTP answer: {error}" if isinstance(error, httpcore.ProtocolError) else str(error) or "disconnected"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
