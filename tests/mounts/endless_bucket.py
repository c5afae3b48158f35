"""An S3 server that only lists: a bucket of any number of keys, none of which has to be made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.mounts.threaded_server import serving

__all__ = ["EndlessBucket", "endless_bucket"]


class EndlessBucket:
    """Keys `folder-000/key-000000`..., a thousand in a folder."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.pages = 0
        self.url = ""

    def key(self, number: int) -> str:
        return f"folder-{number // 1000:04}/key-{number:07}"

    def page(self, prefix: str, after: str, limit: int) -> tuple[list[str], bool]:
        """The first `limit` keys, and whether there are more."""
        self.pages += 1
        first, last = self._below(prefix), self._below(prefix + "\U0010ffff")
        first = max(first, self._below(after + "\0") if after else 0)
        return [self.key(number) for number in range(first, min(first + limit, last))], first + limit < last

    def _below(self, name: str) -> int:
        """How many keys come before a name."""
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            if self.key(middle) < name:
                low = middle + 1
            else:
                high = middle
        return low


@contextmanager
def endless_bucket(count: int) -> Iterator[EndlessBucket]:
    bucket = EndlessBucket(count)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            assert "delimiter" not in query
            keys, more = bucket.page(
                query.get("prefix", ""), query.get("start-after", ""), int(query.get("max-keys", "1000"))
            )
            entries = "".join(
                f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                f'<ETag>"00000000000000000000000000000000"</ETag><Size>7</Size></Contents>'
                for key in keys
            )
            body = (
                f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>"
                f"<EncodingType>url</EncodingType>{entries}</ListBucketResult>"
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    with serving(Handler) as bucket.url:
        yield bucket
