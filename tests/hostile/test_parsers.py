"""Fuzzing of the parsers by coverage, each in a process of its own, for a share of the soak's time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.soak_report import SoakReport

_SCOPE = b"KEY/20260101/us-east-1/s3/aws4_request"
_FIELDS = b"\nhost:h\nx-amz-date:20260101T000000Z\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nauthorization:"
_V4 = b"AWS4-HMAC-SHA256 Credential=" + _SCOPE + b", SignedHeaders=host;x-amz-date, Signature=" + b"0" * 64
_SEEDS: dict[str, list[bytes]] = {
    "aws_chunked": [b"\x05\x07005\r\nhello\r\n0\r\nx-a:b\r\n\r\n", b"\x00\x000\r\nx-a:\r\n\r\n"],
    "routing": [
        b"GET /bucket/key?versionId=1&partNumber=2\nhost:localhost",
        b"PUT http://h/bucket/a%2Fb?uploadId=u&partNumber=1\nx-amz-copy-source:/a/b",
        b"POST /api/v1/s3/bucket?delete\n",
    ],
    "authorization": [
        b"GET /b/k" + _FIELDS + _V4,
        b"GET /b/k\ndate:Thu, 01 Jan 2026 00:00:00 GMT\nauthorization:AWS KEY:AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        b"GET /b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
        + _SCOPE.replace(b"/", b"%2F")
        + b"&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature="
        + b"0" * 64
        + b"\nhost:h",
        b"GET /b/k?AWSAccessKeyId=KEY&Expires=1800000000&Signature=AAAA\nhost:h",
    ],
    "xml_in": [
        b"<Delete><Object><Key>a</Key><Size>1</Size></Object><Quiet>true</Quiet></Delete>",
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>",
        b"<CreateBucketConfiguration><LocationConstraint>eu</LocationConstraint></CreateBucketConfiguration>",
    ],
    "ranges": [b"\x40bytes=0-5", b"\x40bytes=-5", b"\x40bytes=5-", b"\x40bytes=0-1,3-4"],
    "conditions": [
        b'"etag", W/"b"\n*\nThu, 01 Jan 2026 00:00:00 GMT\nThursday, 01-Jan-26 00:00:00 GMT',
        b'\n"etag"\n\n',
    ],
    "frames": [b"\x05\x00\x00\x00\x05\x01\x00\x00\x00\x00\x00\x00\x00\x01hello"],
}


@pytest.mark.soak(share=0.5, cost_s=8)
@pytest.mark.parametrize("parser", _SEEDS)
def test_no_input_breaks_a_parser(
    tmp_path: Path, parser: str, soak_s: float, soak_report: SoakReport
) -> None:
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    for number, seed in enumerate(_SEEDS[parser]):
        (seeds / str(number)).write_bytes(seed)
    command = [sys.executable, "-m", "tests.hostile.parser_fuzzer", parser, str(seeds)]
    limits = [
        f"-max_total_time={5 + int(soak_s)}",
        "-timeout=5",
        "-rss_limit_mb=1024",
        f"-artifact_prefix={tmp_path}/",
    ]
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *(entry for entry in sys.path if entry)])
    # A program begins with the peak of the process that it is started from as its own, and the fuzzer would take that
    # for what the parser needed: so it is started by a small one.
    done = subprocess.run(
        ["sh", "-c", '"$@"; exit $?', "sh", *command, *limits],
        cwd=root,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = re.search(r"Done (\d+) runs", done.stderr)
    assert told is not None
    soak_report.note(inputs=int(told[1]))
