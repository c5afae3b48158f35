"""One-way messages between the ends of a descriptor socket. Any struct will do: it goes under its class's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from zerohop.errors import ProtocolViolation
from zerohop.rpc.frames import FrameKind
from zerohop.rpc.message import encode
from zerohop.rpc.packets import packet

__all__ = ["NoticeSet", "notice_packet"]


class NoticeSet:
    """One-way messages that a side understands. One that it does not know is ignored: it is only a hint."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[msgspec.msgpack.Decoder[Any], Callable[..., None]]] = {}

    def add(self, notice_class: type[Any], handler: Callable[..., None]) -> None:
        """Registers a struct and the function that is called with it."""
        self._known[notice_class.__name__.encode()] = (msgspec.msgpack.Decoder(notice_class), handler)

    def dispatch(self, payload: bytes, *sender: object) -> None:
        """Decodes a notice and calls its handler. Raises `ProtocolViolation`."""
        name, _, body = payload.partition(b"\0")
        known = self._known.get(name)
        if known is None:
            return
        decoder, handler = known
        try:
            notice = decoder.decode(body)
        except msgspec.DecodeError as error:
            raise ProtocolViolation(f"a notice {name!r} cannot be decoded: {error}") from error
        handler(notice, *sender)


def notice_packet(notice: msgspec.Struct) -> bytes:
    """A notice under the name of its class."""
    return packet(FrameKind.NOTICE, 0, type(notice).__name__.encode() + b"\0" + encode(notice))
