"""Logging of a process: one line per event on standard error, as text for people or as JSON for collectors.

Each line starts with the time (UTC), the level and the name of the process, because the lines of a whole cluster
usually end in one place. Facts go into `extra`, and come out as `key=value` or as JSON members:

    _log.info("worker lost", extra={"worker": worker_id, "silent_s": 5.2})

Secrets stay out by construction: configuration secrets are `zerohop.config.Secret`, whose repr is masked, values
under a name that sounds like a secret are masked, and nothing logs headers or bodies.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

__all__ = ["configure_logs"]

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_SECRET_NAME: Final = re.compile(r"secret|password|token|signature|authorization", re.IGNORECASE)


def configure_logs(
    process: str, *, form: str = "text", level: str = "info", stream: TextIO | None = None
) -> None:
    """Sends everything that is logged to `stream` (standard error), in the name of `process`.

    `form` is `text` or `json`; `level` is the least level that is shown. Calling it again replaces the set-up.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonLines(process) if form == "json" else _TextLines(process))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())


class _TextLines(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        parts = [
            _time(record),
            f"{record.levelname.lower():<7}",
            self._process,
            _one_line(record.getMessage()),
        ]
        parts.extend(f"{name}={_one_line(str(value))}" for name, value in _facts(record).items())
        line = " ".join(parts)
        return f"{line} | {_one_line(self.formatException(record.exc_info))}" if record.exc_info else line


class _JsonLines(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "event": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, default=str, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    return (
        datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _facts(record: logging.LogRecord) -> Mapping[str, object]:
    """What the caller passed in `extra`, in that order."""
    return {
        name: "***" if _SECRET_NAME.search(name) else value
        for name, value in record.__dict__.items()
        if name not in _STANDARD
    }


def _one_line(text: str) -> str:
    """Control characters escaped: a key with a line feed must not forge a second log line."""
    return text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
