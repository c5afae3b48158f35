"""Messages of the internal RPC: msgspec structs, each request naming the type of its response.

    class Lookup(Request[LookupResult], tag="lookup", kw_only=True):
        key: bytes

Requests travel as msgpack arrays led by their tag: smaller and faster than maps. So fields are told apart by their
position: a later minor version of the protocol may only *append* fields, each with a default. An older peer then
ignores the ones that it does not know, and a newer one fills in the ones that it does not get.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Generic, TypeVar, Union, cast, get_args, get_origin

import msgspec

from zerohop.errors import Internal, ProtocolViolation, UnknownOperation, ZerohopError, error_class

__all__ = [
    "MessageSet",
    "Request",
    "decode_error",
    "decode_response",
    "encode",
    "encode_error",
    "operation",
    "response_type",
]

R = TypeVar("R")

_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode
"""Any message as msgpack."""


class Request(msgspec.Struct, Generic[R], array_like=True, forbid_unknown_fields=False):
    """Root of all requests; `R` is the type of the response (anything that msgspec can decode, or None)."""


def operation(message_class: type[Any]) -> str:
    """The name by which a request is known on the wire."""
    tag = message_class.__struct_config__.tag
    if not isinstance(tag, str):
        raise TypeError(
            f"{message_class.__name__} needs a tag: class {message_class.__name__}(..., tag='name')"
        )
    return tag


@cache
def response_type(request_class: type[Request[R]]) -> type[R]:
    """The type argument that `request_class` gave to `Request`."""
    for cls in request_class.__mro__:
        for base in cls.__dict__.get("__orig_bases__", ()):
            if get_origin(base) is Request:
                return cast("type[R]", get_args(base)[0])
    raise TypeError(f"{request_class.__name__} does not name its response: derive it from Request[...]")


@cache
def _response_decoder(request_class: type[Request[R]]) -> msgspec.msgpack.Decoder[R]:
    return msgspec.msgpack.Decoder(response_type(request_class))


def decode_response(request_class: type[Request[R]], payload: bytes) -> R:
    """The typed response to a request of that class. Raises `ProtocolViolation`."""
    try:
        response: R = _response_decoder(request_class).decode(payload)
    except msgspec.DecodeError as error:
        raise ProtocolViolation(
            f"the response to {operation(request_class)} cannot be decoded: {error}"
        ) from error
    return response


class MessageSet:
    """The messages that one server understands, as one tagged union with one cached decoder."""

    def __init__(self) -> None:
        self._classes: list[type[Any]] = []
        self._decoder: msgspec.msgpack.Decoder[Any] | None = None

    def add(self, message_class: type[Any]) -> None:
        """Adds a request class. Raises TypeError for one without a tag or with a tag already taken."""
        name = operation(message_class)
        if any(operation(known) == name for known in self._classes):
            raise TypeError(f"operation {name!r} is registered already")
        self._classes.append(message_class)
        self._decoder = None

    def decode(self, payload: bytes) -> Any:
        """A message of one of the classes. Raises `UnknownOperation`, or `ProtocolViolation` for a malformed one."""
        try:
            return (self._decoder or self._build()).decode(payload)
        except msgspec.DecodeError as error:
            raise self._explain(payload, error) from error

    def _build(self) -> msgspec.msgpack.Decoder[Any]:
        kind = Union[tuple(self._classes)] if self._classes else _Nothing  # noqa: UP007 - built at run time
        self._decoder = msgspec.msgpack.Decoder(kind)
        return self._decoder

    def _explain(self, payload: bytes, error: msgspec.DecodeError) -> ZerohopError:
        try:
            tag = msgspec.msgpack.decode(payload)[0]
        except (msgspec.DecodeError, TypeError, IndexError, KeyError):
            return ProtocolViolation(f"not a message: {error}")
        name = tag if isinstance(tag, str) else repr(tag)[:80]
        if any(operation(known) == name for known in self._classes):
            return ProtocolViolation(f"a message of {name!r} cannot be decoded: {error}")
        return UnknownOperation(f"operation {name!r} is not known here", operation=name)


class _Nothing(msgspec.Struct, array_like=True, tag=""):
    """Stands in where a server has no messages at all: every operation is then unknown."""


class _WireError(msgspec.Struct, array_like=True):
    code: str
    message: str
    details: dict[str, str] = {}


_error_decoder = msgspec.msgpack.Decoder(_WireError)


def encode_error(error: ZerohopError) -> bytes:
    """The payload of an ERROR frame."""
    return encode(_WireError(error.code, error.message, error.details))


def decode_error(payload: bytes) -> ZerohopError:
    """The error that the peer raised, as an instance of the same class.

    A code that this version does not know becomes `Internal`, with the code in its details.
    """
    try:
        wire = _error_decoder.decode(payload)
    except msgspec.DecodeError as error:
        return ProtocolViolation(f"an error frame cannot be decoded: {error}")
    cls = error_class(wire.code)
    details = {name: value for name, value in wire.details.items() if name != "message"}
    if cls is Internal and wire.code != Internal.code:
        details["code"] = wire.code
    return cls(wire.message, **details)
