"""Buckets belong to users: every operation on somebody else's is denied, signed by another user or by nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED, xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.inprocess import InProcessCluster
from tests.proxy.users import add_user, s3_client

from zerohop.model import UserRecord
from zerohop_proxy.bucket_configuration import CONFIGURATION_HANDLERS
from zerohop_proxy.handlers import HANDLERS
from zerohop_proxy.operation import Operation

_THEIRS = {"Bucket": "alices", "Key": "key"}
_SOURCE = {"Bucket": "alices", "Key": "key"}
_PARTS = {"Parts": [{"PartNumber": 1, "ETag": '"d41d8cd98f00b204e9800998ecf8427e"'}]}

_LOCKS: dict[Operation, dict[str, Any]] = {
    Operation.GET_OBJECT_LEGAL_HOLD: {"Key": "key"},
    Operation.GET_OBJECT_RETENTION: {"Key": "key"},
    Operation.PUT_OBJECT_LEGAL_HOLD: {"Key": "key", "LegalHold": {"Status": "OFF"}},
    Operation.PUT_OBJECT_RETENTION: {"Key": "key", "Retention": {}},
}


def _configuration(operation: Operation, s3: Any, _upload: str) -> Any:
    """Calls an operation on a configuration of alice's bucket."""
    method = xform_name(operation.value)
    arguments = dict(_LOCKS.get(operation, {}))
    if "Id" in s3.meta.service_model.operation_model(operation.value).input_shape.members:
        arguments["Id"] = "any"
    return getattr(s3, method)(Bucket="alices", **arguments)


# Operation, what the caller does to alice's bucket. Called with the client and the id of an upload of alice's.
_CALLS: list[tuple[Operation, Callable[[Any, str], Any]]] = [
    (Operation.HEAD_BUCKET, lambda s3, _: s3.head_bucket(Bucket="alices")),
    (Operation.DELETE_BUCKET, lambda s3, _: s3.delete_bucket(Bucket="alices")),
    (Operation.GET_BUCKET_LOCATION, lambda s3, _: s3.get_bucket_location(Bucket="alices")),
    (Operation.LIST_OBJECTS, lambda s3, _: s3.list_objects(Bucket="alices")),
    (Operation.LIST_OBJECTS_V2, lambda s3, _: s3.list_objects_v2(Bucket="alices")),
    (Operation.LIST_OBJECT_VERSIONS, lambda s3, _: s3.list_object_versions(Bucket="alices")),
    (Operation.PUT_OBJECT, lambda s3, _: s3.put_object(**_THEIRS, Body=b"mine now")),
    (Operation.PUT_OBJECT, lambda s3, _: s3.put_object(**_THEIRS, Body=bytes(300_000))),
    (Operation.PUT_OBJECT, lambda s3, _: s3.put_object(**_THEIRS, Body=b"", IfNoneMatch="*")),
    (Operation.GET_OBJECT, lambda s3, _: s3.get_object(**_THEIRS)),
    (Operation.GET_OBJECT, lambda s3, _: s3.get_object(**_THEIRS, PartNumber=1)),
    (Operation.GET_OBJECT, lambda s3, _: s3.get_object(Bucket="alices", Key="no such key")),
    (
        Operation.GET_OBJECT_ATTRIBUTES,
        lambda s3, _: s3.get_object_attributes(**_THEIRS, ObjectAttributes=["ETag"]),
    ),
    (Operation.HEAD_OBJECT, lambda s3, _: s3.head_object(**_THEIRS)),
    (Operation.DELETE_OBJECT, lambda s3, _: s3.delete_object(**_THEIRS)),
    (
        Operation.DELETE_OBJECTS,
        lambda s3, _: s3.delete_objects(Bucket="alices", Delete={"Objects": [{"Key": "key"}]}),
    ),
    (Operation.COPY_OBJECT, lambda s3, _: s3.copy_object(Bucket="mine", Key="k", CopySource=_SOURCE)),
    (
        Operation.COPY_OBJECT,
        lambda s3, _: s3.copy_object(**_THEIRS, CopySource={"Bucket": "mine", "Key": "own"}),
    ),
    (Operation.CREATE_MULTIPART_UPLOAD, lambda s3, _: s3.create_multipart_upload(**_THEIRS)),
    (
        Operation.UPLOAD_PART,
        lambda s3, upload: s3.upload_part(**_THEIRS, UploadId=upload, PartNumber=1, Body=b"x"),
    ),
    (
        Operation.UPLOAD_PART_COPY,
        lambda s3, upload: s3.upload_part_copy(
            **_THEIRS, UploadId=upload, PartNumber=1, CopySource={"Bucket": "mine", "Key": "own"}
        ),
    ),
    (
        Operation.COMPLETE_MULTIPART_UPLOAD,
        lambda s3, upload: s3.complete_multipart_upload(**_THEIRS, UploadId=upload, MultipartUpload=_PARTS),
    ),
    (
        Operation.ABORT_MULTIPART_UPLOAD,
        lambda s3, upload: s3.abort_multipart_upload(**_THEIRS, UploadId=upload),
    ),
    (Operation.LIST_PARTS, lambda s3, upload: s3.list_parts(**_THEIRS, UploadId=upload)),
    (Operation.LIST_MULTIPART_UPLOADS, lambda s3, _: s3.list_multipart_uploads(Bucket="alices")),
    (Operation.GET_OBJECT_TAGGING, lambda s3, _: s3.get_object_tagging(**_THEIRS)),
    (Operation.PUT_OBJECT_TAGGING, lambda s3, _: s3.put_object_tagging(**_THEIRS, Tagging={"TagSet": []})),
    (Operation.DELETE_OBJECT_TAGGING, lambda s3, _: s3.delete_object_tagging(**_THEIRS)),
    (Operation.GET_BUCKET_ACL, lambda s3, _: s3.get_bucket_acl(Bucket="alices")),
    (Operation.PUT_BUCKET_ACL, lambda s3, _: s3.put_bucket_acl(Bucket="alices", ACL="private")),
    (Operation.GET_OBJECT_ACL, lambda s3, _: s3.get_object_acl(**_THEIRS)),
    (Operation.PUT_OBJECT_ACL, lambda s3, _: s3.put_object_acl(**_THEIRS, ACL="private")),
]

