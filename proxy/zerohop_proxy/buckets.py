"""Operations on buckets."""

from __future__ import annotations

import base64
import binascii

from zerohop.errors import BucketAlreadyOwned
from zerohop.model import Caller
from zerohop.rpc.master_api import BucketResult, CreateBucket, DeleteBucket, GetBucket, ListBuckets
from zerohop_proxy import xml_out
from zerohop_proxy.answer import Answer
from zerohop_proxy.body_in import read_document
from zerohop_proxy.params import parse_list_buckets
from zerohop_proxy.request import S3Request
from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.xml_in import parse_create_bucket

__all__ = [
    "create_bucket",
    "delete_bucket",
    "find_bucket",
    "get_bucket_location",
    "head_bucket",
    "list_buckets",
]

_DEFAULT_REGION = "us-east-1"
_MAX_PAGE = 1000


async def find_bucket(request: S3Request) -> BucketResult:
    """The bucket of the request. Raises BucketNotFound, AccessDenied (also S3's, for an unexpected owner)."""
    found = await request.call(lambda caller: GetBucket(caller=caller, bucket=request.bucket))
    request.check_bucket_owner(found.bucket.owner)
    return found


async def list_buckets(request: S3Request) -> Answer:
    """ListBuckets: those of the caller, by name."""
    params = parse_list_buckets(request.query)
    after = _decode_token(params.continuation_token)
    owner = await request.services.owners.of(request.caller.user)
    entries: list[xml_out.BucketEntry] = []
    region = request.services.region
    wanted = params.max_buckets

    def next_page(caller: Caller) -> ListBuckets:
        limit = _MAX_PAGE if wanted is None else min(_MAX_PAGE, wanted - len(entries))
        return ListBuckets(caller=caller, prefix=params.prefix, after=after, limit=limit)

    while params.bucket_region in (None, "", region):
        page = await request.call(next_page)
        entries.extend(
            xml_out.BucketEntry(bucket.name, bucket.created_ms, region if wanted is not None else "")
            for bucket in page.buckets
        )
        after = page.next_after
        if not after or (wanted is not None and len(entries) >= wanted):
            break
    token = _encode_token(after) if after and wanted is not None and entries else ""
    return Answer.xml(
        xml_out.list_all_my_buckets_result(owner, entries, prefix=params.prefix, continuation_token=token)
    )


async def create_bucket(request: S3Request) -> Answer:
    """CreateBucket. In us-east-1 creating one's own bucket again succeeds, elsewhere it is a 409, as AWS has it."""
    region = request.services.region
    document, _ = await read_document(request)
    location = parse_create_bucket(document)
    if location not in (None, "", region):
        raise S3Error("InvalidLocationConstraint", LocationConstraint=location or "")
    mutation = request.new_mutation()
    try:
        await request.call(
            lambda caller: CreateBucket(
                caller=caller, bucket=request.bucket, location=location or "", mutation=mutation
            )
        )
    except BucketAlreadyOwned:
        if region != _DEFAULT_REGION:
            raise
    return Answer(200, [("Location", f"/{request.bucket}")])


async def head_bucket(request: S3Request) -> Answer:
    """HeadBucket."""
    await find_bucket(request)
    headers = [("x-amz-bucket-region", request.services.region), ("Content-Type", "application/xml")]
    return Answer(200, headers)


async def delete_bucket(request: S3Request) -> Answer:
    """DeleteBucket."""
    if "x-amz-expected-bucket-owner" in request.headers:
        await find_bucket(request)
    mutation = request.new_mutation()
    await request.call(lambda caller: DeleteBucket(caller=caller, bucket=request.bucket, mutation=mutation))
    return Answer(204)


async def get_bucket_location(request: S3Request) -> Answer:
    """GetBucketLocation: the constraint that the bucket was created with, else the region of the endpoint."""
    found = await find_bucket(request)
    return Answer.xml(xml_out.location_constraint(found.bucket.location or request.services.region))


def _encode_token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _decode_token(token: str | None) -> str:
    if not token:
        return ""
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect") from None
