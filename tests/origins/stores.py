"""What tests do with a store again and again."""

from __future__ import annotations

from collections.abc import Mapping

from zerohop_worker.origins.interface import Attributes, OriginObject, OriginStore

PLAIN = Attributes({}, {})


def attributes(headers: Mapping[str, str], metadata: Mapping[str, str]) -> Attributes:
    return Attributes(headers, metadata)


async def put(origin: OriginStore, key: str, body: bytes) -> OriginObject:
    return await origin.put(key, [body], PLAIN)


async def read(origin: OriginStore, key: str, offset: int = 0, length: int | None = None) -> bytes:
    opened = await origin.open(key, offset, length)
    try:
        return b"".join([piece async for piece in opened.pieces()])
    finally:
        await opened.close()


async def walk(origin: OriginStore, prefix: str, delimiter: str, limit: int) -> list[str]:
    """All names of a listing, page by page, each page checked for order and size."""
    names: list[str] = []
    after = ""
    while True:
        page = await origin.list(prefix, delimiter, after, limit)
        shown = sorted([*(one.key for one in page.objects), *page.prefixes])
        assert len(shown) <= limit
        assert [one.key for one in page.objects] == sorted(one.key for one in page.objects)
        assert list(page.prefixes) == sorted(page.prefixes)
        assert all(name > after for name in shown)
        names += shown
        if not page.next_after:
            return names
        assert page.next_after == shown[-1]
        after = page.next_after


async def names_of(origin: OriginStore) -> list[str]:
    return await walk(origin, "", "", 1000)
