"""What a client needs to know to use a bucket, and what it must then be able to do."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

__all__ = ["PART_BYTES", "REGION", "Access", "Client", "Entry"]

REGION: Final = "us-east-1"
PART_BYTES: Final = 5 << 20
"""The smallest part that S3 takes, and the one that every client is told to use."""

Entry = tuple[str, int]
"""Key and size in bytes."""


@dataclass(frozen=True)
class Access:
    """A bucket at an endpoint, and whose keys to use."""

    endpoint: str  # http://host:port or https://host:port
    prefix: str  # "" or the path that stands before the bucket
    access_key: str
    secret_key: str
    bucket: str
    folder: str  # a folder for the client's own files, empty at first
    ca_file: str = ""  # the authority that an https endpoint's certificate comes from (PEM)

    @property
    def url(self) -> str:
        return self.endpoint + self.prefix

    @property
    def host(self) -> str:
        """host:port"""
        return urlsplit(self.endpoint).netloc

    @property
    def is_secure(self) -> bool:
        return self.endpoint.startswith("https:")

    @property
    def environment(self) -> dict[str, str]:
        """The variables for the client's process: nothing of whoever runs the tests gets in."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": self.folder,
            "LANG": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def as_json(self) -> dict[str, str | int | bool]:
        return {
            **asdict(self),
            "url": self.url,
            "host": self.host,
            "is_secure": self.is_secure,
            "region": REGION,
            "part_bytes": PART_BYTES,
        }


class Client(Protocol):
    """An S3 client that works in one bucket. Every operation raises when the client reports a failure."""

    def make_bucket(self) -> None: ...

    def put(self, key: str, source: Path) -> None:
        """Uploads a file as the client does on its own choice."""

    def put_in_parts(self, key: str, source: Path) -> None:
        """Uploads a file of more than two parts with parts of `PART_BYTES`, if the client can be told so."""

    def get(self, key: str, target: Path) -> None: ...

    def get_range(self, key: str, start: int, stop: int) -> bytes: ...

    def list(self, prefix: str) -> list[Entry]:
        """All objects below the prefix, in the order in which the client tells them."""

    def copy(self, source: str, target: str) -> None:
        """On the server, within the bucket."""

    def delete(self, key: str) -> None: ...

    def close(self) -> None: ...
