"""Configurations that no bucket has, ACLs that all have, and preflights that none allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore import xform_name
from tests.s3_semantics.conftest import Refused
from tests.s3_semantics.signed_http import SignedHttp

from zerohop_proxy.bucket_configuration import CONFIGURATION_HANDLERS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Operation of boto3, and what it answers without the metadata of the response.
TOLD: dict[str, dict[str, Any]] = {
    "GetBucketAccelerateConfiguration": {},
    "GetBucketLogging": {},
    "GetBucketNotificationConfiguration": {},
    "GetBucketOwnershipControls": {
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    },
    "GetBucketRequestPayment": {"Payer": "BucketOwner"},
    "GetBucketVersioning": {},
    "ListBucketAnalyticsConfigurations": {"IsTruncated": False},
    "ListBucketIntelligentTieringConfigurations": {"IsTruncated": False},
    "ListBucketInventoryConfigurations": {"IsTruncated": False},
    "ListBucketMetricsConfigurations": {"IsTruncated": False},
    "DeleteBucketCors": {},
    "DeleteBucketEncryption": {},
    "DeleteBucketLifecycle": {},
    "DeleteBucketPolicy": {},
    "DeleteBucketReplication": {},
    "DeleteBucketTagging": {},
    "DeleteBucketWebsite": {},
    "DeletePublicAccessBlock": {},
}

# Operation of boto3, its arguments besides the bucket, status and code.
REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("GetBucketAnalyticsConfiguration", {"Id": "x"}, 404, "NoSuchConfiguration"),
    ("GetBucketCors", {}, 404, "NoSuchCORSConfiguration"),
    ("GetBucketEncryption", {}, 404, "ServerSideEncryptionConfigurationNotFoundError"),
    ("GetBucketIntelligentTieringConfiguration", {"Id": "x"}, 404, "NoSuchConfiguration"),
    ("GetBucketInventoryConfiguration", {"Id": "x"}, 404, "NoSuchConfiguration"),
    ("GetBucketLifecycleConfiguration", {}, 404, "NoSuchLifecycleConfiguration"),
    ("GetBucketMetricsConfiguration", {"Id": "x"}, 404, "NoSuchConfiguration"),
    ("GetBucketPolicy", {}, 404, "NoSuchBucketPolicy"),
    ("GetBucketPolicyStatus", {}, 404, "NoSuchBucketPolicy"),
    ("GetBucketReplication", {}, 404, "ReplicationConfigurationNotFoundError"),
    ("GetBucketTagging", {}, 404, "NoSuchTagSet"),
    ("GetBucketWebsite", {}, 404, "NoSuchWebsiteConfiguration"),
    ("GetObjectLockConfiguration", {}, 404, "ObjectLockConfigurationNotFoundError"),
    ("GetPublicAccessBlock", {}, 404, "NoSuchPublicAccessBlockConfiguration"),
    ("DeleteBucketAnalyticsConfiguration", {"Id": "x"}, 404, "NoSuchConfiguration"),
    ("DeleteBucketIntelligentTieringConfiguration", {"Id": "x"}, 404, "NoSuchConfiguration"),
    ("DeleteBucketInventoryConfiguration", {"Id": "x"}, 404, "NoSuchConfiguration"),
    ("DeleteBucketMetricsConfiguration", {"Id": "x"}, 404, "NoSuchConfiguration"),
    ("GetObjectLegalHold", {"Key": "k"}, 400, "InvalidRequest"),
    ("GetObjectRetention", {"Key": "k"}, 400, "InvalidRequest"),
    ("PutObjectLegalHold", {"Key": "k", "LegalHold": {"Status": "ON"}}, 400, "InvalidRequest"),
    ("PutObjectRetention", {"Key": "k", "Retention": {"Mode": "GOVERNANCE"}}, 400, "InvalidRequest"),
]


def test_the_tables_cover_every_configuration() -> None:
    assert {operation.value for operation in CONFIGURATION_HANDLERS} == TOLD.keys() | {
        name for name, _, _, _ in REFUSED
    }


@pytest.mark.parametrize("operation", TOLD)
def test_what_an_unconfigured_bucket_tells(s3: S3Client, bucket: str, operation: str) -> None:
    answer = getattr(s3, xform_name(operation))(Bucket=bucket)
    status = answer.pop("ResponseMetadata")["HTTPStatusCode"]
    assert (status, answer) == (204 if operation.startswith("Delete") else 200, TOLD[operation])


@pytest.mark.parametrize(("operation", "arguments", "status", "code"), REFUSED)
def test_what_an_unconfigured_bucket_does_not_have(
    s3: S3Client, refused: Refused, bucket: str, operation: str, arguments: Any, status: int, code: str
) -> None:
    call = getattr(s3, xform_name(operation))
    assert refused(call, Bucket=bucket, **arguments) == (status, code)
    assert refused(call, Bucket=f"{bucket}-not", **arguments) == (404, "NoSuchBucket")


def test_acls_grant_the_owner_alone(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    owner = s3.list_buckets()["Owner"]
    grants = [{"Grantee": {**owner, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}]
    for told in (s3.get_bucket_acl(Bucket=bucket), s3.get_object_acl(Bucket=bucket, Key="k")):
        assert (told["Owner"], told["Grants"]) == (owner, grants)
        policy: Any = {"Owner": told["Owner"], "Grants": told["Grants"]}
        s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=policy)
        s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=policy)
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="private")


POLICY = (
    "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi="
    '"http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>{grantee}</ID></Grantee>'
    "<Permission>{permission}</Permission></Grant></AccessControlList></AccessControlPolicy>"
)


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({}, "", 400, "MissingSecurityHeader"),
        ({"x-amz-acl": "private"}, POLICY, 400, "UnexpectedContent"),
        ({"x-amz-acl": "public-read"}, "", 501, "NotImplemented"),
        ({"x-amz-acl": "nobody"}, "", 400, "InvalidArgument"),
        ({"x-amz-grant-read": 'id="x"'}, "", 501, "NotImplemented"),
        ({}, POLICY.replace("{grantee}", "somebody"), 501, "NotImplemented"),
        ({}, POLICY.replace("{permission}", "READ"), 501, "NotImplemented"),
        ({}, POLICY.replace("{permission}", "ALL"), 400, "MalformedACLError"),
        ({}, "<AccessControlPolicy>", 400, "MalformedACLError"),
        ({}, "<AccessControlPolicy><Other/></AccessControlPolicy>", 400, "MalformedACLError"),
        ({}, "<AccessControlPolicy/>", 501, "NotImplemented"),
    ],
)
@pytest.mark.parametrize("path", ["", "/k"])
def test_acls_that_are_refused(
    send: SignedHttp,
    s3: S3Client,
    bucket: str,
    path: str,
    headers: dict[str, str],
    body: str,
    status: int,
    code: str,
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    owner = s3.list_buckets()["Owner"]["ID"]
    document = (
        body.replace("{owner}", owner).replace("{grantee}", owner).replace("{permission}", "FULL_CONTROL")
    )
    reply = send("PUT", f"/{bucket}{path}", "acl", headers=headers, body=document.encode())
    assert (reply.status, reply.code) == (status, code)


def test_acls_of_what_is_not_there(s3: S3Client, refused: Refused, bucket: str) -> None:
    assert refused(s3.get_object_acl, Bucket=bucket, Key="missing") == (404, "NoSuchKey")
    assert refused(s3.put_object_acl, Bucket=bucket, Key="missing", ACL="private") == (404, "NoSuchKey")
    assert refused(s3.get_bucket_acl, Bucket=f"{bucket}-not") == (404, "NoSuchBucket")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Origin": "http://a", "Access-Control-Request-Method": "PUT"}, 403, "AccessForbidden"),
        ({"Origin": "http://a"}, 400, "BadRequest"),
        ({}, 400, "BadRequest"),
    ],
)
def test_preflights(send: SignedHttp, bucket: str, headers: dict[str, str], status: int, code: str) -> None:
    for path in (f"/{bucket}", f"/{bucket}/k"):
        reply = send("OPTIONS", path, headers=headers)
        assert (reply.status, reply.code) == (status, code)
