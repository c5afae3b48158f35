"""GetObjectTagging, PutObjectTagging and DeleteObjectTagging."""

from __future__ import annotations

from zerohop.errors import NotSupported
from zerohop.rpc.master_api import ObjectResult, SetTags
from zerohop_proxy.answer import Answer, Headers
from zerohop_proxy.body_in import read_document
from zerohop_proxy.objects_get import lookup
from zerohop_proxy.params import parse_version_id
from zerohop_proxy.request import S3Request
from zerohop_proxy.tag_set import parse_tagging, tagging

__all__ = ["delete_object_tagging", "get_object_tagging", "put_object_tagging"]


async def get_object_tagging(request: S3Request) -> Answer:
    """GetObjectTagging: an object without tags has an empty set of them."""
    found = await lookup(request, with_data=False)
    tags = found.record.tags
    if found.record.origin is not None:
        tags = await _of_origin(request, found)
    return Answer.xml(tagging(tags), _version(found))


async def _of_origin(request: S3Request, found: ObjectResult) -> dict[str, str]:
    """None where the origin knows no tags. Raises NotSupported where they cannot be read."""
    try:
        return await request.cluster.mounts.tags(request.caller, found.mount_id, request.bucket, request.key)
    except NotSupported as error:
        if "tags" in error.details:  # it may have some, which nobody here can read
            raise
        return {}


async def put_object_tagging(request: S3Request) -> Answer:
    """PutObjectTagging: these tags in place of all others."""
    body, _ = await read_document(request)
    return Answer(200, _version(await _set(request, parse_tagging(body))))


async def delete_object_tagging(request: S3Request) -> Answer:
    """DeleteObjectTagging."""
    return Answer(204, _version(await _set(request, {})))


async def _set(request: S3Request, tags: dict[str, str]) -> ObjectResult:
    version_id = parse_version_id(request.query)
    mutation = request.new_mutation()
    return await request.call(
        lambda caller: SetTags(
            caller=caller,
            bucket=request.bucket,
            key=request.key,
            version_id=version_id,
            tags=tags,
            mutation=mutation,
        )
    )


def _version(found: ObjectResult) -> Headers:
    version_id = found.record.version_id
    return [("x-amz-version-id", version_id)] if version_id != "null" else []
