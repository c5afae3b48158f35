"""Router: a raw request becomes one parsed operation.

Pure. The operation is chosen by method, by whether the path names a bucket or a key, by sub-resource query
parameters, and by a few headers, for every operation of botocore's S3 model. The path is split before it is
decoded, so that `%2F` is part of a name and never a separator, and `+` in it is a plus.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from zerohop_proxy.bucket_name import is_valid_bucket_name
from zerohop_proxy.operation import Operation
from zerohop_proxy.operation_table import (
    ALL_SUB_RESOURCES,
    BUCKET,
    LISTS_WITHOUT_ID,
    OBJECT,
    PLAIN_BUCKET,
    PLAIN_OBJECT,
)
from zerohop_proxy.raw_request import RawRequest
from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.virtual_host import bucket_of_host

__all__ = ["MAX_KEY_BYTES", "Route", "parameters_of", "parse_query", "route"]

MAX_KEY_BYTES = 1024

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_READS = ("GET", "HEAD")
_MAX_KEPT = 2048
"""Characters of path and query: with longer ones the routes that are kept could take more than 16 MiB."""
_OBJECT_NAMES = frozenset(name for by_name in OBJECT.values() for name in by_name)
_WRITE_GET_OBJECT_RESPONSE = "WriteGetObjectResponse"


@dataclass(slots=True)
class Route:
    """What a request asks for.

    `query` has the decoded parameters (a valueless one is "") except those of signing, `bucket` and `key` are ""
    where the operation has none. Routes are shared by requests that are alike: nobody changes one.
    `in_dialect` is true under the prefix, where the API page's superset is spoken.
    `virtual_bucket` is the bucket when the Host named it, and not the path.
    """

    operation: Operation
    bucket: str
    key: str
    query: dict[str, str]
    in_dialect: bool
    virtual_bucket: str = ""


def route(request: RawRequest, *, prefix: str = "/api/v1/s3", domains: tuple[str, ...] = ()) -> Route:
    """Parse `request`. A Host below one of `domains` names the bucket, and the path is then the key.

    Raises `S3Error`: InvalidURI, InvalidBucketName, KeyTooLongError, InvalidArgument (query),
    MethodNotAllowed (nothing in S3 is meant by it).
    """
    host = request.headers.get("host", "") if domains else ""
    if request.method in _READS and len(request.path) + len(request.query) <= _MAX_KEPT:
        where, request.parameters = _route_of_read(
            request.method, request.path, request.query, host, prefix, domains
        )
        return where
    return _route(request, host, prefix, domains)


# A hot object is read again and again by the same method, path and query, which say all of it: 0.6 us instead of 7.
@lru_cache(maxsize=4096)
def _route_of_read(
    method: str, path: str, query: str, host: str, prefix: str, domains: tuple[str, ...]
) -> tuple[Route, dict[str, str]]:
    """The route of a GET or HEAD, and its parameters as `parameters_of` gives them."""
    request = RawRequest(method, path, query)
    where = _route(request, host, prefix, domains)
    return where, parameters_of(request)


def _route(request: RawRequest, host: str, prefix: str, domains: tuple[str, ...]) -> Route:
    virtual_bucket = bucket_of_host(host, domains) if host else ""
    if virtual_bucket:
        bucket, in_dialect, key = virtual_bucket, False, _key_of(request.path)
    else:
        bucket, key, in_dialect = _split_path(request.path, prefix)
    query = {name: value for name, value in parameters_of(request).items() if not name.startswith("X-Amz-")}
    if not bucket:
        operation = _service_operation(request.method)
    elif bucket == _WRITE_GET_OBJECT_RESPONSE and request.method == "POST" and not key:
        return Route(Operation.WRITE_GET_OBJECT_RESPONSE, "", "", query, in_dialect)
    elif not is_valid_bucket_name(bucket):
        raise S3Error("InvalidBucketName", BucketName=bucket)
    elif key:
        operation = _object_operation(request.method, query, request.headers)
    else:
        operation = _bucket_operation(request.method, query, request.headers)
    return Route(operation, bucket, key, query, in_dialect, virtual_bucket)


def parameters_of(request: RawRequest) -> dict[str, str]:
    """Its decoded query, decoded once for routing and for the check of a presigned URL. Raises as `parse_query`."""
    if request.parameters is None:
        request.parameters = parse_query(request.query) if request.query else {}
    return request.parameters


def parse_query(query: str) -> dict[str, str]:
    """Decoded parameters of a raw query; `x-id`, which SDKs add for their logs alone, is left out.

    Raises `S3Error` InvalidArgument for a parameter that comes twice or does not decode to UTF-8.
    """
    parameters: dict[str, str] = {}
    for piece in query.split("&"):
        if not piece:
            continue
        name, _, value = piece.partition("=")
        if "%" in piece or "+" in piece:
            name, value = _decoded(name, piece), _decoded(value, piece)
        if name in parameters:
            raise _invalid_parameter(f"The query parameter {name} is given more than once.", name, value)
        parameters[name] = value
    parameters.pop("x-id", None)
    return parameters


def _decoded(text: str, piece: str) -> str:
    try:
        if _BROKEN_ESCAPE.search(text) is None:
            return _unescaped(text)
    except UnicodeDecodeError:
        pass
    name, _, value = piece.partition("=")
    raise _invalid_parameter(f"The query parameter {name} is not valid percent-encoded UTF-8.", name, value)


@lru_cache(maxsize=512)  # presigned URLs of one client share their credential: 0.1 us instead of 2
def _unescaped(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode()


def _invalid_parameter(message: str, name: str, value: str) -> S3Error:
    return S3Error("InvalidArgument", message, ArgumentName=name, ArgumentValue=value)


def _split_path(path: str, prefix: str) -> tuple[str, str, bool]:
    """Bucket, key, and whether the path was under the prefix."""
    in_dialect = False
    if prefix and path.startswith(prefix):
        rest = path[len(prefix) :]
        if not rest or rest.startswith("/"):
            path, in_dialect = rest or "/", True
    if not path.startswith("/"):
        raise S3Error("InvalidURI", URI=path)
    bucket, _, key = path[1:].partition("/")
    if "%" in path:
        bucket, key = _decoded_name(bucket), _decoded_name(key)
    if key:
        if not bucket:
            raise S3Error("InvalidBucketName", BucketName="")
        _check_length(key)
    return bucket, key, in_dialect


def _key_of(path: str) -> str:
    """The key that the whole path is."""
    if not path.startswith("/"):
        raise S3Error("InvalidURI", URI=path)
    key = _decoded_name(path[1:])
    _check_length(key)
    return key


def _check_length(key: str) -> None:
    # Four bytes are the most that a character takes, so that short keys need not be encoded to be counted.
    if len(key) * 4 > MAX_KEY_BYTES and len(key.encode()) > MAX_KEY_BYTES:
        raise S3Error("KeyTooLongError", MaxSizeAllowed=str(MAX_KEY_BYTES), Size=str(len(key.encode())))


def _decoded_name(text: str) -> str:
    if "%" not in text:
        return text
    try:
        if _BROKEN_ESCAPE.search(text) is None:
            return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        pass
    raise S3Error("InvalidURI", URI=text)


def _service_operation(method: str) -> Operation:
    if method == "GET":
        return Operation.LIST_BUCKETS
    if method == "OPTIONS":
        return Operation.OPTIONS_OBJECT
    raise _not_allowed(method, "SERVICE")


def _bucket_operation(method: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Operation:
    if query:
        operation = _sub_resource_operation(method, query, BUCKET, "BUCKET")
        if operation is not None:
            return operation
        if method == "GET" and query.get("list-type") == "2":
            return Operation.LIST_OBJECTS_V2
    plain = PLAIN_BUCKET.get(method)
    if plain is not None:
        return plain
    if method == "POST" and headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return Operation.POST_OBJECT
    if method == "OPTIONS":
        return Operation.OPTIONS_OBJECT
    if method == "POST":
        raise S3Error(
            "PreconditionFailed", Condition="Bucket POST must be of the enclosure-type multipart/form-data"
        )
    raise _not_allowed(method, "BUCKET")


def _object_operation(method: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Operation:
    is_copy = method == "PUT" and "x-amz-copy-source" in headers
    if query:
        operation = _sub_resource_operation(method, query, OBJECT, "OBJECT")
        if operation is Operation.UPLOAD_PART:
            if "partNumber" not in query:
                raise _lone_parameter("uploadId", "partNumber", query)
            return Operation.UPLOAD_PART_COPY if is_copy else operation
        if operation is not None:
            return operation
        if method == "PUT" and "partNumber" in query:
            # Without this the part would replace the object.
            raise _lone_parameter("partNumber", "uploadId", query)
    if is_copy:
        return Operation.COPY_OBJECT
    plain = PLAIN_OBJECT.get(method)
    if plain is not None:
        return plain
    if method == "OPTIONS":
        return Operation.OPTIONS_OBJECT
    raise _not_allowed(method, "OBJECT")


def _sub_resource_operation(
    method: str, query: Mapping[str, str], table: dict[str, dict[str, Operation]], resource_type: str
) -> Operation | None:
    """The operation that a sub-resource parameter calls for; None when there is no such parameter.

    One that the method or level does not have is an error and not ignored: `DELETE /bucket?acl` must never
    delete the bucket.
    """
    named = [name for name in query if name in ALL_SUB_RESOURCES]
    if not named:
        return None
    if len(named) > 1:
        message = f"Conflicting query string parameters: {', '.join(named)}"
        raise _invalid_parameter(message, "ResourceType", named[0])
    operation = table.get(method, {}).get(named[0])
    if operation is None and table is OBJECT and named[0] not in _OBJECT_NAMES and method != "OPTIONS":
        raise S3Error("InvalidRequest", f"There is no such thing as the ?{named[0]} sub-resource for a key")
    if operation is None:
        raise _not_allowed(method, named[0].upper() if method != "OPTIONS" else resource_type)
    if operation in LISTS_WITHOUT_ID:
        parameter, listing = LISTS_WITHOUT_ID[operation]
        return operation if parameter in query else listing
    return operation


def _not_allowed(method: str, resource_type: str) -> S3Error:
    return S3Error("MethodNotAllowed", Method=method, ResourceType=resource_type)


def _lone_parameter(given: str, missing: str, query: Mapping[str, str]) -> S3Error:
    message = f"This operation does not accept {given} without {missing}."
    return _invalid_parameter(message, given, query[given])
