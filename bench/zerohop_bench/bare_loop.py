"""The least that a durable PUT must do: receive, hash, write the cache's file and the under-store's, sync, answer.

One thread, one loop, no HTTP beyond the length of the body. Run as `python -m zerohop_bench.bare_loop FOLDER MEMORY`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Final

from zerohop_bench.servers import Server

__all__ = ["BareLoop"]

_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - where our memory tier is, too
_RECEIVE_BYTES: Final = 1 << 20


class BareLoop(Server):
    """The loop in a process of its own."""

    name = "bare loop"

    def __init__(self, folder: Path, cpus: str | None, label: str = "") -> None:
        super().__init__(folder, cpus, label)
        self._memory = Path(tempfile.mkdtemp(prefix="zerohop-bench-", dir=_SHARED_MEMORY))

    def version(self) -> str:
        return "one thread"

    def start(self) -> None:
        log = self._launch(sys.executable, "-P", "-m", __name__, str(self.folder), str(self._memory))
        self._until(lambda: log.read_text().endswith("\n"), "its port")
        self.address = ("127.0.0.1", int(log.read_text()))

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self._memory, ignore_errors=True)


def _serve(folder: Path, memory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        number = 0
        while True:
            client, _ = listener.accept()
            number += 1
            for last in (memory / str(number - 1), folder / f"object-{number - 1}"):
                last.unlink(missing_ok=True)
            with client:
                _take(client, memory / str(number), folder / f"object-{number}")


def _take(client: socket.socket, cached: Path, stored: Path) -> None:
    buffer = bytearray(_RECEIVE_BYTES)
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(4096)
    head, _, first = head.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    left_bytes = int(length[1]) - len(first) if length else 0
    digest = hashlib.md5(first, usedforsecurity=False)
    with cached.open("xb", buffering=0) as cache, stored.open("xb", buffering=0) as store:
        cache.write(first)
        store.write(first)
        while left_bytes > 0 and (count := client.recv_into(buffer)):
            some = memoryview(buffer)[:count]
            digest.update(some)
            cache.write(some)
            store.write(some)
            left_bytes -= count
        os.fsync(store.fileno())
    folder = os.open(stored.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    client.sendall(f'HTTP/1.1 200 OK\r\nETag: "{digest.hexdigest()}"\r\nContent-Length: 0\r\n\r\n'.encode())


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), Path(sys.argv[2]))