# Answered alike for all buckets: the method of the client is named after the operation.
_CALLS += [(operation, partial(_configuration, operation)) for operation in CONFIGURATION_HANDLERS]

_OWN = {
    # Name no bucket of somebody else's; tested below.
    Operation.LIST_BUCKETS,
    Operation.CREATE_BUCKET,
    # Tells nothing of a bucket, and no SDK sends it.
    Operation.OPTIONS_OBJECT,
}


def _unsigned(cluster: InProcessCluster) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=cluster.endpoint,
        region_name="us-east-1",
        config=Config(
            signature_version=UNSIGNED, s3={"addressing_style": "path"}, retries={"max_attempts": 1}
        ),
    )


def _denied(call: Callable[[Any, str], Any], s3: Any, upload: str) -> tuple[int, str]:
    with pytest.raises(ClientError) as error:
        call(s3, upload)
    response: Any = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_the_table_covers_every_operation() -> None:
    assert {operation for operation, _ in _CALLS} | _OWN >= set(HANDLERS)


@pytest.mark.parametrize("signed", [True, False], ids=["another user", "nobody"])
async def test_operations_on_a_foreign_bucket_are_denied(
    cluster: InProcessCluster, alice: UserRecord, signed: bool
) -> None:
    owner = s3_client(cluster, alice)
    other = s3_client(cluster, await add_user(cluster, "bob")) if signed else _unsigned(cluster)

    def work() -> None:
        owner.create_bucket(Bucket="alices")
        owner.put_object(**_THEIRS, Body=b"content", Metadata={"kept": "yes"})
        upload = owner.create_multipart_upload(**_THEIRS)["UploadId"]
        other.create_bucket(Bucket="mine")
        other.put_object(Bucket="mine", Key="own", Body=b"own")
        own_upload = other.create_multipart_upload(Bucket="mine", Key="k")["UploadId"]
        for operation, call in _CALLS:
            bodiless = operation in (Operation.HEAD_BUCKET, Operation.HEAD_OBJECT)
            expected = (403, "403" if bodiless else "AccessDenied")
            assert _denied(call, other, upload) == expected, operation
        source = lambda s3, _: s3.upload_part_copy(  # noqa: E731
            Bucket="mine", Key="k", UploadId=own_upload, PartNumber=1, CopySource=_SOURCE
        )
        assert _denied(source, other, "") == (403, "AccessDenied")
        # A foreign upload's id opens nothing through a bucket of one's own.
        through = lambda s3, id_: s3.upload_part(  # noqa: E731
            Bucket="mine", Key="key", UploadId=id_, PartNumber=1, Body=b"x"
        )
        assert _denied(through, other, upload) == (404, "NoSuchUpload")
        # Nothing has changed.
        got = owner.get_object(**_THEIRS)
        assert (got["Body"].read(), got["Metadata"]) == (b"content", {"kept": "yes"})
        assert "Parts" not in owner.list_parts(**_THEIRS, UploadId=upload)
        assert [one["Key"] for one in other.list_objects_v2(Bucket="mine")["Contents"]] == ["own"]

    await asyncio.to_thread(work)


