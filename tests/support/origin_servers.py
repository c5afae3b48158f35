"""Servers that stand in for other people's stores, each a process of its own on a free port of the loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

__all__ = [
    "AZURITE_ACCOUNT",
    "AZURITE_KEY",
    "HAS_GO",
    "HAS_HADOOP",
    "azurite",
    "create_container",
    "fake_gcs_server",
    "hadoop_cluster",
    "moto_server",
]

ROOT = Path(__file__).resolve().parents[2]
NODE = ROOT / "tests/origins/node/node_modules"
HADOOP = ROOT / "tests/origins/hadoop"

HAS_HADOOP = all(map(shutil.which, ("javac", "java", "mvn")))
HAS_GO = shutil.which("go") is not None
FAKE_GCS_SERVER = "github.com/fsouza/fake-gcs-server@v1.56.1"

# Azurite's well-known account, the same in every installation.
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

NEWLINES = "\n" * 12  # the eleven headers of a request that has none of them

_MOTO = """
import logging, sys
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("port", server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def moto_server() -> Iterator[int]:
    """moto's S3, which checks no signatures. Yields its port."""
    with _served([sys.executable, "-W", "ignore", "-c", _MOTO], r"port (\d+)") as port:
        yield port


@contextmanager
def azurite(*more: str) -> Iterator[int]:
    """Microsoft's own emulator of Azure Blob Storage, with more options than it needs. Yields its port."""
    program = NODE / "azurite/dist/src/blob/main.js"
    assert program.exists(), f"{program} is missing: `make test` installs it"
    options = [
        "--blobPort",
        "0",
        "--inMemoryPersistence",
        "--disableTelemetry",
        "--skipApiVersionCheck",
        "--silent",
    ]
    command = ["node", str(program), *options, *more]
    with _served(command, r"listens on https?://127\.0\.0\.1:(\d+)") as port:
        yield port


def create_container(endpoint: str, name: str, ca_file: str | None = None) -> None:
    """A container of Azurite; obstore makes none. Signed as "Authorize with Shared Key" says."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    resource = f"/{AZURITE_ACCOUNT}/{AZURITE_ACCOUNT}/{name}\nrestype:container"
    canonical = "".join(f"{header}:{value}\n" for header, value in sorted(headers.items()))
    text = f"PUT{NEWLINES}{canonical}{resource}"
    digest = hmac.digest(base64.b64decode(AZURITE_KEY), text.encode(), hashlib.sha256)
    headers["Authorization"] = f"SharedKey {AZURITE_ACCOUNT}:{base64.b64encode(digest).decode()}"
    url = f"{endpoint}/{name}?restype=container"
    request = urllib.request.Request(url, method="PUT", headers=headers)
    trusted = ssl.create_default_context(cafile=ca_file) if ca_file else None
    with urllib.request.urlopen(request, context=trusted) as answer:
        assert answer.status == 201


@contextmanager
def hadoop_cluster(folder: Path) -> Iterator[int]:
    """A NameNode and a DataNode, from Maven Central. Yields the port of the former."""
    classpath = folder / "classpath"
    told = ["mvn", "-q", "-B", "-f", str(HADOOP / "pom.xml"), "dependency:build-classpath"]
    subprocess.run([*told, f"-Dmdep.outputFile={classpath}"], check=True)
    program = ["java", "-Xmx512m", "-cp", classpath.read_text().strip(), str(HADOOP / "Cluster.java")]
    with _served([*program, str(folder / "data")], r"port (\d+)") as port:
        yield port


@contextmanager
def fake_gcs_server(folder: Path) -> Iterator[int]:
    """An emulator of Google Cloud Storage that knows the JSON API, and of the XML API what reads, lists and deletes.
    Built by Go. Yields its port.
    """
    subprocess.run(["go", "install", FAKE_GCS_SERVER], check=True, env=os.environ | {"GOBIN": str(folder)})
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    place = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}"]
    command = [str(folder / "fake-gcs-server"), *place, "-backend", "memory"]
    with _served(command, r"server started at http://127\.0\.0\.1:(\d+)") as announced:
        yield announced


@contextmanager
def _served(command: Sequence[str], announced: str) -> Iterator[int]:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            found = re.search(announced, line)
            if found:
                # It goes on telling of each request: somebody has to listen, or it would stop.
                listener = threading.Thread(target=deque, args=(process.stdout, 0))
                listener.start()
                try:
                    yield int(found[1])
                finally:
                    process.kill()
                    listener.join()
                return
        raise AssertionError(f"{command[0]} ended: {''.join(said)}")
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
