"""Regions of buckets: what CreateBucket may ask for, and what a constraint means.

Source: S3 API reference, CreateBucket and GetBucketLocation.
"""

from __future__ import annotations

import re

from zerohop_proxy.s3_errors import S3Error

__all__ = ["DEFAULT_REGION", "check_location", "region_of"]

DEFAULT_REGION = "us-east-1"
"""Its endpoint is the global one: it makes buckets anywhere, and its own constraint is the empty one."""

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d{1,2}\Z")
_LEGACY = {"EU": "eu-west-1"}


def check_location(constraint: str, region: str) -> None:
    """Whether an endpoint of `region` makes buckets with this LocationConstraint ("" for none).

    Raises S3Error: InvalidLocationConstraint (no region has that name), IllegalLocationConstraintException (only the
    endpoint of that region, or the global one, makes buckets there).
    """
    if constraint in ("", region) or region_of(constraint, region) == region:
        return
    if constraint not in _LEGACY and _REGION.match(constraint) is None:
        raise S3Error("InvalidLocationConstraint", LocationConstraint=constraint)
    if region != DEFAULT_REGION:
        raise S3Error(
            "IllegalLocationConstraintException",
            f"The {constraint} location constraint is incompatible for the region specific endpoint this request was "
            "sent to.",
        )


def region_of(location: str, endpoint_region: str) -> str:
    """Region of a bucket that was made with this LocationConstraint."""
    return _LEGACY.get(location, location) or endpoint_region
