"""s3fs-fuse: a bucket mounted as a file system."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.clients.access import PART_BYTES, REGION, Access, Entry

__all__ = ["S3FsFuse", "mounted"]

_PATIENCE_S: Final = 60


@contextmanager
def mounted(access: Access) -> Iterator[Path]:
    """Mounts the bucket, which must exist, for as long as the context lasts."""
    folder = Path(access.folder)
    point = folder / "mount"
    point.mkdir()
    log = folder / "s3fs.log"
    options = [
        f"url={access.url}",
        f"endpoint={REGION}",
        "use_path_request_style",
        "sigv4",
        f"multipart_size={PART_BYTES >> 20}",
    ]
    # In the foreground (-f), so that its end can be waited for.
    command = ["s3fs", access.bucket, str(point), "-f", "-o", ",".join(options)]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, env={**access.environment, **_variables(access)}, stdout=sink, stderr=sink
        )
    try:
        _wait_for_mount(point, process, log)
        yield point
    finally:
        if _is_mounted(point):
            subprocess.run(_unmount(point), check=True, timeout=_PATIENCE_S)
        else:
            process.terminate()
        process.wait(_PATIENCE_S)


def _variables(access: Access) -> dict[str, str]:
    keys = {"AWSACCESSKEYID": access.access_key, "AWSSECRETACCESSKEY": access.secret_key}
    return keys | ({"CURL_CA_BUNDLE": access.ca_file} if access.is_secure else {})


def _unmount(point: Path) -> list[str]:
    return ["umount", str(point)] if os.geteuid() == 0 else ["fusermount", "-u", str(point)]


def _is_mounted(point: Path) -> bool:
    return f" {point} " in Path("/proc/self/mounts").read_text()


def _wait_for_mount(point: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """The kernel tells of every mount by POLLERR and POLLPRI on this file (proc(5))."""
    with Path("/proc/self/mounts").open() as mounts:
        poll = select.poll()
        poll.register(mounts, select.POLLERR | select.POLLPRI)
        while not _is_mounted(point):
            poll.poll(1000)
            assert process.poll() is None, f"s3fs ended: {log.read_text()}"


class S3FsFuse:
    """A client whose operations are those of a file system."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._context = mounted(access)
        self._point = self._context.__enter__()

    def make_bucket(self) -> None:
        raise NotImplementedError("a mount is of a bucket that exists")

    def put(self, key: str, source: Path) -> None:
        path = self._point / key
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)

    put_in_parts = put

    def get(self, key: str, target: Path) -> None:
        shutil.copyfile(self._point / key, target)

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        with (self._point / key).open("rb") as file:
            file.seek(start)
            return file.read(stop - start)

    def list(self, prefix: str) -> list[Entry]:
        files = [path for path in self._point.rglob("*") if path.is_file()]
        found = [(path.relative_to(self._point).as_posix(), path.stat().st_size) for path in files]
        return [entry for entry in found if entry[0].startswith(prefix)]

    def copy(self, source: str, target: str) -> None:
        """Through the kernel and back: a file system has no copy on the server. Renaming is one, and a deletion."""
        shutil.copyfile(self._point / source, self._point / target)

    def delete(self, key: str) -> None:
        (self._point / key).unlink()

    def close(self) -> None:
        self._context.__exit__(None, None, None)
