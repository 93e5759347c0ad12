"""Reads the list of machines and their tokens, again and again, so that changes apply without a restart."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

from msgspec import Struct

from cpuwatch.errors import SettingsError
from cpuwatch.peers.connection import Connection, FetchError
from cpuwatch.peers.peer_list import Address, Peer, parse_peer_list
from cpuwatch.token_file import Token, read_token_file

__all__ = ["PeerSource", "Target"]

_MAX_LIST_BYTES = 256 * 1024


class Target(Struct, frozen=True):
    """A machine to ask, and the token for it."""

    peer: Peer
    token: Token | None


class PeerSource:
    """The list at ``where``; ``token`` is for the machines that have no token file.

    Files are read with ``run_in_thread``, because a disk may be slow. Raises
    :class:`~cpuwatch.errors.SettingsError` if the list is a file that is missing or invalid now, or if everyone on the
    way could change the list and so get the token.
    """

    def __init__(
        self,
        where: Path | Address,
        token: Token | None,
        run_in_thread: Callable[[Callable[[], list[Target]]], Awaitable[list[Target]]],
    ) -> None:
        self._where = where
        self._token = token
        self._run_in_thread = run_in_thread
        if isinstance(where, Path):
            self._read_file(where)
        elif token is not None and not (where.is_secure or _is_loopback(where.host)):
            raise SettingsError(
                f"the list of machines at {where} is not protected, and its machines would get the token: "
                "use https, or a file"
            )

    async def targets(self, tls: ssl.SSLContext) -> list[Target]:
        """The machines of the list as it is now. Raises :class:`~cpuwatch.errors.SettingsError`."""
        where = self._where
        if isinstance(where, Path):
            return await self._run_in_thread(lambda: self._read_file(where))
        # A connection for each time: the list is read rarely.
        connection = Connection(where, None, tls)
        try:
            fetched = await connection.get(where.path or "/")
        except FetchError as error:
            raise SettingsError(f"{where}: {error}") from None
        finally:
            await connection.close()
        if fetched.status != 200:
            raise SettingsError(f"{where} answers {fetched.status}")
        peers = parse_peer_list(_text(fetched.body, str(where)), str(where))
        for peer in peers:
            # Otherwise the list could have any file sent to any machine.
            if peer.token_file is not None:
                raise SettingsError(f"{where}: {peer.address} has a token file: only lists in files may name them")
        return [Target(peer, self._token) for peer in peers]

    def _read_file(self, path: Path) -> list[Target]:
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_LIST_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise SettingsError(f"cannot read the list of machines {str(path)!r}: {reason}") from None
        if len(content) > _MAX_LIST_BYTES:
            raise SettingsError(f"the list of machines {str(path)!r} is larger than {_MAX_LIST_BYTES // 1024} KiB")
        return [Target(peer, self._token_of(peer)) for peer in parse_peer_list(_text(content, str(path)), str(path))]

    def _token_of(self, peer: Peer) -> Token | None:
        if peer.token_file is None:
            return self._token
        try:
            return read_token_file(str(peer.token_file))
        except ValueError as error:
            raise SettingsError(f"token of {peer.address}: {error}") from None


def _text(content: bytes, origin: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(f"{origin}: not UTF-8 text") from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
