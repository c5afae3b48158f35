"""Our own clusters: one of `zerohop up`, and one put together from single processes, each on a host of its own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from zerohop_bench.results import OURS
from zerohop_bench.servers import Server
from zerohop_bench.sigv4 import Keys

__all__ = ["Zerohop", "ZerohopHosts"]

_CLI: Final = (sys.executable, "-P", "-m", "zerohop.cli")
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a memory tier has to be on tmpfs


class Zerohop(Server):
    """`zerohop up`: supervisor, master, worker and proxies."""

    name = OURS

    def __init__(
        self, folder: Path, cpus: str | None, label: str = "", *, proxies: int = 1, settings: str = ""
    ) -> None:
        """`settings`: a configuration file's text, in TOML."""
        super().__init__(folder, cpus, label)
        self.data = self.folder / "data"
        self._proxies = proxies
        self._settings = self.folder / "zerohop.toml"
        self._settings.write_text(settings)

    def version(self) -> str:
        from zerohop import __version__

        return f"zerohop {__version__}, Python {sys.version.split()[0]}"

    def start(self) -> None:
        """Starts it, on its data when it was stopped before."""
        (self.folder / "log-0").unlink(missing_ok=True)
        flags = (
            f"--config={self._settings}",
            f"--data={self.data}",
            "--port=0",
            f"--proxies={self._proxies}",
        )
        log = self._launch(*_CLI, "up", *flags)

        def is_ready() -> bool:
            said = re.search(r"zerohop is ready: S3 at http://(\S+):(\d+) ", log.read_text())
            if said is not None:
                self.address = (said[1], int(said[2]))
            return said is not None

        self._until(is_ready, "readiness")
        if not self.keys.access_key:
            self.keys = _new_user(f"--data={self.data}")
            self._until_bucket()

    @property
    def master(self) -> str:
        """RPC address of its master."""
        return str(self._running()["master"])

    def pid_of(self, process: str) -> int:
        """Of "master", "worker" or "proxy-0"."""
        return int(self._running()["pids"][process])

    def _running(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.data / "cluster.json").read_text())
        return found


class ZerohopHosts(Server):
    """A master, workers and one proxy, each taken for another host if it is named so: no descriptors between those."""

    name = OURS

    def __init__(
        self,
        folder: Path,
        cpus: str | None,
        label: str = "",
        *,
        worker_hosts: Sequence[str] = ("one",),
        proxy_host: str = "one",
    ) -> None:
        super().__init__(folder, cpus, label)
        self._worker_hosts = worker_hosts
        self._proxy_host = proxy_host
        self._memory = Path(tempfile.mkdtemp(prefix="zerohop-bench-", dir=_SHARED_MEMORY))

    def version(self) -> str:
        return Zerohop.version(self)  # type: ignore[arg-type]

    def start(self) -> None:
        master = self._run("master", "--listen=tcp://127.0.0.1:0", f"--data-dir={self.folder / 'm'}")
        for number, host in enumerate(self._worker_hosts):
            self._run(
                "worker",
                f"--master={master}",
                "--listen=tcp://127.0.0.1:0",
                f"--host-id={host}",
                f"--data-dir={self.folder / f'w{number}'}",
                f"--under-store={self.folder / 'store'}",
                f"--mem-dir={self._memory / str(number)}",
                # Beside the memory: the path of a Unix socket has to be short.
                f"--socket-dir={self._memory / f'run-{number}'}",
                "--mem-quota=1GiB",
                "--ssd-quota=4GiB",
            )
        endpoint = self._run("proxy", f"--master={master}", f"--host-id={self._proxy_host}", "--port=0")
        host, _, port = endpoint.removeprefix("http://").rpartition(":")
        self.address = (host, int(port))
        self.keys = _new_user(f"--master={master}")
        self._until_bucket()

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self._memory, ignore_errors=True)

    def _run(self, kind: str, *flags: str) -> str:
        """Starts a process; returns the address that it announces."""
        log = self._launch(*_CLI, kind, *flags, "--admin-listen=")
        found: list[str] = []

        def is_ready() -> bool:
            said = re.search(rf"^{kind} ready (\S+)$", log.read_text(), re.MULTILINE)
            found.extend([said[1]] if said else [])
            return said is not None

        self._until(is_ready, f"readiness of a {kind}")
        return found[0]


def _new_user(place: str) -> Keys:
    command = [*_CLI, "user", "add", "bench", "--json", place]
    made = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return Keys(made["access_key"], made["secret_key"])
