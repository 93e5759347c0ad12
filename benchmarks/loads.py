"""Commands that burn CPU in processes which live for milliseconds, without end. The functional tests use them too."""

from __future__ import annotations

from pathlib import Path

__all__ = ["BUILD", "PIPELINE_LOOP", "TRUE_LOOP"]

TRUE_LOOP = ["sh", "-c", "while :; do /bin/true; done"]
PIPELINE_LOOP = ["sh", "-c", "while :; do /bin/true | /bin/cat | /bin/true; done"]
BUILD = ["sh", str(Path(__file__).with_name("build.sh"))]
