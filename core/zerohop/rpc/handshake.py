"""What opens every connection: versions first, then, where a cluster secret is configured, proof of it both ways.

    client                         server
    HELLO ------------------------->
          <------------------------- HELLO
          <------------------------- CHALLENGE nonce        only with a secret
    PROOF nonce, mac -------------->
          <------------------------- PROOF mac

A mac is HMAC-SHA256 under the secret over the side's own label, both HELLOs and both nonces: so it proves the secret
freshly, cannot be reflected, and nobody in between can have changed the HELLOs. No I/O here: frames in, frames out.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

import msgspec

from zerohop import __version__
from zerohop.errors import IncompatiblePeer, PeerRejected, ProtocolViolation
from zerohop.rpc.frames import FrameKind, frame
from zerohop.rpc.message import decode_error

__all__ = [
    "MAX_HANDSHAKE_PAYLOAD_BYTES",
    "PROTOCOL_MAJOR",
    "PROTOCOL_MINOR",
    "ClientHandshake",
    "Hello",
    "ServerHandshake",
]

PROTOCOL_MAJOR = 1
"""Grows when an older peer could misunderstand us."""

PROTOCOL_MINOR = 0
"""Grows when messages or trailing fields are added."""

MAX_HANDSHAKE_PAYLOAD_BYTES = 4096
"""A stranger who has proved nothing can make us buffer this much."""

_NONCE_BYTES = 32
_MAC_BYTES = 32


class Hello(msgspec.Struct, kw_only=True):
    """The first message of each side. A map, unlike all others, since it must be readable across major versions."""

    major: int
    minor: int
    process: str
    """Name of the process, such as `proxy-1`: for logs and reports."""
    release: str
    """Version of zerohop."""
    secret: bool
    """Whether the sender has a cluster secret."""


_hello_decoder = msgspec.msgpack.Decoder(Hello)


def secret_bytes(secret: str | bytes | None) -> bytes | None:
    """A cluster secret as bytes; an empty one counts as none."""
    if not secret:
        return None
    return secret.encode() if isinstance(secret, str) else secret


def own_hello(process: str, *, secret: bool) -> Hello:
    """The HELLO of this process."""
    return Hello(
        major=PROTOCOL_MAJOR, minor=PROTOCOL_MINOR, process=process, release=__version__, secret=secret
    )


def checked_hello(payload: bytes) -> Hello:
    """The peer's HELLO. Raises `IncompatiblePeer` for another major version, `ProtocolViolation` for no HELLO."""
    try:
        hello = _hello_decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise ProtocolViolation(f"the peer's HELLO cannot be decoded: {error}") from error
    if hello.major != PROTOCOL_MAJOR:
        raise IncompatiblePeer(
            f"{hello.process!r} (zerohop {hello.release}) speaks protocol {hello.major}.{hello.minor}, this process "
            f"(zerohop {__version__}) speaks {PROTOCOL_MAJOR}.{PROTOCOL_MINOR}: run the same version everywhere",
        )
    return hello


def _mac(secret: bytes, label: bytes, *parts: bytes) -> bytes:
    mac = hmac.new(secret, b"zerohop rpc " + label, hashlib.sha256)
    for part in parts:
        mac.update(len(part).to_bytes(4, "big") + part)
    return mac.digest()


class ServerHandshake:
    """The server's side. `peer` is set once it has been greeted, `done` once it may call."""

    def __init__(self, process: str, secret: bytes | None) -> None:
        self._secret = secret
        self._own = msgspec.msgpack.encode(own_hello(process, secret=secret is not None))
        self._their = b""
        self._nonce = b""
        self.peer: Hello | None = None
        self.done = False

    def receive(self, kind: int, payload: bytes) -> list[bytes]:
        """Takes a frame, returns frames to send. Raises `IncompatiblePeer`, `PeerRejected`, `ProtocolViolation`."""
        if kind == FrameKind.HELLO and self.peer is None:
            return self._on_hello(payload)
        if kind == FrameKind.PROOF and self._nonce and not self.done:
            return self._on_proof(payload)
        raise ProtocolViolation(f"frame of kind {kind} before the handshake was over")

    def _on_hello(self, payload: bytes) -> list[bytes]:
        self.peer, self._their = checked_hello(payload), payload
        answer = [frame(FrameKind.HELLO, 0, self._own)]
        if self._secret is None:
            self.done = True
            return answer
        if not self.peer.secret:
            raise PeerRejected(
                "this cluster has a secret, and the caller has none: configure the cluster's secret"
            )
        self._nonce = secrets.token_bytes(_NONCE_BYTES)
        return [*answer, frame(FrameKind.CHALLENGE, 0, self._nonce)]

    def _on_proof(self, payload: bytes) -> list[bytes]:
        assert self._secret is not None
        if len(payload) != _NONCE_BYTES + _MAC_BYTES:
            raise ProtocolViolation("a proof of the wrong size")
        facts = (self._their, self._own, self._nonce, payload[:_NONCE_BYTES])
        if not hmac.compare_digest(_mac(self._secret, b"client", *facts), payload[_NONCE_BYTES:]):
            raise PeerRejected("the caller's cluster secret is another one than ours")
        self.done = True
        return [frame(FrameKind.PROOF, 0, _mac(self._secret, b"server", *facts))]


class ClientHandshake:
    """The client's side: send `start()`, then feed it frames until `done`."""

    def __init__(self, process: str, secret: bytes | None) -> None:
        self._secret = secret
        self._own = msgspec.msgpack.encode(own_hello(process, secret=secret is not None))
        self._expected = b""
        self._their = b""
        self.peer: Hello | None = None
        self.done = False

    def start(self) -> bytes:
        """The first frame to send."""
        return frame(FrameKind.HELLO, 0, self._own)

    def receive(self, kind: int, payload: bytes) -> list[bytes]:
        """Takes a frame, returns frames to send. Raises what the server answered, or what is wrong with it."""
        if kind == FrameKind.ERROR:
            raise decode_error(payload)
        if kind == FrameKind.HELLO and self.peer is None:
            return self._on_hello(payload)
        if (
            kind == FrameKind.CHALLENGE
            and self.peer is not None
            and self._secret is not None
            and not self._expected
        ):
            return self._on_challenge(payload)
        if kind == FrameKind.PROOF and self._expected and not self.done:
            return self._on_proof(payload)
        raise ProtocolViolation(f"frame of kind {kind} before the handshake was over")

    def _on_hello(self, payload: bytes) -> list[bytes]:
        self.peer, self._their = checked_hello(payload), payload
        if self.peer.secret != (self._secret is not None):
            having, lacking = ("peer", "this process") if self.peer.secret else ("this process", "peer")
            raise PeerRejected(
                f"{having} has a cluster secret and {lacking} has none: configure the same one"
            )
        self.done = self._secret is None
        return []

    def _on_challenge(self, nonce: bytes) -> list[bytes]:
        assert self._secret is not None
        if len(nonce) != _NONCE_BYTES:
            raise ProtocolViolation("a challenge of the wrong size")
        own_nonce = secrets.token_bytes(_NONCE_BYTES)
        facts = (self._own, self._their, nonce, own_nonce)
        self._expected = _mac(self._secret, b"server", *facts)
        return [frame(FrameKind.PROOF, 0, own_nonce + _mac(self._secret, b"client", *facts))]

    def _on_proof(self, payload: bytes) -> list[bytes]:
        if not hmac.compare_digest(payload, self._expected):
            raise PeerRejected("the server's cluster secret is another one than ours")
        self.done = True
        return []
