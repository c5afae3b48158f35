"""Router: a raw request becomes one parsed operation.

Pure. The operation is chosen by method, by whether the path names a bucket or a key, by sub-resource query
parameters, and by a few headers, for every operation of botocore's S3 model.
"""

from __future__ import annotations

from dataclasses import dataclass

from .operation import Operation
from .raw_request import RawRequest

__all__ = ["Route", "route"]


@dataclass(frozen=True, slots=True)
class Route:
    """What a request asks for.

    `query` has the decoded parameters (a valueless one is ""), `bucket` and `key` are "" where the
    operation has none. `in_dialect` is true under the prefix, where the API page's superset is spoken.
    """

    operation: Operation
    bucket: str
    key: str
    query: dict[str, str]
    in_dialect: bool


def route(request: RawRequest, *, prefix: str = "/api/v1/s3") -> Route:
    """Parse `request`; raises `S3Error` InvalidURI, InvalidBucketName, KeyTooLongError, MethodNotAllowed, InvalidArgument."""
    raise NotImplementedError
