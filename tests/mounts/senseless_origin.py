"""An S3 server whose answers are what a test says, to the byte: for stores, and things on the way to them, that do not
keep to S3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.mounts.threaded_server import serving

__all__ = ["SenselessOrigin", "page", "senseless_origin", "told"]

Answer = Callable[[str, Mapping[str, str]], bytes]
"""Method ("LIST" for a listing) and query to the bytes of an answer."""

LAST_MODIFIED = "Mon, 30 Nov 2026 10:00:00 GMT"


def told(
    status: int, body: bytes = b"", *, method: str = "GET", length: int | None = -1, **headers: str
) -> bytes:
    """An answer with a body (of which a HEAD only tells); `length`: what it says of it, None for nothing."""
    lines = [f"HTTP/1.1 {status} X"]
    fields = {"Last-Modified": LAST_MODIFIED, "ETag": '"0123456789abcdef0123456789abcdef"'}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    if length is not None:
        fields["Content-Length"] = str(len(body) if length < 0 else length)
    else:
        fields["Connection"] = "close"
    lines += [f"{name}: {value}" for name, value in fields.items() if value]
    return "\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else body)


def page(*keys: str, more: bool = False, token: str = "") -> bytes:
    """The answer to a listing."""
    entries = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f'<ETag>"00000000000000000000000000000000"</ETag><Size>7</Size></Contents>'
        for key in keys
    )
    token = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    body = (
        f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
    )
    return told(200, body.encode(), Content_Type="application/xml")


class SenselessOrigin:
    """`answers` by the key, or by the prefix of a listing; one that is missing is an empty page, or 404."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.connections = 0
        self.url = ""

    def answer(self, method: str, key: str, query: Mapping[str, str]) -> bytes:
        found = self.answers.get(key)
        if found is not None:
            return found(method, query)
        return page() if method == "LIST" else told(404, b"<Error><Code>NoSuchKey</Code></Error>")


@contextmanager
def senseless_origin() -> Iterator[SenselessOrigin]:
    origin = SenselessOrigin()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            origin.connections += 1
            super().setup()

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            is_listing = "list-type" in query
            key = query.get("prefix", "") if is_listing else parts.path.split("/", 2)[2]
            answer = origin.answer("LIST" if is_listing else self.command, key, query)
            self.wfile.write(answer)
            self.close_connection = b"Connection: close" in answer

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer()

        def log_message(self, *_arguments: object) -> None:
            pass

    with serving(Handler) as origin.url:
        yield origin
