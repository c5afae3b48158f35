"""A small Google Cloud Storage in memory: of its XML API what zerohop's library asks for, as Google documents it
(cloud.google.com/storage/docs/xml-api). No emulator at hand takes its writes.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

__all__ = ["XmlGcs", "xml_gcs"]

_STORED: Final = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
)
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class _Object:
    body: bytes
    headers: dict[str, str]
    generation: int
    etag: str
    written_s: float = field(default_factory=time.time)


@dataclass
class XmlGcs:
    """Its state, and where it listens. `meanwhile` is called before a conditional write is judged, `afterwards` once
    a write is done and before it is answered.
    """

    port: int = 0
    objects: dict[str, _Object] = field(default_factory=dict)  # by /bucket/key
    uploads: dict[str, tuple[dict[str, str], dict[int, bytes]]] = field(default_factory=dict)
    generations: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    lock: threading.Lock = field(default_factory=threading.Lock)
    meanwhile: Callable[[], None] | None = None
    afterwards: Callable[[], None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def write(self, path: str, body: bytes, headers: dict[str, str], *, parts: int = 0) -> _Object:
        """As one PUT, or the completion of that many parts: those have no MD5 for an ETag."""
        generation = next(self.generations)
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        made = _Object(body, headers, generation, f"{generation}-{parts}" if parts else digest)
        self.objects[path] = made
        return made


class _Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gcs: XmlGcs

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = urlsplit(self.path)
        self.key, self.query = unquote(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            with self.gcs.lock:
                status, headers, answer = self._answer(body)
        except _Refused as refused:
            document = f"<Error><Code>{refused.code}</Code></Error>".encode()
            status, headers, answer = refused.status, {}, document
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(answer))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and status != 304:
            with suppress(BrokenPipeError, ConnectionResetError):  # a reader may leave
                self.wfile.write(answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - named by http.server

    def _answer(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self.headers.get("authorization") != "Bearer any":
            raise _Refused(401, "AuthenticationRequired")
        if "list-type" in self.query:
            return 200, {}, self._list()
        if "uploads" in self.query or "uploadId" in self.query:
            return self._upload(body)
        if self.command == "PUT":
            return self._put(body)
        found = self.gcs.objects.get(self.key)
        if found is None:
            raise _Refused(404, "NoSuchKey")
        if self.command == "DELETE":
            del self.gcs.objects[self.key]
            return 204, {}, b""
        return self._get(found)

    def _about(self, found: _Object) -> dict[str, str]:
        return {
            **found.headers,
            "ETag": f'"{found.etag}"',
            "Last-Modified": formatdate(found.written_s, usegmt=True),
            "x-goog-generation": str(found.generation),
        }

    def _given(self) -> dict[str, str]:
        given = {name.lower(): value for name, value in self.headers.items()}
        return {
            name: value for name, value in given.items() if name in _STORED or name.startswith("x-goog-meta-")
        }

    def _put(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        wanted = self.headers.get("x-goog-if-generation-match")
        if wanted is not None and self.gcs.meanwhile is not None:
            self.gcs.meanwhile()
        old = self.gcs.objects.get(self.key)
        if wanted is not None and int(wanted) != (0 if old is None else old.generation):
            raise _Refused(412, "PreconditionFailed")
        source = self.headers.get("x-goog-copy-source")
        headers = self._given()
        answer = b""
        if source is not None:
            copied = self.gcs.objects.get("/" + unquote(source).lstrip("/"))
            if copied is None:
                raise _Refused(404, "NoSuchKey")
            body, headers = copied.body, copied.headers
            answer = b"<CopyObjectResult></CopyObjectResult>"
        made = self.gcs.write(self.key, body, headers)
        if self.gcs.afterwards is not None:
            self.gcs.afterwards()
        return 200, {"ETag": f'"{made.etag}"', "x-goog-generation": str(made.generation)}, answer

    def _get(self, found: _Object) -> tuple[int, dict[str, str], bytes]:
        etag, size = f'"{found.etag}"', len(found.body)
        if self.headers.get("if-match", etag) != etag:
            raise _Refused(412, "PreconditionFailed")
        if self.headers.get("if-none-match") == etag:
            return 304, {"ETag": etag}, b""
        about = self._about(found)
        asked = _RANGE.fullmatch(self.headers.get("range", ""))
        if self.command == "HEAD":
            return 200, about | {"Content-Length": str(size)}, b""
        if asked is None:
            return 200, about, found.body
        first = int(asked[1]) if asked[1] else max(0, size - int(asked[2]))
        last = min(int(asked[2]), size - 1) if asked[1] and asked[2] else size - 1
        if first >= size:
            raise _Refused(416, "InvalidRange")
        return 206, about | {"Content-Range": f"bytes {first}-{last}/{size}"}, found.body[first : last + 1]

    def _upload(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if "uploads" in self.query:
            name = f"upload-{next(self.gcs.generations)}"
            self.gcs.uploads[name] = (self._given(), {})
            told = f"<UploadId>{name}</UploadId>"
            return 200, {}, f"<InitiateMultipartUploadResult>{told}</InitiateMultipartUploadResult>".encode()
        name = self.query["uploadId"]
        if name not in self.gcs.uploads:
            raise _Refused(404, "NoSuchUpload")
        headers, parts = self.gcs.uploads[name]
        if self.command == "PUT":
            parts[int(self.query["partNumber"])] = body
            return 200, {"ETag": f'"part-{self.query["partNumber"]}"'}, b""
        del self.gcs.uploads[name]
        if self.command == "DELETE":
            return 204, {}, b""
        made = self.gcs.write(self.key, b"".join(parts[n] for n in sorted(parts)), headers, parts=len(parts))
        told = f"<ETag>&quot;{made.etag}&quot;</ETag>"
        document = f"<CompleteMultipartUploadResult>{told}</CompleteMultipartUploadResult>".encode()
        return 200, {"x-goog-generation": str(made.generation)}, document

    def _list(self) -> bytes:
        base = self.key.rstrip("/") + "/"
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter", "")
        after = self.query.get("continuation-token") or self.query.get("start-after", "")
        limit = int(self.query.get("max-keys") or 1000)
        names: dict[str, _Object | None] = {}
        for path, one in self.gcs.objects.items():
            key = path.removeprefix(base)
            if path.startswith(base) and key.startswith(prefix):
                end = key.find(delimiter, len(prefix)) if delimiter else -1
                names.setdefault(key if end < 0 else key[: end + 1], one if end < 0 else None)
        ordered = sorted((name for name in names if name > after), key=str.encode)
        shown = ordered[:limit]
        entries = "".join(_entry(name, names[name]) for name in shown)
        more = (
            f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if ordered[limit:] else ""
        )
        return f"<ListBucketResult>{more}{entries}</ListBucketResult>".encode()


def _entry(name: str, one: _Object | None) -> str:
    if one is None:
        return f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(one.written_s))
    return (
        f"<Contents><Key>{escape(name)}</Key><LastModified>{at}</LastModified><Size>{len(one.body)}</Size>"
        f"<ETag>&quot;{one.etag}&quot;</ETag></Contents>"
    )


@contextmanager
def xml_gcs() -> Iterator[XmlGcs]:
    """One that runs, with any bucket, for who sends the bearer token "any"."""
    gcs = XmlGcs()
    handler = type("Handler", (_Handler,), {"gcs": gcs})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        gcs.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield gcs
        finally:
            server.shutdown()
            thread.join()
