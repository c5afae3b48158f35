"""Virtual-host style: the bucket that a Host header names. Pure.

Source: S3 user guide, "Virtual hosting of general purpose buckets".
"""

from __future__ import annotations

from functools import lru_cache

__all__ = ["bucket_of_host"]


@lru_cache(maxsize=1024)  # a client sends the same few Hosts with each request
def bucket_of_host(host: str, domains: tuple[str, ...]) -> str:
    """The bucket that a Host header (with or without port) names below one of `domains`; "" for path style.

    `domains` are in lower case. Where they are nested the longest counts, and a domain itself never names a bucket.
    """
    name = host.strip().partition(":")[0].removesuffix(".").lower()
    if name in domains:
        return ""
    fitting = [domain for domain in domains if name.endswith(f".{domain}")]
    return name[: -len(max(fitting, key=len)) - 1] if fitting else ""
