"""A server that is compared: its processes, its folder, and what a request to it looks like.

Each has a folder of its own, listens on loopback, and is pinned to given cores. `Server.missing` is the line that
installs one that is not there. `stop` leaves nothing running.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Final

from zerohop_bench import process_tree
from zerohop_bench.http_load import Address, LoadFailed, request_once
from zerohop_bench.sigv4 import UNSIGNED_PAYLOAD, Keys, presigned_target, signed_head, signed_put

__all__ = ["BUCKET", "Server", "find_program", "free_ports"]

BUCKET: Final = "bench"
_START_S: Final = 60.0
_STOP_S: Final = 20.0
_PROBE_TIMEOUT_S: Final = 5.0


class Server(ABC):
    """One server, of one process or several."""

    name: ClassVar[str]
    program: ClassVar[str] = ""
    install: ClassVar[str] = ""
    takes_writes: ClassVar[bool] = True

    def __init__(self, folder: Path, cpus: str | None, label: str = "") -> None:
        self.folder = folder / (label or self.name)
        self.folder.mkdir()
        self._cpus = cpus
        self._processes: list[subprocess.Popen[bytes]] = []
        self.address: Address = ("127.0.0.1", 0)
        self.keys = Keys("", "")

    @classmethod
    def missing(cls) -> str:
        """How to install it; "" when it is there."""
        return "" if not cls.program or find_program(cls.program) else cls.install

    @property
    def host(self) -> str:
        """As in the Host header."""
        return f"{self.address[0]}:{self.address[1]}"

    @abstractmethod
    def start(self) -> None:
        """Starts it and waits until it takes requests; a bucket is there then. Raises LoadFailed."""

    @abstractmethod
    def version(self) -> str:
        """What is compared."""

    # ------------------------------------------------------------------------------------------------- requests

    def target(self, method: str, key: str, query: Mapping[str, str] | None = None) -> str:
        """Path and query, presigned; the bucket itself for the key ""."""
        return presigned_target(self.keys, method, self.host, _path(BUCKET, key), query)

    def head(
        self,
        method: str,
        key: str,
        *,
        bucket: str = BUCKET,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        digest: str = UNSIGNED_PAYLOAD,
        length_bytes: int | None = None,
    ) -> bytes:
        """The head of a request with its signature in the header."""
        return signed_head(
            self.keys,
            method,
            self.host,
            _path(bucket, key),
            query=query,
            headers=headers,
            digest=digest,
            length_bytes=length_bytes,
        )

    def put_head(self, bucket: str, key: str, body: bytes) -> bytes:
        """The head of the request that stores an object, its body's hash signed."""
        return signed_put(self.keys, self.host, _path(bucket, key), body)

    def make_bucket(self, bucket: str) -> None:
        """Makes it. Raises LoadFailed."""
        request_once(self.address, self.put_head(bucket, "", b""))

    def store(self, key: str, body: bytes) -> None:
        """Stores an object. Raises LoadFailed."""
        request_once(self.address, self.put_head(BUCKET, key, body), body)

    # ------------------------------------------------------------------------------------------------ processes

    @property
    def pids(self) -> list[int]:
        """Of the processes that were started here; they have children."""
        return [process.pid for process in self._processes]

    def cpu_s(self) -> float:
        """Processor time that all of its processes have used."""
        return process_tree.cpu_s(self.pids)

    def stop(self) -> None:
        """Ends all of its processes, the last one first."""
        while self._processes:
            process = self._processes.pop()
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _launch(self, *command: str, env: Mapping[str, str] | None = None) -> Path:
        """Starts one process; returns the file that has what it says."""
        pinned = [] if self._cpus is None else ["taskset", "-c", self._cpus]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ZEROHOP_")}
        log = self.folder / f"log-{len(self._processes)}"
        with log.open("ab") as output:
            self._processes.append(
                subprocess.Popen(
                    [*pinned, *command],
                    env={**clean, **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self.folder,
                    start_new_session=True,  # Ctrl-C is ours: we stop it
                )
            )
        return log

    def _until(self, is_ready: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + _START_S
        while not is_ready():
            ended = any(process.poll() is not None for process in self._processes)
            if ended or time.monotonic() > deadline_s:
                said = "\n".join(
                    log.read_text(errors="replace")[-1500:] for log in sorted(self.folder.glob("log-*"))
                )
                raise LoadFailed(f"{self.name}: {what} did not come:\n{said}")
            time.sleep(0.1)

    def _answers(self, head: bytes) -> bool:
        try:
            request_once(self.address, head, timeout_s=_PROBE_TIMEOUT_S)
        except (OSError, LoadFailed):
            return False
        return True

    def _until_bucket(self) -> None:
        self._until(lambda: self._answers(self.put_head(BUCKET, "", b"")), "the bucket")

    def _new_keys(self) -> None:
        self.keys = Keys(secrets.token_hex(10), secrets.token_hex(20))


def find_program(program: str) -> str:
    """Its path: beside our Python, as in a virtual environment, or on the PATH; "" when it is not there."""
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"))
    return shutil.which(program, path=places) or ""


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listened on a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def _path(bucket: str, key: str) -> str:
    return f"/{bucket}/{key}" if key else f"/{bucket}"
