"""MinIO has no package in the registries that we use, but Go can build it from the module proxy.

It is built once, into a folder of the user's cache and outside the project, and what Go downloads for it (2 GB)
is thrown away afterwards.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["VERSION", "build", "built", "how_to"]

VERSION: Final = "v0.0.0-20260212201848-7aac2a2c5b7c"
_MODULE: Final = "github.com/minio/minio"
_TIMEOUT_S: Final = 900.0  # three minutes on two idle cores


def built() -> Path | None:
    """The program; None where it has not been built."""
    program = _program()
    return program if program.is_file() else None


def how_to() -> str:
    """What makes it available."""
    return (
        "zerohop bench build-minio" if shutil.which("go") else "install Go, then: zerohop bench build-minio"
    )


def build() -> str:
    """Builds it, unless it is there. Returns why that was not possible; "" for success."""
    go = shutil.which("go")
    if built() is not None:
        return ""
    if go is None:
        return "there is no Go on this machine"
    folder = _program().parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="go-") as scratch:
        # The module cache is read-only otherwise, and the folder could not be removed.
        places = {"GOPATH": scratch, "GOCACHE": f"{scratch}/cache", "GOBIN": f"{scratch}/bin"}
        command = ["nice", go, "install", "-modcacherw", "-ldflags=-s -w", f"{_MODULE}@{VERSION}"]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, **places},
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"not built within {_TIMEOUT_S:.0f} s"
        if done.returncode != 0:
            return f"go install failed: {done.stderr[-500:]}"
        Path(scratch, "bin", "minio").replace(_program())
    return ""


def _program() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "zerohop-bench" / f"minio-{VERSION}"
