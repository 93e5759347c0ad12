"""Where blocks are shipped: a directory, or a bucket of S3 or of anything that speaks its protocol."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from cpuwatch.encoding.arrow import import_pyarrow
from cpuwatch.errors import ShipError
from cpuwatch.parse import invalid
from cpuwatch.recording.export import new_file

__all__ = ["BucketTarget", "DirectoryTarget", "Target", "open_target", "parse_target"]

_BUCKET = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(?:/[^/?#]+)*)/?", re.ASCII)
_CONNECT_SECONDS = 10.0
_REQUEST_SECONDS = 60.0


class Target(Protocol):
    """A place for files. A file appears as a whole, and replaces one of the same name."""

    def put(self, name: str, content: bytes) -> None:
        """Store a file under a name with slashes. Raises :class:`~cpuwatch.errors.ShipError`."""


def parse_target(text: str) -> str:
    """A directory or ``s3://BUCKET/PREFIX``. Raises ``ValueError`` with what is allowed."""
    if not text or ("://" in text and not _BUCKET.fullmatch(text)):
        raise ValueError(invalid("target", text, "must be a directory, or a bucket such as s3://bucket/prefix"))
    return text


def open_target(text: str, environment: Mapping[str, str]) -> Target:
    """The target of :func:`parse_target`. Raises :class:`~cpuwatch.errors.ShipError` if it cannot be reached."""
    match = _BUCKET.fullmatch(text)
    if match is None:
        return DirectoryTarget(Path(text))
    return BucketTarget(match["bucket"], match["prefix"].strip("/"), environment)


class DirectoryTarget:
    """A directory, which is created."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, name: str, content: bytes) -> None:
        """Store a file: it gets its name when it is on the disk."""
        path = self._directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with new_file(path, overwrite=True) as file:
                file.write(content)
        except OSError as error:
            raise ShipError(f"cannot ship to {str(self._directory)!r}: {error.strerror}") from None


class BucketTarget:
    """A bucket. Credentials, region and endpoint come from the usual ``AWS_`` variables and files.

    pyarrow's client is used because Parquet needs pyarrow anyway; boto3 and s3fs would be packages beside it.
    """

    def __init__(self, bucket: str, prefix: str, environment: Mapping[str, str]) -> None:
        import_pyarrow()
        self._fs: Any = import_module("pyarrow.fs")
        self._bucket = bucket
        self._root = f"{bucket}/{prefix}".rstrip("/")
        try:
            self._client = self._fs.S3FileSystem(**self._options(environment))
            is_missing = self._client.get_file_info(bucket).type == self._fs.FileType.NotFound
        except OSError as error:
            # Credentials that may only write, as a machine should have them, may not look.
            if "ACCESS_DENIED" not in str(error):
                raise self._error(error) from None
            is_missing = False
        if is_missing:
            raise ShipError(f"cannot ship to s3://{self._root}: there is no bucket {bucket!r}; create it first")

    def put(self, name: str, content: bytes) -> None:
        """Store an object. It appears when its upload is complete."""
        try:
            # One write: a stream that is closed after half of the content would complete the upload.
            with self._client.open_output_stream(f"{self._root}/{name}", compression=None) as stream:
                stream.write(content)
        except OSError as error:
            raise self._error(error) from None

    def _options(self, environment: Mapping[str, str]) -> dict[str, Any]:
        options: dict[str, Any] = {
            "connect_timeout": _CONNECT_SECONDS,
            "request_timeout": _REQUEST_SECONDS,
            # A small object takes one request, not the three of a multipart upload.
            "allow_delayed_open": True,
            # The next run tries again; this is for a lost packet.
            "retry_strategy": self._fs.AwsStandardS3RetryStrategy(max_attempts=2),
        }
        endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
        if endpoint:
            scheme, _, authority = endpoint.rpartition("://")
            options |= {"endpoint_override": authority.rstrip("/"), "scheme": scheme or "https"}
            region = region or "us-east-1"
        # Only the bucket itself knows its region, and requests to another one fail.
        return options | {"region": region or self._fs.resolve_s3_region(self._bucket)}

    def _error(self, error: OSError) -> ShipError:
        text = " ".join(str(error.strerror or error).split())
        return ShipError(f"cannot ship to s3://{self._root}: {_shown(text)}")


def _shown(text: str) -> str:
    """What the client of AWS says, without what it repeats."""
    match = re.search(r"AWS Error (?P<kind>[A-Z0-9_]+)(?: during \w+ operation)?: ?(?P<message>.*)", text)
    if match is None:
        return text
    hints = {
        "ACCESS_DENIED": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role that may write there",
        "NETWORK_CONNECTION": "the endpoint cannot be reached",
    }
    hint = hints.get(match["kind"])
    message = match["message"].removesuffix(os.linesep).strip() or "no details"
    return f"{match['kind']}: {message}" + (f" ({hint})" if hint else "")
