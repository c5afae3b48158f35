"""Which sub-resource parameters and methods mean which operation.

The keys are sub-resource parameters of the query. Some need a second look, which `routing` takes: with and
without `id`, `uploadId` with `partNumber`, and the copies, which differ by a header alone.
"""

from __future__ import annotations

from zerohop_proxy.operation import Operation as Op

__all__ = ["ALL_SUB_RESOURCES", "BUCKET", "LISTS_WITHOUT_ID", "OBJECT", "PLAIN_BUCKET", "PLAIN_OBJECT"]

PLAIN_BUCKET: dict[str, Op] = {
    "GET": Op.LIST_OBJECTS,
    "HEAD": Op.HEAD_BUCKET,
    "PUT": Op.CREATE_BUCKET,
    "DELETE": Op.DELETE_BUCKET,
}
"""Operations on a bucket without a sub-resource, by method."""

PLAIN_OBJECT: dict[str, Op] = {
    "GET": Op.GET_OBJECT,
    "HEAD": Op.HEAD_OBJECT,
    "PUT": Op.PUT_OBJECT,
    "DELETE": Op.DELETE_OBJECT,
}
"""Operations on an object without a sub-resource, by method."""

BUCKET: dict[str, dict[str, Op]] = {
    "GET": {
        "abac": Op.GET_BUCKET_ABAC,
        "accelerate": Op.GET_BUCKET_ACCELERATE_CONFIGURATION,
        "acl": Op.GET_BUCKET_ACL,
        "analytics": Op.GET_BUCKET_ANALYTICS_CONFIGURATION,
        "cors": Op.GET_BUCKET_CORS,
        "encryption": Op.GET_BUCKET_ENCRYPTION,
        "intelligent-tiering": Op.GET_BUCKET_INTELLIGENT_TIERING_CONFIGURATION,
        "inventory": Op.GET_BUCKET_INVENTORY_CONFIGURATION,
        "lifecycle": Op.GET_BUCKET_LIFECYCLE_CONFIGURATION,
        "location": Op.GET_BUCKET_LOCATION,
        "logging": Op.GET_BUCKET_LOGGING,
        "metadataConfiguration": Op.GET_BUCKET_METADATA_CONFIGURATION,
        "metadataTable": Op.GET_BUCKET_METADATA_TABLE_CONFIGURATION,
        "metrics": Op.GET_BUCKET_METRICS_CONFIGURATION,
        "notification": Op.GET_BUCKET_NOTIFICATION_CONFIGURATION,
        "object-lock": Op.GET_OBJECT_LOCK_CONFIGURATION,
        "ownershipControls": Op.GET_BUCKET_OWNERSHIP_CONTROLS,
        "policy": Op.GET_BUCKET_POLICY,
        "policyStatus": Op.GET_BUCKET_POLICY_STATUS,
        "publicAccessBlock": Op.GET_PUBLIC_ACCESS_BLOCK,
        "replication": Op.GET_BUCKET_REPLICATION,
        "requestPayment": Op.GET_BUCKET_REQUEST_PAYMENT,
        "session": Op.CREATE_SESSION,
        "tagging": Op.GET_BUCKET_TAGGING,
        "uploads": Op.LIST_MULTIPART_UPLOADS,
        "versioning": Op.GET_BUCKET_VERSIONING,
        "versions": Op.LIST_OBJECT_VERSIONS,
        "website": Op.GET_BUCKET_WEBSITE,
    },
    "PUT": {
        "abac": Op.PUT_BUCKET_ABAC,
        "accelerate": Op.PUT_BUCKET_ACCELERATE_CONFIGURATION,
        "acl": Op.PUT_BUCKET_ACL,
        "analytics": Op.PUT_BUCKET_ANALYTICS_CONFIGURATION,
        "cors": Op.PUT_BUCKET_CORS,
        "encryption": Op.PUT_BUCKET_ENCRYPTION,
        "intelligent-tiering": Op.PUT_BUCKET_INTELLIGENT_TIERING_CONFIGURATION,
        "inventory": Op.PUT_BUCKET_INVENTORY_CONFIGURATION,
        "lifecycle": Op.PUT_BUCKET_LIFECYCLE_CONFIGURATION,
        "logging": Op.PUT_BUCKET_LOGGING,
        "metadataAnnotationTable": Op.UPDATE_BUCKET_METADATA_ANNOTATION_TABLE_CONFIGURATION,
        "metadataInventoryTable": Op.UPDATE_BUCKET_METADATA_INVENTORY_TABLE_CONFIGURATION,
        "metadataJournalTable": Op.UPDATE_BUCKET_METADATA_JOURNAL_TABLE_CONFIGURATION,
        "metrics": Op.PUT_BUCKET_METRICS_CONFIGURATION,
        "notification": Op.PUT_BUCKET_NOTIFICATION_CONFIGURATION,
        "object-lock": Op.PUT_OBJECT_LOCK_CONFIGURATION,
        "ownershipControls": Op.PUT_BUCKET_OWNERSHIP_CONTROLS,
        "policy": Op.PUT_BUCKET_POLICY,
        "publicAccessBlock": Op.PUT_PUBLIC_ACCESS_BLOCK,
        "replication": Op.PUT_BUCKET_REPLICATION,
        "requestPayment": Op.PUT_BUCKET_REQUEST_PAYMENT,
        "tagging": Op.PUT_BUCKET_TAGGING,
        "versioning": Op.PUT_BUCKET_VERSIONING,
        "website": Op.PUT_BUCKET_WEBSITE,
    },
    "DELETE": {
        "analytics": Op.DELETE_BUCKET_ANALYTICS_CONFIGURATION,
        "cors": Op.DELETE_BUCKET_CORS,
        "encryption": Op.DELETE_BUCKET_ENCRYPTION,
        "intelligent-tiering": Op.DELETE_BUCKET_INTELLIGENT_TIERING_CONFIGURATION,
        "inventory": Op.DELETE_BUCKET_INVENTORY_CONFIGURATION,
        "lifecycle": Op.DELETE_BUCKET_LIFECYCLE,
        "metadataConfiguration": Op.DELETE_BUCKET_METADATA_CONFIGURATION,
        "metadataTable": Op.DELETE_BUCKET_METADATA_TABLE_CONFIGURATION,
        "metrics": Op.DELETE_BUCKET_METRICS_CONFIGURATION,
        "ownershipControls": Op.DELETE_BUCKET_OWNERSHIP_CONTROLS,
        "policy": Op.DELETE_BUCKET_POLICY,
        "publicAccessBlock": Op.DELETE_PUBLIC_ACCESS_BLOCK,
        "replication": Op.DELETE_BUCKET_REPLICATION,
        "tagging": Op.DELETE_BUCKET_TAGGING,
        "website": Op.DELETE_BUCKET_WEBSITE,
    },
    "POST": {
        "delete": Op.DELETE_OBJECTS,
        "metadataConfiguration": Op.CREATE_BUCKET_METADATA_CONFIGURATION,
        "metadataTable": Op.CREATE_BUCKET_METADATA_TABLE_CONFIGURATION,
    },
}
"""Operations on sub-resources of a bucket, by method."""

