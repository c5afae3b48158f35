"""Operations on buckets."""

from __future__ import annotations

import base64
import binascii

from zerohop.errors import AccessDenied, BucketAlreadyOwned
from zerohop.model import Caller
from zerohop.rpc.master_api import BucketResult, CreateBucket, DeleteBucket, GetBucket, ListBuckets
from zerohop_proxy import xml_out
from zerohop_proxy.answer import XML, Answer
from zerohop_proxy.body_in import read_document
from zerohop_proxy.bucket_region import DEFAULT_REGION, check_location, region_of
from zerohop_proxy.operation import Operation
from zerohop_proxy.params import parse_list_buckets
from zerohop_proxy.request import S3Request
from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.xml_in import parse_create_bucket

__all__ = [
    "EXPECTED_OWNER",
    "check_expected_owner",
    "check_owner",
    "create_bucket",
    "delete_bucket",
    "find_bucket",
    "get_bucket_location",
    "head_bucket",
    "list_buckets",
]

EXPECTED_OWNER = "x-amz-expected-bucket-owner"
_MAX_PAGE = 1000
_REGION_HEADER = "x-amz-bucket-region"
_LIST_BUCKETS_PARAMETERS = ("max-buckets", "continuation-token", "prefix", "bucket-region")


async def find_bucket(request: S3Request) -> BucketResult:
    """The bucket of the request. Raises BucketNotFound, AccessDenied."""
    return await request.call(lambda caller: GetBucket(caller=caller, bucket=request.bucket))


async def check_expected_owner(request: S3Request) -> None:
    """Refuse a request to a bucket that its sender believes to be somebody else's. Raises S3Error AccessDenied."""
    if request.bucket and request.route.operation is not Operation.CREATE_BUCKET:
        found = await find_bucket(request)
        check_owner(request, EXPECTED_OWNER, found.bucket.owner)


def check_owner(request: S3Request, header: str, owner: str) -> None:
    """Raises S3Error AccessDenied when `header` names another owner."""
    if request.headers.get(header, owner) != owner:
        raise S3Error("AccessDenied")


async def list_buckets(request: S3Request) -> Answer:
    """ListBuckets: those of the caller, by name."""
    params = parse_list_buckets(request.query)
    after = _decode_token(params.continuation_token)
    owner = await request.services.owners.of(request.caller.user)
    entries: list[xml_out.BucketEntry] = []
    region = request.services.region
    wanted = params.max_buckets
    # AWS tells regions to those who send a parameter, which older clients never do.
    with_region = any(request.query.get(name) for name in _LIST_BUCKETS_PARAMETERS)

    def next_page(caller: Caller) -> ListBuckets:
        limit = _MAX_PAGE if wanted is None else min(_MAX_PAGE, wanted - len(entries))
        return ListBuckets(caller=caller, prefix=params.prefix, after=after, limit=limit)

    while True:
        page = await request.call(next_page)
        for bucket in page.buckets:
            its_region = region_of(bucket.location, region)
            if params.bucket_region in (None, its_region):
                shown_region = its_region if with_region else ""
                entries.append(xml_out.BucketEntry(bucket.name, bucket.created_ms, shown_region))
        after = page.next_after
        if not after or (wanted is not None and len(entries) >= wanted):
            break
    token = _encode_token(after) if after else ""
    return Answer.xml(
        xml_out.list_all_my_buckets_result(owner, entries, prefix=params.prefix, continuation_token=token)
    )


async def create_bucket(request: S3Request) -> Answer:
    """CreateBucket. Creating one's own bucket again succeeds in us-east-1, elsewhere it is a 409, as AWS has it."""
    region = request.services.region
    document, _ = await read_document(request)
    location = parse_create_bucket(document) or ""
    check_location(location, region)
    mutation = request.new_mutation()
    try:
        await request.call(
            lambda caller: CreateBucket(
                caller=caller, bucket=request.bucket, location=location, mutation=mutation
            )
        )
    except BucketAlreadyOwned:
        if region_of(location, region) != DEFAULT_REGION:
            raise
    return Answer(200, [("Location", f"/{request.bucket}")])


async def head_bucket(request: S3Request) -> Answer:
    """HeadBucket. The region is told also to those who may not see the bucket, so that they find its endpoint."""
    try:
        found = await find_bucket(request)
    except AccessDenied:
        raise S3Error("AccessDenied", headers={_REGION_HEADER: request.services.region}) from None
    region = region_of(found.bucket.location, request.services.region)
    return Answer(200, [(_REGION_HEADER, region), ("x-amz-access-point-alias", "false"), XML])


async def delete_bucket(request: S3Request) -> Answer:
    """DeleteBucket."""
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
