"""Who this worker is: an id that survives restarts, held by one process at a time."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from pathlib import Path

from zerohop.errors import ConfigError, DataFolderInUse

__all__ = ["Identity"]

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


class Identity:
    """The file `<data_dir>/worker-id`, locked while this object is open. Blocking.

    Raises DataFolderInUse when another process holds it, ConfigError when it is damaged or cannot be made.
    """

    def __init__(self, data_dir: Path) -> None:
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(data_dir / "worker-id", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"cannot use the data folder {data_dir}: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.worker_id = self._read() or self._create(data_dir)
        except BlockingIOError:
            os.close(self._fd)
            raise DataFolderInUse(f"another worker runs on {data_dir}") from None
        except BaseException:
            os.close(self._fd)
            raise

    def _read(self) -> str:
        text = os.pread(self._fd, 100, 0).decode(errors="replace").strip()
        if text and not _ID.match(text):
            raise ConfigError(f"the file worker-id of the data folder is damaged: {text!r}")
        return text

    def _create(self, data_dir: Path) -> str:
        worker_id = "w-" + secrets.token_hex(8)
        os.pwrite(self._fd, worker_id.encode() + b"\n", 0)
        os.fsync(self._fd)
        folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return worker_id

    def close(self) -> None:
        """Lets another process have it."""
        os.close(self._fd)
