"""GetObjectAttributes.

The parts themselves are not listed: S3 does so where each has a checksum, which is not kept beyond completion. Their
number is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from zerohop.model import ObjectRecord
from zerohop_proxy import xml_out
from zerohop_proxy.answer import Answer
from zerohop_proxy.conditions import http_date
from zerohop_proxy.object_answer import described
from zerohop_proxy.objects_get import lookup
from zerohop_proxy.request import S3Request
from zerohop_proxy.s3_errors import S3Error

__all__ = ["asked_attributes", "get_object_attributes"]

_HEADER: Final = "x-amz-object-attributes"
_KNOWN: Final = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})


async def get_object_attributes(request: S3Request) -> Answer:
    """What HeadObject tells in headers, as a document."""
    asked = asked_attributes(request.headers)
    found = await lookup(request, with_data=False)
    document = _document(found.record, asked)
    return Answer.xml(document, [("Last-Modified", http_date(found.record.modified_ms))])


def asked_attributes(headers: Mapping[str, str]) -> frozenset[str]:
    """The attributes that the request names. Raises S3Error InvalidRequest (none), InvalidArgument (unknown)."""
    asked = frozenset(name.strip() for name in headers.get(_HEADER, "").split(",")) - {""}
    if not asked:
        raise S3Error(
            "InvalidRequest",
            f"The {_HEADER} header specifying the attributes to be retrieved is either missing or empty",
        )
    unknown = sorted(asked - _KNOWN)
    if unknown:
        raise S3Error(
            "InvalidArgument",
            "Invalid attribute name specified.",
            ArgumentName=_HEADER,
            ArgumentValue=unknown[0],
        )
    return asked


def _document(record: ObjectRecord, asked: frozenset[str]) -> bytes:
    return xml_out.get_object_attributes_response(
        etag=record.etag if "ETag" in asked else None,
        checksums=described(record.checksums) if "Checksum" in asked else {},
        checksum_type=record.checksum_type,
        parts_count=record.part_count if "ObjectParts" in asked else 0,
        storage_class=record.storage_class if "StorageClass" in asked else None,
        size_bytes=record.size_bytes if "ObjectSize" in asked else None,
    )
