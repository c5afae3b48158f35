"""Names that a bucket may have.

Source: S3 user guide, "General purpose bucket naming rules".
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["is_valid_bucket_name"]

_SHAPE = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]\Z")
_IP_ADDRESS = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\Z")
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_OURS = "api"  # the first segment of the prefix under which the API is also served


@lru_cache(maxsize=4096)  # a cluster has few buckets, and each request names one
def is_valid_bucket_name(name: str) -> bool:
    """Whether `name` follows AWS's rules and is not ours; CreateBucket and addressing both ask."""
    return (
        _SHAPE.match(name) is not None
        and _IP_ADDRESS.match(name) is None
        and not name.startswith(_RESERVED_PREFIXES)
        and not name.endswith(_RESERVED_SUFFIXES)
        and name != _OURS
    )
