"""What is answered about the configurations that no bucket can have yet: what AWS says of a bucket without one.

Clients ask for these before they do anything else. Reading and removing what is not there is harmless, so both are
answered truthfully; setting it is NotImplemented. Source: S3 API reference, each operation's errors and examples.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from zerohop_proxy.answer import Answer
from zerohop_proxy.buckets import find_bucket
from zerohop_proxy.operation import Operation as Op
from zerohop_proxy.request import S3Request
from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.xml_out import document

__all__ = ["CONFIGURATION_HANDLERS"]

_EMPTY: Final[dict[Op, tuple[str, str]]] = {
    Op.GET_BUCKET_ACCELERATE_CONFIGURATION: ("AccelerateConfiguration", ""),
    Op.GET_BUCKET_LOGGING: ("BucketLoggingStatus", ""),
    Op.GET_BUCKET_NOTIFICATION_CONFIGURATION: ("NotificationConfiguration", ""),
    # Whoever writes an object, it is the bucket owner's: there are no ACLs that could say otherwise.
    Op.GET_BUCKET_OWNERSHIP_CONTROLS: (
        "OwnershipControls",
        "<Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>",
    ),
    Op.GET_BUCKET_REQUEST_PAYMENT: ("RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>"),
    Op.GET_BUCKET_VERSIONING: ("VersioningConfiguration", ""),
    Op.LIST_BUCKET_ANALYTICS_CONFIGURATIONS: (
        "ListBucketAnalyticsConfigurationResult",
        "<IsTruncated>false</IsTruncated>",
    ),
    Op.LIST_BUCKET_INTELLIGENT_TIERING_CONFIGURATIONS: (
        "ListBucketIntelligentTieringConfigurationsOutput",
        "<IsTruncated>false</IsTruncated>",
    ),
    Op.LIST_BUCKET_INVENTORY_CONFIGURATIONS: (
        "ListInventoryConfigurationsResult",
        "<IsTruncated>false</IsTruncated>",
    ),
    Op.LIST_BUCKET_METRICS_CONFIGURATIONS: (
        "ListMetricsConfigurationsResult",
        "<IsTruncated>false</IsTruncated>",
    ),
}
"""Operations that answer with a document: its root and what is in it."""

_ABSENT: Final[dict[Op, str]] = {
    Op.GET_BUCKET_ANALYTICS_CONFIGURATION: "NoSuchConfiguration",
    Op.GET_BUCKET_CORS: "NoSuchCORSConfiguration",
    # AWS encrypts every bucket since 2023; this is what it said of those that were not.
    Op.GET_BUCKET_ENCRYPTION: "ServerSideEncryptionConfigurationNotFoundError",
    Op.GET_BUCKET_INTELLIGENT_TIERING_CONFIGURATION: "NoSuchConfiguration",
    Op.GET_BUCKET_INVENTORY_CONFIGURATION: "NoSuchConfiguration",
    Op.GET_BUCKET_LIFECYCLE_CONFIGURATION: "NoSuchLifecycleConfiguration",
    Op.GET_BUCKET_METRICS_CONFIGURATION: "NoSuchConfiguration",
    Op.GET_BUCKET_POLICY: "NoSuchBucketPolicy",
    Op.GET_BUCKET_POLICY_STATUS: "NoSuchBucketPolicy",
    Op.GET_BUCKET_REPLICATION: "ReplicationConfigurationNotFoundError",
    Op.GET_BUCKET_TAGGING: "NoSuchTagSet",
    Op.GET_BUCKET_WEBSITE: "NoSuchWebsiteConfiguration",
    Op.GET_OBJECT_LOCK_CONFIGURATION: "ObjectLockConfigurationNotFoundError",
    Op.GET_PUBLIC_ACCESS_BLOCK: "NoSuchPublicAccessBlockConfiguration",
    Op.DELETE_BUCKET_ANALYTICS_CONFIGURATION: "NoSuchConfiguration",
    Op.DELETE_BUCKET_INTELLIGENT_TIERING_CONFIGURATION: "NoSuchConfiguration",
    Op.DELETE_BUCKET_INVENTORY_CONFIGURATION: "NoSuchConfiguration",
    Op.DELETE_BUCKET_METRICS_CONFIGURATION: "NoSuchConfiguration",
}
"""Operations that answer with an error, which says that there is nothing."""

_ALREADY_GONE: Final = (
    Op.DELETE_BUCKET_CORS,
    Op.DELETE_BUCKET_ENCRYPTION,
    Op.DELETE_BUCKET_LIFECYCLE,
    Op.DELETE_BUCKET_POLICY,
    Op.DELETE_BUCKET_REPLICATION,
    Op.DELETE_BUCKET_TAGGING,
    Op.DELETE_BUCKET_WEBSITE,
    Op.DELETE_PUBLIC_ACCESS_BLOCK,
)
"""Operations that AWS answers with 204 also when there is nothing to remove."""

_LOCKS: Final = (
    Op.GET_OBJECT_LEGAL_HOLD,
    Op.GET_OBJECT_RETENTION,
    Op.PUT_OBJECT_LEGAL_HOLD,
    Op.PUT_OBJECT_RETENTION,
)
"""Operations on the lock of an object, which needs a bucket that was made for it."""

_Handler = Callable[[S3Request], Awaitable[Answer]]


def _answers(answer: Callable[[S3Request], Answer]) -> _Handler:
    """Handler of an operation that needs nothing but the right to ask."""

    async def handle(request: S3Request) -> Answer:
        await find_bucket(request)
        return answer(request)

    return handle


def _with_document(root: str, body: str) -> _Handler:
    content = document(root, body)
    return _answers(lambda _request: Answer.xml(content))


def _with_error(code: str, message: str | None = None) -> _Handler:
    def refuse(request: S3Request) -> Answer:
        raise S3Error(code, message, BucketName=request.bucket)

    return _answers(refuse)


CONFIGURATION_HANDLERS: Final[dict[Op, _Handler]] = {
    **{operation: _with_document(root, body) for operation, (root, body) in _EMPTY.items()},
    **{operation: _with_error(code) for operation, code in _ABSENT.items()},
    **{operation: _answers(lambda _request: Answer(204)) for operation in _ALREADY_GONE},
    **{
        operation: _with_error("InvalidRequest", "Bucket is missing Object Lock Configuration")
        for operation in _LOCKS
    },
}
"""By operation; each raises BucketNotFound and AccessDenied besides."""
