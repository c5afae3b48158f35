"""Rules: what holds for a key or for all below a prefix, until it is taken back. A row each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from zerohop.errors import InvalidRequest
from zerohop_master import keys
from zerohop_master.jobs.options import copies_of, lifetime_of
from zerohop_master.namespace import Namespace
from zerohop_master.rows import RULE, RuleRow
from zerohop_master.transaction import Transaction

__all__ = ["all_rules", "applies", "change_rules", "rules_of"]

_LETTERS: Final = {"pin": b"p", "ttl": b"t", "copies": b"c"}
_MAX_RULES: Final = 1000
"""Of one bucket. They are read whole, and each costs a walk now and then."""

_MAX_ROWS: Final = 100_000


def applies(rule: RuleRow, key: str) -> bool:
    """Whether the rule is about the key."""
    return key.startswith(rule.key) if rule.recursive else key == rule.key


async def rules_of(namespace: Namespace, bucket_id: bytes) -> list[RuleRow]:
    """The rules of a bucket."""
    start, end = keys.span(keys.rules_of(bucket_id))
    rows = await namespace.store.scan(start, end, limit=_MAX_RULES)
    return [RULE.decode(row.value) for row in rows]


async def all_rules(namespace: Namespace) -> Mapping[bytes, list[RuleRow]]:
    """The rules of all buckets, by id of the bucket; also of buckets that are gone."""
    found: dict[bytes, list[RuleRow]] = defaultdict(list)
    start, end = keys.span(keys.RULES)
    for row in await namespace.store.scan(start, end, limit=_MAX_ROWS):
        found[row.key[1:9]].append(RULE.decode(row.value))
    return found


async def change_rules(
    transaction: Transaction,
    bucket_id: bytes,
    kind: str,
    key: str,
    options: Mapping[str, str],
    *,
    recursive: bool,
    now_ms: int,
) -> None:
    """What a job of that kind means for the rules. Raises InvalidRequest when there are too many, and for a key that
    is to be released while a whole prefix is pinned.
    """
    if kind == "pin":
        await _put(transaction, bucket_id, RuleRow(kind="pin", key=key, recursive=recursive, since_ms=now_ms))
    elif kind == "unpin":
        await _unpin(transaction, bucket_id, key, recursive=recursive)
    elif kind == "set_ttl":
        lifetime = lifetime_of(options)
        rule = RuleRow(
            kind="ttl",
            key=key,
            recursive=recursive,
            since_ms=now_ms,
            ttl_s=lifetime.ttl_s,
            action=lifetime.action,
        )
        await _put(transaction, bucket_id, rule, wanted=lifetime.ttl_s > 0)
    elif kind == "set_replication":
        copies = copies_of(options)
        rule = RuleRow(
            kind="copies",
            key=key,
            recursive=recursive,
            since_ms=now_ms,
            min_copies=copies.least,
            max_copies=copies.most,
        )
        await _put(transaction, bucket_id, rule, wanted=copies.least > 0 or copies.most > 0)


async def _put(transaction: Transaction, bucket_id: bytes, rule: RuleRow, *, wanted: bool = True) -> None:
    row_key = _row_key(bucket_id, rule.kind, rule.key, recursive=rule.recursive)
    row = await transaction.get_one(row_key)
    if wanted:
        if row is None and len(await _rows(transaction, bucket_id)) >= _MAX_RULES:
            raise InvalidRequest(f"a bucket has at most {_MAX_RULES} rules: make one for a prefix")
        transaction.put(row_key, RULE.encode(rule))
    elif row is not None:
        transaction.delete(row_key)


async def _unpin(transaction: Transaction, bucket_id: bytes, key: str, *, recursive: bool) -> None:
    row_key = _row_key(bucket_id, "pin", key, recursive=recursive)
    pins = [(name, rule) for name, rule in await _rows(transaction, bucket_id) if rule.kind == "pin"]
    for name, rule in pins:
        is_below = rule.key.startswith(key) if recursive else name == row_key
        if is_below:
            transaction.delete(name)
        elif rule.recursive and key.startswith(rule.key):
            raise InvalidRequest(f"all below {rule.key!r} is pinned: release that")


async def _rows(transaction: Transaction, bucket_id: bytes) -> list[tuple[bytes, RuleRow]]:
    start, end = keys.span(keys.rules_of(bucket_id))
    rows = await transaction.scan(start, end, limit=_MAX_RULES)
    for row in rows:
        transaction.require(row.key, row.version)
    return [(row.key, RULE.decode(row.value)) for row in rows]


def _row_key(bucket_id: bytes, kind: str, key: str, *, recursive: bool) -> bytes:
    return keys.rule(bucket_id, _LETTERS[kind] + (b"r" if recursive else b"o"), key)
