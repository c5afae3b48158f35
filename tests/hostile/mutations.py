"""Hostile exchanges made of others: bytes changed, cut, doubled, spliced with those of another case."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Final

from tests.hostile.case import Case, Then
from tests.hostile.corpus import CORPUS

__all__ = ["CASES", "mutated", "unknown"]

CASES: Final = [case for cases in CORPUS.values() for case in cases]
_MAX_BYTES: Final = 64 * 1024
_SPICE: Final = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"%00",
    b"%2F",
    b"/../",
    b"\xff",
    b"0\r\n\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"Range: bytes=0-\r\n",
    b"GET /hostile/present HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"-1",
    b"99999999999999999999",
    b"<",
    b"&x;",
)


def unknown(name: str, then: str = Then.HALF_CLOSE) -> Case:
    """An exchange of which only is known what must not come: a 5xx (but 501), a hang, bytes that are no answer."""
    return Case(name, (), frozenset(), then)


def mutated(wire: bytes, other: bytes, dice: random.Random) -> list[bytes]:
    """What to send: `wire` after one to four changes, in one to three segments."""
    data = bytearray(wire[:_MAX_BYTES])
    for _ in range(dice.randint(1, 4)):
        _change(data, other[:_MAX_BYTES], dice)
    cuts = sorted(dice.randint(0, len(data)) for _ in range(dice.randint(0, 2)))
    edges = [0, *cuts, len(data)]
    return [bytes(data[start:stop]) for start, stop in pairwise(edges)]


def _change(data: bytearray, other: bytes, dice: random.Random) -> None:
    at = dice.randint(0, len(data))
    span = dice.randint(0, min(64, len(data) - at))
    match dice.randint(0, 6):
        case 0:
            data[at : at + span] = b""
        case 1:
            data[at:at] = dice.choice(_SPICE)
        case 2:
            data[at : at + span] = dice.choice(_SPICE)
        case 3:
            data[at:at] = data[at : at + span] * dice.randint(1, 50)
        case 4:
            data[at:] = other[dice.randint(0, len(other)) :]
        case 5:
            del data[at:]
        case _:
            if at < len(data):
                data[at] ^= 1 << dice.randint(0, 7)
