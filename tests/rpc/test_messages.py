"""Messages: what the processes of a cluster say to each other can be said, and grows without breaking."""

from __future__ import annotations

import msgspec
import pytest
from tests.rpc.messages import Echo

from zerohop.errors import Internal, ProtocolViolation, ZerohopError, all_error_classes
from zerohop.rpc import master_api, worker_api
from zerohop.rpc.message import (
    MessageSet,
    Request,
    decode_error,
    decode_response,
    encode,
    encode_error,
    operation,
    response_type,
)

REQUESTS = [
    each
    for api in (master_api, worker_api)
    for each in vars(api).values()
    if isinstance(each, type) and issubclass(each, Request) and each is not Request
]


def test_every_operation_has_a_name_of_its_own_and_a_response() -> None:
    messages = MessageSet()
    for request_class in REQUESTS:
        messages.add(request_class)
        msgspec.msgpack.Decoder(response_type(request_class))
    assert len(REQUESTS) > 20
    with pytest.raises(TypeError, match="registered already"):
        messages.add(REQUESTS[0])


@pytest.mark.parametrize("cls", all_error_classes())
def test_every_error_arrives_as_itself(cls: type[ZerohopError]) -> None:
    found = decode_error(encode_error(cls("why", bucket="b")))
    assert type(found) is (Internal if cls.code == "Internal" else cls)
    assert found.message == "why"
    assert found.details == {"bucket": "b"}


def test_an_error_of_a_newer_version_is_internal_and_says_so() -> None:
    found = decode_error(encode(["Novel", "why", {"message": "x"}]))
    assert type(found) is Internal
    assert found.details == {"code": "Novel"}


def test_fields_may_be_appended() -> None:
    class Newer(Request[None], tag="echo"):
        text: str
        size: int = 0
        added: str = "default"

    older, newer = MessageSet(), MessageSet()
    older.add(Echo)
    newer.add(Newer)
    assert older.decode(encode(Newer("x", 1, "more"))) == Echo("x", 1)
    assert newer.decode(encode(Echo("x", 1))) == Newer("x", 1)


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\xc0", b"\x90", encode(["echo"]), encode(["echo", 1])])
def test_a_malformed_message_is_a_violation(payload: bytes) -> None:
    messages = MessageSet()
    messages.add(Echo)
    with pytest.raises(ProtocolViolation):
        messages.decode(payload)
    with pytest.raises(ProtocolViolation):
        decode_response(Echo, payload[:1])


def test_a_request_without_a_response_or_a_tag_is_refused() -> None:
    class Untyped(Request, tag="untyped"):
        pass

    class Untagged(Request[None]):
        pass

    with pytest.raises(TypeError, match="name its response"):
        response_type(Untyped)
    with pytest.raises(TypeError, match="needs a tag"):
        operation(Untagged)
