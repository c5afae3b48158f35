"""Tags of objects."""

from __future__ import annotations

from zerohop.model import Caller
from zerohop.rpc.master_api.objects import ObjectResult
from zerohop.rpc.message import Request

__all__ = ["SetTags"]


class SetTags(Request[ObjectResult], tag="set_tags", kw_only=True):
    """Gives an object these tags in place of those that it has; nothing else of it changes, its times included.

    In a mounted bucket the master does it for objects that the origin does not have yet (where that is not S3, once its
    owner has checked that it can hold tags: `is_checked`).

    Raises BucketNotFound, KeyNotFound, VersionNotFound; OriginNeeded for all others of a mounted bucket.
    """

    caller: Caller
    bucket: str
    key: str
    version_id: str = ""
    tags: dict[str, str]
    is_checked: bool = False
    mutation: bytes
