"""Clients that are programs, run once for each operation."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote_plus
from xml.etree import ElementTree

from tests.clients.access import PART_BYTES, REGION, Access, Entry
from tests.clients.driven import CLIENTS_BIN

__all__ = ["AwsCli", "Curl", "Rclone", "S3Cmd", "S5Cmd"]

_PATIENCE_S: Final = 100
_PART_MIB: Final = PART_BYTES >> 20


class _Program:
    """`_run` runs it; what it needs to find the endpoint is in the subclasses."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._bucket = access.bucket
        self._environment = access.environment

    def _run(self, program: str, *arguments: str | Path) -> bytes:
        command = [program, *map(str, arguments)]
        done = subprocess.run(
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, (
            f"{command} ended with {done.returncode}\n{done.stdout!r}\n{done.stderr.decode(errors='replace')}"
        )
        return done.stdout

    def _uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def _file(self, name: str, text: str) -> Path:
        path = Path(self._access.folder) / name
        path.write_text(text)
        return path

    def close(self) -> None:
        """Nothing runs between the operations."""


def _aws_trust(access: Access) -> dict[str, str]:
    return {"AWS_CA_BUNDLE": access.ca_file} if access.is_secure else {}


class AwsCli(_Program):
    """AWS's command line."""

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        sizes = f"  multipart_threshold = {_PART_MIB}MB\n  multipart_chunksize = {_PART_MIB}MB\n"
        self._parts_config = self._file("in-parts.conf", f"[default]\ns3 =\n{sizes}")
        self._config = self._file("plain.conf", "[default]\n")
        self._environment |= _aws_trust(access)

    def _aws(self, *arguments: str | Path, config: Path | None = None) -> bytes:
        self._environment["AWS_CONFIG_FILE"] = str(config or self._config)
        return self._run(str(CLIENTS_BIN / "aws"), "--endpoint-url", self._access.url, *arguments)

    def make_bucket(self) -> None:
        self._aws("s3", "mb", f"s3://{self._bucket}")

    def put(self, key: str, source: Path) -> None:
        self._aws("s3", "cp", source, self._uri(key))

    def put_in_parts(self, key: str, source: Path) -> None:
        self._aws("s3", "cp", source, self._uri(key), config=self._parts_config)

    def get(self, key: str, target: Path) -> None:
        self._aws("s3", "cp", self._uri(key), target)

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        part = self._file("range", "")
        at = ["--bucket", self._bucket, "--key", key, "--range", f"bytes={start}-{stop - 1}"]
        self._aws("s3api", "get-object", *at, part)
        return part.read_bytes()

    def list(self, prefix: str) -> list[Entry]:
        listed = self._aws(
            *("s3api", "list-objects-v2", "--bucket", self._bucket),
            *("--prefix", prefix, "--output", "json"),
        )
        return [(entry["Key"], entry["Size"]) for entry in json.loads(listed or "{}").get("Contents", [])]

    def copy(self, source: str, target: str) -> None:
        self._aws("s3", "cp", self._uri(source), self._uri(target))

    def delete(self, key: str) -> None:
        self._aws("s3", "rm", self._uri(key))


class S3Cmd(_Program):
    """s3cmd."""

    def _s3cmd(self, *arguments: str | Path) -> bytes:
        host = self._access.host + self._access.prefix
        trust = f"ca_certs_file = {self._access.ca_file}\n" if self._access.is_secure else ""
        config = self._file(
            "s3cfg",
            "[default]\n"
            f"access_key = {self._access.access_key}\nsecret_key = {self._access.secret_key}\n"
            f"host_base = {host}\nhost_bucket = {host}\nuse_https = {self._access.is_secure}\n"
            f"{trust}"
            f"multipart_chunk_size_mb = {_PART_MIB}\n",
        )
        return self._run(CLIENTS_BIN / "s3cmd", "--config", config, "--no-progress", *arguments)

    def _run(self, program: str | Path, *arguments: str | Path) -> bytes:
        # By the interpreter's name: the script's own first line holds the path of the machine that installed it.
        return super()._run(str(CLIENTS_BIN / "python"), program, *arguments)

    def make_bucket(self) -> None:
        self._s3cmd("mb", f"s3://{self._bucket}")

    def put(self, key: str, source: Path) -> None:
        self._s3cmd("put", source, self._uri(key))

    put_in_parts = put

    def get(self, key: str, target: Path) -> None:
        self._s3cmd("get", "--force", self._uri(key), target)

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """It only knows how to go on with an unfinished download."""
        part = self._file("range", "")
        with part.open("wb") as sink:
            sink.truncate(start)
        self._s3cmd("get", "--continue", self._uri(key), part)
        return part.read_bytes()[start:stop]

    def list(self, prefix: str) -> list[Entry]:
        lines = self._s3cmd("ls", "--recursive", self._uri(prefix)).decode().splitlines()
        columns = (line.split(maxsplit=3) for line in lines)
        return [(uri.removeprefix(self._uri("")), int(size)) for _, _, size, uri in columns]

    def copy(self, source: str, target: str) -> None:
        self._s3cmd("cp", self._uri(source), self._uri(target))

    def delete(self, key: str) -> None:
        self._s3cmd("del", self._uri(key))


class Rclone(_Program):
    """rclone, with a remote that is configured by the environment."""

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        remote = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ENV_AUTH": "true",
            "ENDPOINT": access.url,
            "REGION": REGION,
            "CHUNK_SIZE": f"{_PART_MIB}Mi",
            "UPLOAD_CUTOFF": f"{_PART_MIB}Mi",
        }
        self._environment |= {f"RCLONE_CONFIG_ZH_{name}": value for name, value in remote.items()}
        self._environment["RCLONE_CONFIG"] = ""
        if access.is_secure:
            self._environment["RCLONE_CA_CERT"] = access.ca_file

    def _rclone(self, *arguments: str | Path) -> bytes:
        return self._run(str(CLIENTS_BIN / "rclone"), *arguments)

    def _path(self, key: str) -> str:
        return f"zh:{self._bucket}/{key}"

    def make_bucket(self) -> None:
        self._rclone("mkdir", f"zh:{self._bucket}")

    def put(self, key: str, source: Path) -> None:
        self._rclone("copyto", source, self._path(key))

    put_in_parts = put

    def get(self, key: str, target: Path) -> None:
        self._rclone("copyto", self._path(key), target)

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        return self._rclone("cat", "--offset", str(start), "--count", str(stop - start), self._path(key))

    def list(self, prefix: str) -> list[Entry]:
        folder, _, _ = prefix.rpartition("/")
        listed = json.loads(self._rclone("lsjson", "--recursive", "--files-only", self._path(folder)))
        above = f"{folder}/" if folder else ""
        return [(above + entry["Path"], entry["Size"]) for entry in listed]

    def copy(self, source: str, target: str) -> None:
        self._rclone("copyto", self._path(source), self._path(target))

    def delete(self, key: str) -> None:
        self._rclone("deletefile", self._path(key))


