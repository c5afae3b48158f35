"""The Python example of the S3 API page, run by test_api_page.py in a process of its own: boto 2 warns a lot."""

# ruff: noqa: E402, N816, T201 - the names and the form are those of the page

from __future__ import annotations

import io
import math
import os
import sys

from tests.support.boto2 import make_boto_importable

make_boto_importable()

import boto
import boto.s3.connection
from boto.s3.multipart import MultiPartUpload

conn = boto.connect_s3(
    aws_access_key_id="",
    aws_secret_access_key="",
    host="localhost",
    port=int(sys.argv[1]),
    path="/api/v1/s3",
    is_secure=False,
    calling_format=boto.s3.connection.OrdinaryCallingFormat(),
)

bucketName = "bucket-for-testing"
bucket = conn.create_bucket(bucketName)
print("created")

smallObjectKey = "small.txt"
smallObjectContent = "Hello World!"
key = bucket.new_key(smallObjectKey)
key.set_contents_from_string(smallObjectContent)
assert smallObjectContent == key.get_contents_as_string().decode()
print("small")

largeObjectKey = "large.txt"
largeObjectFile = "8mb.data"
with open(largeObjectFile, "wb") as made:
    made.write(os.urandom(8 * 1048576))
key = bucket.new_key(largeObjectKey)
with open(largeObjectFile, "rb") as f:
    key.set_contents_from_file(f)
with open(largeObjectFile, "rb") as f:
    largeObject = f.read()
assert largeObject == key.get_contents_as_string()
print("large")

bucket.delete_key(smallObjectKey)
bucket.delete_key(largeObjectKey)
print("deleted")

sourceSize = os.stat(largeObjectFile).st_size
chunkSize = 1048576
chunkCount = math.ceil(sourceSize / float(chunkSize))


def upload_parts(upload: MultiPartUpload) -> None:
    for i in range(chunkCount):
        offset = chunkSize * i
        length = min(chunkSize, sourceSize - offset)
        upload.upload_part_from_file(io.BytesIO(largeObject[offset : offset + length]), part_num=i + 1)


mp = bucket.initiate_multipart_upload(largeObjectKey)
upload_parts(mp)
assert [part.size for part in mp] == [chunkSize] * chunkCount
mp.complete_upload()
assert largeObject == bucket.get_key(largeObjectKey).get_contents_as_string()
print("completed")

mp = bucket.initiate_multipart_upload(largeObjectKey)
upload_parts(mp)
mp.cancel_upload()
assert largeObject == bucket.get_key(largeObjectKey).get_contents_as_string()
print("aborted")

bucket.delete_key(largeObjectKey)
conn.delete_bucket(bucketName)
assert conn.lookup(bucketName) is None
print("removed")
