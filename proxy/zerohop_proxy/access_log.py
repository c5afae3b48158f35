"""The access log: one line a request, as text or JSON; and what the log of slow requests says of one.

A line is one write to a descriptor that appends, so the lines of several proxies do not mix. Nothing of a query or of
a header is written: signatures, tokens and keys of customers stay out because nobody puts them in.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from zerohop.errors import ConfigError

__all__ = ["AccessLog", "AccessRecord"]

_log = logging.getLogger(__name__)

_SAFE: Final = "/!$&'()*+,;:@~"
"""Printable, and no separator of the line; the percent sign itself is escaped, so a key can be told from its escape."""

_LOOK_S: Final = 1.0
"""How often the file is looked for under its name: what rotates it may count on its lines that much later."""

_STANDARD_ERROR: Final = 2


class AccessRecord(NamedTuple):
    """One request. Times are in seconds; `error` is the S3 error code, "" for none; so with all that is not there."""

    time_s: float
    request: str
    remote: str
    operation: str
    status: int
    bucket: str = ""
    key: str = ""
    error: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    first_byte_s: float = 0.0
    total_s: float = 0.0
    source: str = ""
    user: str = ""

    def facts(self) -> dict[str, str | int | float]:
        """What a line tells, in its order."""
        return {
            "request": self.request,
            "remote": self.remote,
            "operation": self.operation,
            "bucket": self.bucket,
            "key": self.key,
            "status": self.status,
            "error": self.error,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "first_byte_ms": round(self.first_byte_s * 1000, 3),
            "total_ms": round(self.total_s * 1000, 3),
            "source": self.source,
            "user": self.user,
        }

    def text_facts(self) -> dict[str, str]:
        """The same as text without blanks, quotes or control characters; `-` for what is not there."""
        return {name: _escaped(str(value)) or "-" for name, value in self.facts().items()}

    def line(self, form: str) -> str:
        """`text` or `json`, with its end of line."""
        time = datetime.fromtimestamp(self.time_s, UTC).isoformat(timespec="milliseconds")
        time = time.replace("+00:00", "Z")
        if form == "json":
            # Escaped to ASCII: line separators beyond ASCII are line ends to some readers.
            return json.dumps({"time": time, **self.facts()}) + "\n"
        return f"{time} {_pairs(self.text_facts())}\n"


def _pairs(facts: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in facts.items())


def _escaped(text: str) -> str:
    return quote(text, safe=_SAFE, errors="replace") if text != "-" else "%2D"


class AccessLog:
    """Appends to a file, or to standard error. A file that was moved away (rotated) is opened anew."""

    def __init__(self, form: str, path: str) -> None:
        """`path` "" is standard error. Raises ConfigError when the file cannot be opened."""
        self._form = form
        self._path = path
        self._looked_s = 0.0
        self._failed = False
        try:
            self._fd = _open(path) if path else _STANDARD_ERROR
        except OSError as error:
            raise ConfigError(f"cannot write the access log {path}: {error.strerror}") from None

    def write(self, record: AccessRecord) -> None:
        """One line. A log that cannot be written costs its lines, and one warning, but no request."""
        try:
            if self._path and record.time_s - self._looked_s >= _LOOK_S:
                self._looked_s = record.time_s
                self._follow()
            os.write(self._fd, record.line(self._form).encode())
        except OSError as error:
            if not self._failed:
                _log.warning("the access log cannot be written: %s", error)
            self._failed = True
        else:
            self._failed = False

    def _follow(self) -> None:
        try:
            there = Path(self._path).stat()
            if os.path.samestat(there, os.fstat(self._fd)):
                return
        except FileNotFoundError:
            pass
        fresh = _open(self._path)
        os.close(self._fd)
        self._fd = fresh

    def close(self) -> None:
        """Closes the file."""
        if self._path:
            os.close(self._fd)


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