class S5Cmd(_Program):
    """s5cmd."""

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self._environment |= _aws_trust(access)

    def _s5cmd(self, *arguments: str | Path) -> bytes:
        flags = ("--retry-count", "1", "--endpoint-url", self._access.url)
        return self._run(str(CLIENTS_BIN / "s5cmd"), *flags, *arguments)

    def make_bucket(self) -> None:
        self._s5cmd("mb", f"s3://{self._bucket}")

    def put(self, key: str, source: Path) -> None:
        self._s5cmd("cp", "--raw", source, self._uri(key))

    def put_in_parts(self, key: str, source: Path) -> None:
        self._s5cmd("cp", "--raw", "--part-size", str(_PART_MIB), source, self._uri(key))

    def get(self, key: str, target: Path) -> None:
        self._s5cmd("cp", "--raw", self._uri(key), target)

    def list(self, prefix: str) -> list[Entry]:
        lines = self._s5cmd("--json", "ls", self._uri(prefix) + "*").decode().splitlines()
        entries = (json.loads(line) for line in lines)
        return [(entry["key"].removeprefix(self._uri("")), entry.get("size", 0)) for entry in entries]

    def copy(self, source: str, target: str) -> None:
        self._s5cmd("cp", "--raw", self._uri(source), self._uri(target))

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """It downloads in concurrent ranges; there is no way to ask for one."""
        whole = self._s5cmd("cat", "--raw", "--part-size", "5", self._uri(key))
        return whole[start:stop]

    def delete(self, key: str) -> None:
        self._s5cmd("rm", "--raw", self._uri(key))


