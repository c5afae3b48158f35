"""The row that says what the whole store is: the version of its layout, and the under-store behind it."""

from __future__ import annotations

from typing import Final

from zerohop.errors import FormatTooNew
from zerohop_master import keys
from zerohop_master.kv.interface import KeyValueStore
from zerohop_master.rows import STORE_FACTS, StoreFacts
from zerohop_master.transaction import Transaction, commit_internally

__all__ = ["FORMAT_VERSION", "prepare_store"]

FORMAT_VERSION: Final = 1
"""Version of the layout of keys and values. A version that can not be read by older ones counts it up."""


async def prepare_store(store: KeyValueStore, now_ms: int) -> StoreFacts:
    """Sets up a new store, or checks an existing one. Raises FormatTooNew."""

    async def body(transaction: Transaction) -> StoreFacts:
        row = await transaction.get_one(keys.STORE_FACTS)
        if row is not None:
            return STORE_FACTS.decode(row.value)
        facts = StoreFacts(format_version=FORMAT_VERSION, created_ms=now_ms)
        transaction.put(keys.STORE_FACTS, STORE_FACTS.encode(facts))
        return facts

    facts = await commit_internally(store, body)
    if facts.format_version > FORMAT_VERSION:
        raise FormatTooNew(
            f"the metadata has format {facts.format_version}, this version of zerohop reads up to "
            f"{FORMAT_VERSION}: run a newer version, or choose another data folder"
        )
    return facts