LISTS_WITHOUT_ID: dict[Op, tuple[str, Op]] = {
    Op.GET_BUCKET_ANALYTICS_CONFIGURATION: ("id", Op.LIST_BUCKET_ANALYTICS_CONFIGURATIONS),
    Op.GET_BUCKET_INTELLIGENT_TIERING_CONFIGURATION: (
        "id",
        Op.LIST_BUCKET_INTELLIGENT_TIERING_CONFIGURATIONS,
    ),
    Op.GET_BUCKET_INVENTORY_CONFIGURATION: ("id", Op.LIST_BUCKET_INVENTORY_CONFIGURATIONS),
    Op.GET_BUCKET_METRICS_CONFIGURATION: ("id", Op.LIST_BUCKET_METRICS_CONFIGURATIONS),
    Op.GET_OBJECT_ANNOTATION: ("annotationName", Op.LIST_OBJECT_ANNOTATIONS),
}
"""Operations that become another one when the named parameter is not sent."""

OBJECT: dict[str, dict[str, Op]] = {
    "GET": {
        "acl": Op.GET_OBJECT_ACL,
        "annotation": Op.GET_OBJECT_ANNOTATION,
        "attributes": Op.GET_OBJECT_ATTRIBUTES,
        "legal-hold": Op.GET_OBJECT_LEGAL_HOLD,
        "retention": Op.GET_OBJECT_RETENTION,
        "tagging": Op.GET_OBJECT_TAGGING,
        "torrent": Op.GET_OBJECT_TORRENT,
        "uploadId": Op.LIST_PARTS,
    },
    "PUT": {
        "acl": Op.PUT_OBJECT_ACL,
        "annotation": Op.PUT_OBJECT_ANNOTATION,
        "encryption": Op.UPDATE_OBJECT_ENCRYPTION,
        "legal-hold": Op.PUT_OBJECT_LEGAL_HOLD,
        "renameObject": Op.RENAME_OBJECT,
        "retention": Op.PUT_OBJECT_RETENTION,
        "tagging": Op.PUT_OBJECT_TAGGING,
        "uploadId": Op.UPLOAD_PART,
    },
    "DELETE": {
        "annotation": Op.DELETE_OBJECT_ANNOTATION,
        "tagging": Op.DELETE_OBJECT_TAGGING,
        "uploadId": Op.ABORT_MULTIPART_UPLOAD,
    },
    "POST": {
        "restore": Op.RESTORE_OBJECT,
        "select": Op.SELECT_OBJECT_CONTENT,
        "uploadId": Op.COMPLETE_MULTIPART_UPLOAD,
        "uploads": Op.CREATE_MULTIPART_UPLOAD,
    },
}
"""Operations on sub-resources of an object, by method."""

ALL_SUB_RESOURCES: frozenset[str] = frozenset(
    name for level in (BUCKET, OBJECT) for by_name in level.values() for name in by_name
)
"""What makes a request one about a sub-resource, so that it never means the bucket or object itself."""
