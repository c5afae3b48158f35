"""ACLs: every bucket and object has the private one, which grants its owner everything and nobody else anything.

They are told, and setting them to what they are succeeds; any other one is NotImplemented.
"""

from __future__ import annotations

from typing import Final

from zerohop_proxy.answer import Answer
from zerohop_proxy.body_in import read_document
from zerohop_proxy.buckets import find_bucket
from zerohop_proxy.objects_get import lookup
from zerohop_proxy.request import S3Request
from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.xml_in import parse_access_control_policy
from zerohop_proxy.xml_out import access_control_policy

__all__ = ["get_bucket_acl", "get_object_acl", "put_bucket_acl", "put_object_acl"]

_CANNED: Final = "x-amz-acl"
_FULL_CONTROL: Final = "FULL_CONTROL"


async def get_bucket_acl(request: S3Request) -> Answer:
    """GetBucketAcl."""
    return await _told(request, (await find_bucket(request)).bucket.owner)


async def get_object_acl(request: S3Request) -> Answer:
    """GetObjectAcl: an object is its bucket's owner's."""
    return await _told(request, (await lookup(request, with_data=False)).bucket_owner)


async def put_bucket_acl(request: S3Request) -> Answer:
    """PutBucketAcl."""
    body, _ = await read_document(request)
    _check_private(request, body, (await find_bucket(request)).bucket.owner)
    return Answer()


async def put_object_acl(request: S3Request) -> Answer:
    """PutObjectAcl."""
    body, _ = await read_document(request)
    _check_private(request, body, (await lookup(request, with_data=False)).bucket_owner)
    return Answer()


async def _told(request: S3Request, owner_id: str) -> Answer:
    return Answer.xml(access_control_policy(await request.services.owners.of(owner_id)))


def _check_private(request: S3Request, body: bytes, owner_id: str) -> None:
    """Whether the ACL that is asked for is the private one. The canned ones have been checked with the headers.

    Raises S3Error UnexpectedContent, MissingSecurityHeader, MalformedACLError, NotImplemented.
    """
    canned = _CANNED in request.headers
    if canned and body:
        raise S3Error("UnexpectedContent")
    if not canned and not body:
        raise S3Error("MissingSecurityHeader", MissingHeaderName=_CANNED)
    if body:
        policy = parse_access_control_policy(body)
        if policy.owner not in ("", owner_id) or policy.grants != [(owner_id, _FULL_CONTROL)]:
            raise S3Error("NotImplemented", "No other ACL than the private one is supported.")
