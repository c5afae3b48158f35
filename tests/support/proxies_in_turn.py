"""Clients that speak to another proxy with each request, so that whatever one proxy keeps to itself shows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["in_turn"]


def in_turn(client: S3Client, endpoints: Sequence[str]) -> None:
    """Makes a client of boto3 send its requests to one endpoint after the other, each signed for where it goes."""
    turn = itertools.cycle(urlsplit(endpoint).netloc for endpoint in endpoints)

    def redirect(params: dict[str, Any], **_event: object) -> None:
        params["url"] = urlunsplit(urlsplit(params["url"])._replace(netloc=next(turn)))

    client.meta.events.register("before-call.s3", redirect)
