"""The folder of a `zerohop up`: its format, its lock, where its sockets live, and the description of what runs.

format          version of the folder's layout
lock            held by flock(2) while any process of the cluster lives; holds the supervisor's pid
cluster.json    the running cluster (`RunningCluster`): how commands find it; absent when it was stopped
run/            Unix sockets; or run-path, which names the folder that has them where this path is too long
master/         metadata store
worker/         identity of the worker, SSD tier
store/          the under-store: the durable bytes
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from zerohop.errors import ConfigError, DataFolderInUse, FormatTooNew, NotFound

__all__ = ["FORMAT", "DataFolder", "RunningCluster", "read_running_cluster"]

FORMAT: Final = 1

_LOCK_PATIENCE_S: Final = 10.0
"""How long the processes of a killed supervisor may take to be gone: one may be inside a sync of a slow disk."""

_MAX_SOCKET_PATH_BYTES: Final = 107  # sun_path of unix(7) has 108 bytes, the last one a NUL
_LONGEST_SOCKET_NAME: Final = 32


class RunningCluster(msgspec.Struct, frozen=True, kw_only=True):
    """`cluster.json`: what runs on a data folder. Written when the cluster is ready, and after each restart."""

    version: str
    endpoint: str
    """Base URL of the S3 API, without a slash at the end."""
    master: str
    """RPC address of the master."""
    worker: str
    """RPC address of the worker."""
    run_dir: str
    """Folder of the Unix sockets."""
    mem_dir: str
    """The cluster's private folder for the memory tier, removed at its end; empty where one was configured."""
    pids: dict[str, int]
    """Pid of each process by name: `supervisor`, `master`, `worker`, `proxy 0`, ..."""


class DataFolder:
    """A data folder that this process holds exclusively, from `open` to `close` or its end."""

    def __init__(self, path: Path, lock_fd: int, run_dir: Path) -> None:
        self.path = path
        self.lock_fd = lock_fd
        """Passed down to every child, so that the lock outlives a killed supervisor until its last child is gone."""
        self.run_dir = run_dir

    @classmethod
    def open(cls, path: Path) -> DataFolder:
        """Creates the folder where needed (readable by its owner only), locks it and checks its format.

        Raises DataFolderInUse naming the pid that holds it, FormatTooNew, or ConfigError for a folder that cannot
        be made or holds something else.
        """
        path = path.expanduser().resolve()
        try:
            _refuse_foreign(path)
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
            lock_fd = _lock(path)
        except OSError as error:
            raise ConfigError(f"cannot use the data folder {path}: {error.strerror}") from None
        try:
            _check_format(path)
            _forget_run_dir(path)
            return cls(path, lock_fd, _make_run_dir(path))
        except BaseException:
            os.close(lock_fd)
            raise

    def describe(self, running: RunningCluster) -> None:
        """Writes `cluster.json`, whole or not at all."""
        _write_whole(self.path / "cluster.json", msgspec.json.format(msgspec.json.encode(running)))

    def close(self) -> None:
        """Removes what only a running cluster needs, and gives the folder free."""
        with contextlib.suppress(FileNotFoundError):
            (self.path / "cluster.json").unlink()
        _forget_run_dir(self.path)
        shutil.rmtree(self.run_dir, ignore_errors=True)
        os.close(self.lock_fd)


def read_running_cluster(path: Path) -> RunningCluster:
    """What runs on a data folder. Raises NotFound when nothing was started there, or it was stopped."""
    try:
        return msgspec.json.decode((path.expanduser() / "cluster.json").read_bytes(), type=RunningCluster)
    except FileNotFoundError:
        raise NotFound(
            f"no cluster runs on the folder {path}: start one with `zerohop up --data {path}`"
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"cannot read {path / 'cluster.json'}: {error}") from None


def _refuse_foreign(path: Path) -> None:
    """A folder with other things in it is somebody's: changing its mode and filling it would be a bad surprise."""
    if path.is_file():
        raise ConfigError(f"{path} is a file: choose a folder, which need not exist yet")
    if (
        path.is_dir()
        and not (path / "format").exists()
        and any(entry.name != "lock" for entry in path.iterdir())
    ):
        raise ConfigError(f"{path} is not empty and no zerohop data folder: choose an empty or a new one")


def _lock(path: Path) -> int:
    lock_fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline_s = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            holder = os.pread(lock_fd, 32, 0).decode(errors="replace").strip()
            if _is_alive(holder) or time.monotonic() > deadline_s:
                os.close(lock_fd)
                raise DataFolderInUse(
                    f"the data folder {path} is in use by the cluster with pid {holder or 'unknown'}: "
                    "stop it, or choose another folder"
                ) from None
            time.sleep(0.05)
    os.ftruncate(lock_fd, 0)
    os.pwrite(lock_fd, f"{os.getpid()}\n".encode(), 0)
    return lock_fd


def _is_alive(pid: str) -> bool:
    """Whether the supervisor that took the lock still runs; if not, only its last children keep it for a moment."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def _check_format(path: Path) -> None:
    file = path / "format"
    try:
        text = file.read_text().strip()
    except FileNotFoundError:
        _write_whole(file, f"{FORMAT}\n".encode())
        return
    if not text.isdecimal():
        raise ConfigError(
            f"{file} holds {text[:40]!r} instead of a format version: restore it, or choose another folder"
        )
    if int(text) > FORMAT:
        raise FormatTooNew(
            f"the data folder {path} has format {text}, this version of zerohop knows up to {FORMAT}: "
            "run the newer version, or choose another folder"
        )


def _write_whole(file: Path, content: bytes) -> None:
    """Replaces the file durably: a crash leaves the old content or the new one."""
    fresh = file.with_name(file.name + ".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    fresh.rename(file)
    folder_fd = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder_fd)
    finally:
        os.close(folder_fd)


def _make_run_dir(path: Path) -> Path:
    run_dir = path / "run"
    if len(os.fsencode(run_dir)) + 1 + _LONGEST_SOCKET_NAME <= _MAX_SOCKET_PATH_BYTES:
        run_dir.mkdir(mode=0o700, exist_ok=True)
        run_dir.chmod(0o700)
        return run_dir
    parent = os.environ.get("XDG_RUNTIME_DIR", "")
    if not parent or len(os.fsencode(parent)) > _MAX_SOCKET_PATH_BYTES - 2 * _LONGEST_SOCKET_NAME:
        parent = "/tmp"  # noqa: S108 - mkdtemp makes a private folder with an unpredictable name
    private = Path(tempfile.mkdtemp(prefix="zerohop-", dir=parent))
    _write_whole(path / "run-path", os.fsencode(private))
    return private


def _forget_run_dir(path: Path) -> None:
    """Removes the folder of sockets that `run-path` names, if it is one that we made, and the pointer."""
    pointer = path / "run-path"
    try:
        private = Path(os.fsdecode(pointer.read_bytes()))
        found = private.lstat()
    except FileNotFoundError:
        pointer.unlink(missing_ok=True)
        return
    if private.name.startswith("zerohop-") and stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
        shutil.rmtree(private, ignore_errors=True)
    pointer.unlink(missing_ok=True)
