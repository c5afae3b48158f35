"""Tags of objects."""

from __future__ import annotations

from zerohop.model import Caller
from zerohop.rpc.master_api.objects import ObjectResult
from zerohop.rpc.message import Request

__all__ = ["SetTags"]


class SetTags(Request[ObjectResult], tag="set_tags", kw_only=True):
    """Gives an object these tags in place of those that it has; nothing else of it changes, its times included.

    Raises BucketNotFound, KeyNotFound, VersionNotFound; OriginNeeded in a mounted bucket.
    """

    caller: Caller
    bucket: str
    key: str
    version_id: str = ""
    tags: dict[str, str]
    mutation: bytes
