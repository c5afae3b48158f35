"""The bench signs as S3 clients do: what it sends passes the proxy's own check."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from zerohop_bench.sigv4 import Keys, presigned_target, signed_put
from zerohop_proxy.authorization import Anonymous, parse_authorization, verify
from zerohop_proxy.payload import PayloadMode
from zerohop_proxy.raw_request import RawRequest
from zerohop_proxy.s3_errors import S3Error

KEYS = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
HOST = "127.0.0.1:39999"


def test_a_presigned_target_passes_and_only_with_the_right_secret() -> None:
    target = presigned_target(KEYS, "GET", HOST, "/bench/small-1")
    claim = parse_authorization(RawRequest.from_wire("GET", target, [(b"Host", HOST.encode())]))
    assert not isinstance(claim, Anonymous)
    verify(claim, KEYS.secret_key, time.time())
    with pytest.raises(S3Error, match="signature"):
        verify(claim, "another", time.time())


def test_a_presigned_target_is_the_one_that_botocore_makes() -> None:
    ours = dict(
        pair.split("=") for pair in urlsplit(presigned_target(KEYS, "GET", HOST, "/b/k")).query.split("&")
    )
    request = botocore.awsrequest.AWSRequest("GET", f"http://{HOST}/b/k")
    credentials = botocore.credentials.Credentials(*KEYS)
    botocore.auth.S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=86_400).add_auth(request)
    theirs = dict(pair.split("=") for pair in urlsplit(str(request.url)).query.split("&"))
    assert ours.keys() == theirs.keys()
    assert ours["X-Amz-Credential"] == theirs["X-Amz-Credential"]


def test_a_signed_put_passes_and_vouches_for_its_body() -> None:
    head = signed_put(KEYS, HOST, "/bench/put/1", b"bytes")
    request_line, *lines = head.decode().removesuffix("\r\n\r\n").split("\r\n")
    method, target, _version = request_line.split(" ")
    headers = [tuple(part.encode() for part in line.split(": ", 1)) for line in lines]
    claim = parse_authorization(
        RawRequest.from_wire(method, target, [(name, value) for name, value in headers])
    )
    assert not isinstance(claim, Anonymous)
    assert verify(claim, KEYS.secret_key, time.time()).mode is PayloadMode.SHA256
