"""Many objects fast: the real rows through the real commit path, many keys to a commit."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from tests.namespace.harness import Harness

from zerohop.model import ANONYMOUS, ObjectRecord
from zerohop_master.contents import References
from zerohop_master.objects import replace_object
from zerohop_master.transaction import Transaction, commit_internally

KEYS_PER_COMMIT = 2000


async def seed_objects(harness: Harness, object_keys: Iterable[str], bucket: str = "b") -> None:
    """Puts an empty object under each key."""
    namespace = harness.namespace
    left = iter(object_keys)
    while some := list(islice(left, KEYS_PER_COMMIT)):

        async def body(transaction: Transaction, some: list[str] = some) -> None:
            found, rows = await namespace.bucket_and_rows(transaction, ANONYMOUS, bucket, some)
            references = References(transaction, namespace.now_ms())
            for key, row in zip(some, rows, strict=True):
                record = ObjectRecord(
                    key=key, size_bytes=0, etag="d41d8cd98f00b204e9800998ecf8427e", modified_ms=0
                )
                replace_object(namespace, transaction, references, found, record, row)
            await references.settle()

        await commit_internally(namespace.store, body)
