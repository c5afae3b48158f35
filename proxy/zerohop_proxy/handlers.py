"""Which function carries out which operation. What S3 knows and we do not have is NotImplemented, by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache

from zerohop_proxy.access_control import get_bucket_acl, get_object_acl, put_bucket_acl, put_object_acl
from zerohop_proxy.answer import Answer
from zerohop_proxy.bucket_configuration import CONFIGURATION_HANDLERS
from zerohop_proxy.buckets import create_bucket, delete_bucket, get_bucket_location, head_bucket, list_buckets
from zerohop_proxy.copies import copy_object, upload_part_copy
from zerohop_proxy.listings import list_object_versions, list_objects, list_objects_v2
from zerohop_proxy.object_attributes import get_object_attributes
from zerohop_proxy.object_tagging import delete_object_tagging, get_object_tagging, put_object_tagging
from zerohop_proxy.objects_delete import delete_object, delete_objects
from zerohop_proxy.objects_get import get_object, head_object
from zerohop_proxy.objects_put import put_object
from zerohop_proxy.operation import Operation
from zerohop_proxy.preflight import options_object
from zerohop_proxy.request import S3Request
from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.upload_listings import list_multipart_uploads, list_parts
from zerohop_proxy.uploads import (
    abort_multipart_upload,
    complete_multipart_upload,
    create_multipart_upload,
    upload_part,
)

__all__ = ["HANDLERS", "Handler", "handler_of"]

Handler = Callable[[S3Request], Awaitable[Answer | None]]
"""Returns the answer, or None when it has written the response itself. Raises S3Error or errors of the domain."""

HANDLERS: dict[Operation, Handler] = {
    **CONFIGURATION_HANDLERS,
    Operation.LIST_BUCKETS: list_buckets,
    Operation.CREATE_BUCKET: create_bucket,
    Operation.HEAD_BUCKET: head_bucket,
    Operation.DELETE_BUCKET: delete_bucket,
    Operation.GET_BUCKET_LOCATION: get_bucket_location,
    Operation.LIST_OBJECTS: list_objects,
    Operation.LIST_OBJECTS_V2: list_objects_v2,
    Operation.LIST_OBJECT_VERSIONS: list_object_versions,
    Operation.PUT_OBJECT: put_object,
    Operation.GET_OBJECT: get_object,
    Operation.HEAD_OBJECT: head_object,
    Operation.GET_OBJECT_ATTRIBUTES: get_object_attributes,
    Operation.DELETE_OBJECT: delete_object,
    Operation.DELETE_OBJECTS: delete_objects,
    Operation.COPY_OBJECT: copy_object,
    Operation.CREATE_MULTIPART_UPLOAD: create_multipart_upload,
    Operation.UPLOAD_PART: upload_part,
    Operation.UPLOAD_PART_COPY: upload_part_copy,
    Operation.COMPLETE_MULTIPART_UPLOAD: complete_multipart_upload,
    Operation.ABORT_MULTIPART_UPLOAD: abort_multipart_upload,
    Operation.LIST_PARTS: list_parts,
    Operation.LIST_MULTIPART_UPLOADS: list_multipart_uploads,
    Operation.GET_OBJECT_TAGGING: get_object_tagging,
    Operation.PUT_OBJECT_TAGGING: put_object_tagging,
    Operation.DELETE_OBJECT_TAGGING: delete_object_tagging,
    Operation.GET_BUCKET_ACL: get_bucket_acl,
    Operation.PUT_BUCKET_ACL: put_bucket_acl,
    Operation.GET_OBJECT_ACL: get_object_acl,
    Operation.PUT_OBJECT_ACL: put_object_acl,
    Operation.OPTIONS_OBJECT: options_object,
}


def handler_of(operation: Operation) -> Handler:
    """The function that carries out `operation`."""
    return HANDLERS.get(operation) or _not_implemented(operation)


@cache
def _not_implemented(operation: Operation) -> Handler:
    async def refuse(_request: S3Request) -> Answer:
        raise S3Error("NotImplemented", f"The operation {operation.value} is not implemented")

    return refuse
