"""Writing through the mount of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError
from tests.mounts.mounted import BLOCK_BYTES, Mounted, Site, noise, status_of, upload

from zerohop.model import WritePolicy

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedMultipartUploadTypeDef


def test_folder_takes_writes(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "nfs"
    info = site.mount_folder(folder)
    mounted = Mounted(site, info, None, "")  # type: ignore[arg-type]
    body = noise(2 * BLOCK_BYTES + 7)
    mounted.s3.put_object(Bucket=mounted.name, Key="a/b/file", Body=body)
    assert (folder / "a/b/file").read_bytes() == mounted.read("a/b/file") == body
    upload(mounted.s3, mounted.name, "a/parts", [noise(5 << 20), b"end"])
    assert (folder / "a/parts").stat().st_size == (5 << 20) + 3
    mounted.s3.copy_object(Bucket=mounted.name, Key="copy", CopySource=f"{mounted.name}/a/b/file")
    assert (folder / "copy").read_bytes() == body
    for key in ("a", "a/b/file/x", "../up", "a/../b"):
        with pytest.raises(ClientError) as refused:
            mounted.s3.put_object(Bucket=mounted.name, Key=key, Body=b"x")
        status, _ = status_of(refused)
        assert 400 <= status < 500, (key, refused.value)
    assert sorted(mounted.keys()) == ["a/b/file", "a/parts", "copy"]
    for key in ("a/b/file", "a/parts", "copy"):
        mounted.s3.delete_object(Bucket=mounted.name, Key=key)
    assert mounted.keys() == []
    assert not list(tmp_path.glob("up*"))


@pytest.mark.parametrize("policy", [WritePolicy.CACHE_THROUGH, WritePolicy.ASYNC_THROUGH])
def test_what_comes_in_the_way_of_an_upload_is_told_at_its_end(
    site: Site, tmp_path: Path, policy: WritePolicy
) -> None:
    folder = tmp_path / "nfs"
    mounted = Mounted(site, site.mount_folder(folder, write_policy=policy), None, "")  # type: ignore[arg-type]
    s3, bucket = mounted.s3, mounted.name
    for key, in_the_way in (("a", folder / "a/b"), ("c/d", folder / "c")):
        started = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        part = s3.upload_part(Bucket=bucket, Key=key, UploadId=started, PartNumber=1, Body=b"part")

        def complete(key: str = key, started: str = started, etag: str = part["ETag"]) -> None:
            parts: CompletedMultipartUploadTypeDef = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
            s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=started, MultipartUpload=parts)

        in_the_way.parent.mkdir(exist_ok=True)
        in_the_way.write_bytes(b"another's")
        for _ in range(2):
            with pytest.raises(ClientError) as refused:
                complete()
            assert status_of(refused) == (400, "InvalidRequest")
        assert [one["UploadId"] for one in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [started]
        if key == "a":
            s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=started)
            assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
        else:
            in_the_way.unlink()
            complete()
            assert mounted.read(key) == b"part"
    assert (folder / "a/b").read_bytes() == b"another's"


@pytest.mark.parametrize("policy", [WritePolicy.ASYNC_THROUGH, WritePolicy.MUST_CACHE])
def test_what_a_folder_cannot_hold_is_refused_before_it_is_taken(
    site: Site, tmp_path: Path, policy: WritePolicy
) -> None:
    folder = tmp_path / "nfs"
    mounted = Mounted(site, site.mount_folder(folder, write_policy=policy), None, "")  # type: ignore[arg-type]
    (folder / "below").mkdir()
    (folder / "below/file").write_bytes(b"there")
    for key in ("below", "below/file/x", "a//b", "x" * 300):
        for body in (b"small", noise(50_000)):
            with pytest.raises(ClientError) as refused:
                mounted.s3.put_object(Bucket=mounted.name, Key=key, Body=body)
            assert status_of(refused) == (400, "InvalidRequest")
        with pytest.raises(ClientError) as refused:
            mounted.s3.create_multipart_upload(Bucket=mounted.name, Key=key)
        assert status_of(refused) == (400, "InvalidRequest")
    assert mounted.keys() == ["below/file"]
    assert mounted.unpersisted() == []
    mounted.s3.put_object(Bucket=mounted.name, Key="below/other", Body=b"fine")
    upload(mounted.s3, mounted.name, "below/parts", [noise(5 << 20), b"end"])
    assert mounted.keys() == ["below/file", "below/other", "below/parts"]