async def test_everybody_lists_their_own_buckets(cluster: InProcessCluster, alice: UserRecord) -> None:
    clients = [
        s3_client(cluster, alice),
        s3_client(cluster, await add_user(cluster, "bob")),
        _unsigned(cluster),
    ]

    def work() -> None:
        for number, client in enumerate(clients):
            client.create_bucket(Bucket=f"bucket-of-{number}")
        for number, client in enumerate(clients):
            listed = client.list_buckets()
            assert [bucket["Name"] for bucket in listed["Buckets"]] == [f"bucket-of-{number}"]
            with pytest.raises(ClientError) as error:
                client.create_bucket(Bucket=f"bucket-of-{(number + 1) % 3}")
            assert error.value.response["Error"]["Code"] == "BucketAlreadyExists"
        owner = clients[0].list_objects_v2(Bucket="bucket-of-0")
        assert owner["KeyCount"] == 0
        assert clients[0].list_buckets()["Owner"]["ID"] == "id-of-alice"

    await asyncio.to_thread(work)


async def test_the_expected_owner_is_checked(cluster: InProcessCluster, alice: UserRecord) -> None:
    s3 = s3_client(cluster, alice)

    def work() -> None:
        s3.create_bucket(Bucket="alices")
        s3.put_object(**_THEIRS, Body=b"x", ExpectedBucketOwner="id-of-alice")
        for call in (
            lambda: s3.get_object(**_THEIRS, ExpectedBucketOwner="id-of-bob"),
            lambda: s3.put_object(**_THEIRS, Body=b"y", ExpectedBucketOwner="id-of-bob"),
            lambda: s3.delete_object(**_THEIRS, ExpectedBucketOwner="id-of-bob"),
            lambda: s3.list_objects_v2(Bucket="alices", ExpectedBucketOwner="id-of-bob"),
            lambda: s3.create_multipart_upload(**_THEIRS, ExpectedBucketOwner="id-of-bob"),
            lambda: s3.delete_bucket(Bucket="alices", ExpectedBucketOwner="id-of-bob"),
            lambda: s3.copy_object(
                Bucket="alices", Key="k", CopySource=_SOURCE, ExpectedSourceBucketOwner="id-of-bob"
            ),
        ):
            with pytest.raises(ClientError) as error:
                call()
            assert error.value.response["Error"]["Code"] == "AccessDenied"
        assert s3.get_object(**_THEIRS)["Body"].read() == b"x"

    await asyncio.to_thread(work)
