"""Parts of objects that were uploaded to the origin in parts. The origin is another bucket of the cluster: it tells
where a part lies, as Amazon does; moto does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.mounts.mounted import Mounted, Site, noise, status_of

Mount = Callable[..., Mounted]

SIZES = (5 << 20, (5 << 20) + 1, 1000)


def upload(s3: Any, bucket: str, key: str) -> tuple[list[bytes], str]:
    bodies = [noise(size) for size in SIZES]
    begun = s3.create_multipart_upload(Bucket=bucket, Key=key)
    named = {"Bucket": bucket, "Key": key, "UploadId": begun["UploadId"]}
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**named, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate(bodies, 1)
    ]
    done = s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    return bodies, done["ETag"]


def mount_of_native(site: Site, name: str, **changes: Any) -> str:
    """The name of a bucket that shows a new bucket `name` of the same cluster."""
    site.s3.create_bucket(Bucket=name)
    info = site.mount(
        f"s3://{name}",
        options={"endpoint": site.cluster.endpoints[0], "path_style": "true", "region": "us-east-1"},
        secrets={"access_key": site.user.access_key, "secret_key": site.user.secret_key},
        **changes,
    )
    return info.bucket


def test_parts_are_those_of_the_origin(site: Site) -> None:
    shown = mount_of_native(site, "origin-of-parts", metadata_ttl_s=-1.0)
    bodies, etag = upload(site.s3, "origin-of-parts", "file")
    for number, body in enumerate(bodies, 1):
        head = site.s3.head_object(Bucket=shown, Key="file", PartNumber=number)
        assert (head["ContentLength"], head["PartsCount"], head["ETag"]) == (len(body), len(bodies), etag)
        got: Any = site.s3.get_object(Bucket=shown, Key="file", PartNumber=number)
        assert (got["Body"].read(), got["PartsCount"]) == (body, len(bodies))
    with pytest.raises(ClientError) as refused:
        site.s3.get_object(Bucket=shown, Key="file", PartNumber=len(bodies) + 1)
    assert status_of(refused) == (416, "InvalidPartNumber")
    told = site.s3.get_object_attributes(Bucket=shown, Key="file", ObjectAttributes=["ObjectParts", "ETag"])
    assert told["ObjectParts"]["TotalPartsCount"] == len(bodies)
    assert f'"{told["ETag"]}"' == etag

    # What was told once is told again without the origin.
    site.s3.delete_object(Bucket="origin-of-parts", Key="file")
    again: Any = site.s3.get_object(Bucket=shown, Key="file", PartNumber=2)
    assert again["Body"].read() == bodies[1]


def test_a_part_of_another_version_is_not_mixed_in(site: Site) -> None:
    shown = mount_of_native(site, "origin-of-changes", metadata_ttl_s=-1.0)
    upload(site.s3, "origin-of-changes", "file")
    assert site.s3.head_object(Bucket=shown, Key="file", PartNumber=1)["PartsCount"] == len(SIZES)
    new, etag = upload(site.s3, "origin-of-changes", "file")
    head = site.s3.head_object(Bucket=shown, Key="file", PartNumber=2)
    assert (head["ETag"], head["ContentLength"]) == (etag, len(new[1]))
    got: Any = site.s3.get_object(Bucket=shown, Key="file", PartNumber=3)
    assert (got["Body"].read(), got["ETag"]) == (new[2], etag)


def test_an_upload_through_a_mount_has_its_parts(site: Site) -> None:
    shown = mount_of_native(site, "origin-of-uploads")
    bodies, etag = upload(site.s3, shown, "file")
    assert site.s3.head_object(Bucket="origin-of-uploads", Key="file")["ETag"] == etag
    got: Any = site.s3.get_object(Bucket=shown, Key="file", PartNumber=2)
    assert (got["Body"].read(), got["PartsCount"]) == (bodies[1], len(bodies))


def test_where_the_origin_does_not_tell_all_is_one_part(mount: Mount) -> None:
    mounted = mount()
    bodies, _ = upload(mounted.s3, mounted.name, "file")
    got = mounted.get("file", PartNumber=1)
    assert got["Body"] == b"".join(bodies)
    assert "PartsCount" not in got
    with pytest.raises(ClientError) as refused:
        mounted.get("file", PartNumber=2)
    assert status_of(refused) == (416, "InvalidPartNumber")
