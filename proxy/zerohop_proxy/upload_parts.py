"""The parts of an open upload, all of them."""

from __future__ import annotations

from zerohop.model import Caller, PartRecord
from zerohop.rpc.master_api import ListParts
from zerohop_proxy.request import S3Request

__all__ = ["all_parts"]


async def all_parts(request: S3Request, upload_id: str) -> list[PartRecord]:
    """At most 10,000, by number. Raises UploadNotFound."""
    parts: list[PartRecord] = []
    after = 0

    def next_page(caller: Caller) -> ListParts:
        return ListParts(
            caller=caller, bucket=request.bucket, key=request.key, upload_id=upload_id, after=after
        )

    while True:
        page = await request.call(next_page)
        parts.extend(page.parts)
        after = page.next_after
        if not after:
            return parts
