"""What long tests leave to be read: a file each, in the folder SOAK_REPORT or in pytest's own."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil

__all__ = ["SoakReport", "folder_of_reports"]

_ROOT = Path(__file__).resolve().parents[2]


class SoakReport:
    """Of one test. `note` writes at once, so that a test that fails later has told what it had."""

    def __init__(self, folder: Path, test: str) -> None:
        self.path = folder / f"{re.sub(r'[^A-Za-z0-9_-]+', '-', test).strip('-')}.json"
        self._facts: dict[str, Any] = {"test": test, "commit": _commit(), "machine": _machine()}
        self._begun = time.monotonic()

    def note(self, **facts: Any) -> None:
        """Adds to what is written."""
        self._facts |= {"seconds": round(time.monotonic() - self._begun), **facts}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self._facts, indent=1) + "\n")

    def write_beside(self, suffix: str, text: str) -> Path:
        """Another form of it, in a file beside the first."""
        path = self.path.with_suffix(suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


def folder_of_reports(otherwise: Path) -> Path:
    """Where SOAK_REPORT says, else `otherwise`."""
    return Path(os.environ.get("SOAK_REPORT") or otherwise).absolute()


def _commit() -> str:
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"


def _machine() -> str:
    memory_gib = round(psutil.virtual_memory().total / (1 << 30))
    return f"{os.cpu_count()} cores, {memory_gib} GiB, Linux {platform.release()}, Python {platform.python_version()}"
