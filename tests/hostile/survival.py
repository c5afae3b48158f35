"""What any request has to be survived with: no 5xx, no hang, an end."""

from __future__ import annotations

import random
import re
from typing import Final

from tests.hostile.case import Then
from tests.hostile.exchange import Client
from tests.hostile.mutations import CASES, mutated
from tests.hostile.signer import Signer

__all__ = ["ENDS", "mutant", "survives"]

ENDS: Final = (Then.HALF_CLOSE, Then.HALF_CLOSE, Then.HALF_CLOSE, Then.LEAVE, Then.RESET)
"""How mutants end, in turn."""

# Not taken apart: nobody knows which of the answers are to a HEAD. 501 is an answer.
_SERVER_ERROR: Final = re.compile(rb"HTTP/1\.1 5(?!01)\d\d [A-Z][a-z]+")


def survives(port: int, wire: list[bytes], then: str = Then.HALF_CLOSE) -> str:
    """What is wrong, "" for nothing: whatever was sent, no 5xx comes back (501 is an answer), and an end does."""
    try:
        with Client(port) as client:
            sending = client.send_beside(wire)
            if then != Then.HALF_CLOSE:
                sending.join()
                if then == Then.RESET:
                    client.reset()
                return ""
            sending.join()
            client.end_sending()
            if failed := _SERVER_ERROR.search(client.rest()):
                return f"{failed[0]!r} to {wire!r:.3000}"
    except AssertionError as error:
        return f"{error}\n{wire!r:.3000}"
    return ""


def mutant(signer: Signer, seed: int) -> list[bytes]:
    """What to send: two cases of the corpus, changed and spliced."""
    dice = random.Random(seed)
    first, second = (_harmless(b"".join(dice.choice(CASES).wire(signer))) for _ in range(2))
    return mutated(first, second, dice)


def _harmless(wire: bytes) -> bytes:
    """A mutant may become a proper request: it writes where that is nobody's loss."""
    return wire.replace(b"/hostile/partial/", b"/hostile/mutants/").replace(
        b"/hostile/large", b"/hostile/mutants"
    )
