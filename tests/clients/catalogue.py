"""All clients, by name, and what each is able to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import pytest
from tests.clients.access import Access, Client
from tests.clients.commands import AwsCli, Curl, Rclone, S3Cmd, S5Cmd
from tests.clients.driven import by_node, by_python, with_clients_python
from tests.clients.mounted import S3FsFuse

__all__ = ["ADDRESSED", "CLIENTS", "ODD_KEYS", "OVER_HTTPS", "PREFIX", "Kind"]

PREFIX: Final = "/api/v1/s3"

ODD_KEYS: Final = {
    "space": "with  two spaces and a trailing one ",
    "plus": "plus+plus",
    "percent": "per%cent%2Fslash",
    "query": "q?u=e&r#y",
    "unicode": "ünïcödé/日本語/🪣",
    "punctuation": "~tilde!at@dollar$caret^(paren);semi:colon,comma=equals|bar`tick{brace}",
    "glob": "star*mark[bracket]",
    "quotes": "quote\"'<>&amp;",
    "backslash": "back\\slash",
    "empty folder name": "a//b",
    "leading slash": "/leading",
    "dot": "a/./b",
    "two dots": "a/../b",
    "tab and newline": "tab\tnewline\n",
    "not in XML 1.0": "bell\a",
    "long": "a" * 1024,
}


@dataclass(frozen=True)
class Kind:
    """How to make a client, and where it stops: by its own design, not by ours."""

    connect: Callable[[Access], Client]
    takes_a_path: bool = True  # the endpoint may have one
    makes_buckets: bool = True
    frames_for_https: bool = False  # its bodies have another form there (STREAMING-UNSIGNED-PAYLOAD-TRAILER)
    cannot_name: tuple[str, ...] = ()  # odd keys that it changes or refuses itself


CLIENTS: Final[dict[str, Kind]] = {
    "boto3": Kind(partial(by_python, driver="with_boto3"), frames_for_https=True),
    "boto": Kind(
        partial(by_python, driver="with_boto"),
        cannot_name=("empty folder name", "leading slash", "not in XML 1.0"),
    ),
    "pyarrow": Kind(
        partial(by_python, driver="with_pyarrow"),
        cannot_name=("empty folder name", "leading slash", "dot", "two dots"),
    ),
    "aiobotocore": Kind(partial(with_clients_python, driver="with_aiobotocore")),
    "s3fs": Kind(partial(with_clients_python, driver="with_s3fs")),
    "minio-py": Kind(
        partial(with_clients_python, driver="with_minio"),
        takes_a_path=False,
        cannot_name=("dot", "two dots"),
    ),
    "obstore": Kind(
        partial(with_clients_python, driver="with_obstore"),
        makes_buckets=False,
        cannot_name=(
            *("empty folder name", "leading slash", "dot", "two dots"),
            *("tab and newline", "not in XML 1.0"),
        ),
    ),
    "aws-sdk-js": Kind(partial(by_node, driver="with_aws_sdk"), frames_for_https=True),
    "minio-js": Kind(partial(by_node, driver="with_minio_js"), takes_a_path=False),
    "awscli": Kind(AwsCli, frames_for_https=True),
    "s3cmd": Kind(S3Cmd, cannot_name=("glob", "tab and newline", "not in XML 1.0")),
    "rclone": Kind(
        Rclone,
        cannot_name=(
            *("empty folder name", "leading slash", "dot", "two dots"),
            *("tab and newline", "not in XML 1.0"),
        ),
    ),
    "s5cmd": Kind(S5Cmd, cannot_name=("not in XML 1.0",)),
    "curl": Kind(Curl),
    "s3fs-fuse": Kind(
        S3FsFuse,
        makes_buckets=False,
        cannot_name=("empty folder name", "leading slash", "dot", "two dots", "not in XML 1.0", "long"),
    ),
}

ADDRESSED: Final = [
    pytest.param((name, prefix, False), id=f"{name}-{'prefix' if prefix else 'root'}")
    for name, kind in CLIENTS.items()
    for prefix in ("", PREFIX)
    if kind.takes_a_path or not prefix
]
"""Each client with each form of endpoint that it takes: name, path, and whether over https."""

OVER_HTTPS: Final = [
    pytest.param(
        (name, "", True),
        id=f"{name}-https",
        marks=[] if kind.frames_for_https else pytest.mark.soak(cost_s=2),
    )
    for name, kind in CLIENTS.items()
]
"""Every client. In the short run only those whose bodies take another form over https."""