class Curl(_Program):
    """curl signing with SigV4, for scripts that have nothing else."""

    def _curl(self, query: str, *arguments: str | Path, key: str = "") -> bytes:
        path = f"/{self._bucket}" + (f"/{quote(key, safe='/~')}" if key else "")
        keys = f"{self._access.access_key}:{self._access.secret_key}"
        return self._run(
            "curl",
            *("--silent", "--show-error", "--fail-with-body", "--path-as-is", "--max-time", "60"),
            *("--aws-sigv4", f"aws:amz:{REGION}:s3", "--user", keys),
            # Not every version sends this by itself, and S3 wants it.
            *("--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"),
            *(("--cacert", self._access.ca_file) if self._access.is_secure else ()),
            *arguments,
            f"{self._access.url}{path}{query}",
        )

    def make_bucket(self) -> None:
        self._curl("", "--request", "PUT")

    def put(self, key: str, source: Path) -> None:
        self._curl("", "--upload-file", source, key=key)

    def put_in_parts(self, key: str, source: Path) -> None:
        created = ElementTree.fromstring(self._curl("?uploads=", "--request", "POST", key=key))
        upload = quote(created.findtext("{*}UploadId") or "", safe="")
        body = source.read_bytes()
        listed = ""
        for number, at in enumerate(range(0, len(body), PART_BYTES), 1):
            part = Path(self._access.folder) / "part"
            part.write_bytes(body[at : at + PART_BYTES])
            self._curl(f"?partNumber={number}&uploadId={upload}", "--upload-file", part, key=key)
            etag = hashlib.md5(part.read_bytes()).hexdigest()
            listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        complete = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>"
        self._curl(
            f"?uploadId={upload}",
            "--header",
            "Content-Type: application/xml",
            "--data-binary",
            complete,
            key=key,
        )

    def get(self, key: str, target: Path) -> None:
        self._curl("", "--output", target, key=key)

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        return self._curl("", "--range", f"{start}-{stop - 1}", key=key)

    def list(self, prefix: str) -> list[Entry]:
        found: list[Entry] = []
        after = ""
        while True:
            query = f"?encoding-type=url&list-type=2&prefix={quote(prefix, safe='')}"
            query = f"?continuation-token={quote(after, safe='')}&{query[1:]}" if after else query
            page = ElementTree.fromstring(self._curl(query))
            entries = (
                (entry.findtext("{*}Key"), entry.findtext("{*}Size")) for entry in page.findall("{*}Contents")
            )
            found.extend((unquote_plus(key or ""), int(size or "0")) for key, size in entries)
            after = page.findtext("{*}NextContinuationToken") or ""
            if not after:
                return found

    def copy(self, source: str, target: str) -> None:
        origin = f"x-amz-copy-source: /{self._bucket}/{quote(source, safe='/~')}"
        self._curl("", "--request", "PUT", "--header", origin, key=target)

    def delete(self, key: str) -> None:
        self._curl("", "--request", "DELETE", key=key)
