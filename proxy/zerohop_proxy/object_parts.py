"""The parts of an object that was uploaded in parts."""

from __future__ import annotations

from zerohop.errors import InvalidPart, NotSupported
from zerohop.model import ObjectRecord
from zerohop.rpc.master_api import ObjectResult, ReadManifest
from zerohop_proxy.ranges import ByteRange
from zerohop_proxy.request import S3Request
from zerohop_proxy.s3_errors import S3Error

__all__ = ["part_of"]


async def part_of(request: S3Request, found: ObjectResult, number: int) -> tuple[ByteRange, int]:
    """The bytes of one part, and how many parts there are. An object of one PUT has one part, which is not counted.

    Raises S3Error InvalidPartNumber.
    """
    record = found.record
    if record.origin is not None and record.part_count:
        return await _mounted_part(request, found, number)
    if number > max(record.part_count, 1):
        raise _no_part(number, record)
    if not record.part_count:
        return ByteRange(0, record.size_bytes), 0
    if record.manifest:
        page = await request.cluster.call(ReadManifest(manifest=record.manifest, part_number=number, limit=1))
        segments, first, index = page.segments, page.first_offset, number - 1 - page.first_index
    else:
        segments, first, index = record.segments, 0, number - 1
    start = first + sum(segment.length for segment in segments[:index])
    return ByteRange(start, segments[index].length), record.part_count


async def _mounted_part(request: S3Request, found: ObjectResult, number: int) -> tuple[ByteRange, int]:
    """As its origin tells, which knows by what numbers the parts were uploaded."""
    record = found.record
    try:
        place = await request.cluster.mounts.part(request.caller, request.bucket, found, number)
    except InvalidPart:
        raise _no_part(number, record) from None
    except NotSupported:  # then all of it counts as one
        if number > 1:
            raise _no_part(number, record) from None
        return ByteRange(0, record.size_bytes), 0
    return ByteRange(place.first, place.length), place.part_count or record.part_count


def _no_part(number: int, record: ObjectRecord) -> S3Error:
    return S3Error(
        "InvalidPartNumber",
        PartNumberRequested=str(number),
        ActualPartCount=str(max(record.part_count, 1)),
    )
