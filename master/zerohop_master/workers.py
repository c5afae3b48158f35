"""The calls of workers: register, heartbeat, good-bye."""

from __future__ import annotations

import logging
import os
from typing import Final

import msgspec

from zerohop.clock import Clock
from zerohop.errors import ConfigError, InvalidRequest, SessionFenced
from zerohop.rpc.master_api import (
    Empty,
    ForgetWorker,
    RegisterWorker,
    UnregisterWorker,
    WorkerForgotten,
    WorkerHeartbeat,
    WorkerRegistered,
)
from zerohop_master import keys
from zerohop_master.forgetting import forget_worker
from zerohop_master.membership import Membership
from zerohop_master.namespace import Namespace
from zerohop_master.rows import NODE, STORE_FACTS, NodeRow
from zerohop_master.transaction import Transaction, commit_internally

__all__ = ["Workers"]

_log = logging.getLogger(__name__)
_MAX_WORKERS: Final = 10_000


class Workers:
    """Membership with its rows: an `n` row names the session of each worker, and changes at registration only
    (and at a good-bye, which keeps the session). Commits of contents depend on it; that is how a session is fenced.
    """

    def __init__(self, namespace: Namespace, clock: Clock) -> None:
        self._namespace = namespace
        self._clock = clock
        # Starts at the clock, so that no two lives of a master give one number to two views.
        self.membership = Membership(namespace.settings.lost_after_s, first_version=namespace.now_ms())

    async def load(self) -> None:
        """Adopts the registrations that the store holds."""
        start, end = keys.span(keys.NODES)
        for row in await self._namespace.store.scan(start, end, limit=_MAX_WORKERS):
            self.membership.adopt(NODE.decode(row.value), self._clock.monotonic_s(), self._namespace.now_ms())

    async def register(self, request: RegisterWorker) -> WorkerRegistered:
        """See `RegisterWorker`."""
        if not request.worker_id or "\0" in request.worker_id:
            raise InvalidRequest(f"{request.worker_id!r} is no worker id")
        node = NodeRow(
            worker_id=request.worker_id,
            session=_new_session(),
            host_id=request.host_id,
            address=request.address,
            unix_address=request.unix_address,
            descriptor_path=request.descriptor_path,
            version=request.version,
            registered_ms=self._namespace.now_ms(),
            admin_address=request.admin_address,
        )

        async def body(transaction: Transaction) -> None:
            await _check_under_store(transaction, request.under_store_id)
            await transaction.get(keys.node(request.worker_id))
            transaction.put(keys.node(request.worker_id), NODE.encode(node))

        await commit_internally(self._namespace.store, body)
        now_s = self._clock.monotonic_s()
        self.membership.registered(node, request.tiers, now_s, self._namespace.now_ms())
        _log.info("worker %s has registered (session %s)", request.worker_id, node.session.hex())
        return WorkerRegistered(session=node.session, settings=self._namespace.settings)

    async def heartbeat(self, request: WorkerHeartbeat) -> Empty:
        """See `WorkerHeartbeat`. A registration at another master is looked up once."""
        if not self.membership.knows(request.worker_id, request.session):
            (row,) = await self._namespace.store.get([keys.node(request.worker_id)])
            if row is not None and (node := NODE.decode(row.value)).session == request.session:
                self.membership.adopt(node, self._clock.monotonic_s(), self._namespace.now_ms())
        heard = self.membership.heard(
            request.worker_id,
            request.session,
            request.tiers,
            self._clock.monotonic_s(),
            self._namespace.now_ms(),
            draining=request.draining,
        )
        if not heard:
            raise SessionFenced(f"worker {request.worker_id!r} must register anew")
        return Empty()

    async def unregister(self, request: UnregisterWorker) -> Empty:
        """See `UnregisterWorker`. What the worker wrote may still be committed: it is in the under-store."""

        async def body(transaction: Transaction) -> None:
            row = await transaction.get_one(keys.node(request.worker_id))
            if row is not None and (node := NODE.decode(row.value)).session == request.session:
                transaction.put(row.key, NODE.encode(msgspec.structs.replace(node, left=True)))

        await commit_internally(self._namespace.store, body)
        self.membership.left(request.worker_id, request.session)
        _log.info("worker %s has left", request.worker_id)
        return Empty()

    async def forget(self, request: ForgetWorker) -> WorkerForgotten:
        """See `ForgetWorker`."""
        return await forget_worker(self._namespace, self.membership, request)

    def expire(self) -> list[str]:
        """Gives up workers that were silent for too long; answers their ids."""
        lost = self.membership.expire(self._clock.monotonic_s())
        for worker_id in lost:
            _log.warning("worker %s is lost: nothing was heard of it for too long", worker_id)
        return lost


def _new_session() -> bytes:
    """8 bytes, of which the first is not the mark of mounted contents (see `zerohop.model.mounted_content_id`)."""
    while (session := os.urandom(8))[0] == 0xFF:
        pass
    return session


async def _check_under_store(transaction: Transaction, under_store_id: str) -> None:
    """The first worker decides which under-store the cluster has. Raises ConfigError for any other."""
    row = await transaction.get_one(keys.STORE_FACTS)
    if row is None:
        raise ConfigError("the metadata store has not been set up")
    facts = STORE_FACTS.decode(row.value)
    if not facts.under_store_id:
        transaction.put(
            row.key, STORE_FACTS.encode(msgspec.structs.replace(facts, under_store_id=under_store_id))
        )
    elif facts.under_store_id != under_store_id:
        raise ConfigError(
            f"this cluster keeps its contents in under-store {facts.under_store_id!r}, "
            f"the worker's is {under_store_id!r}: point it at the cluster's under-store"
        )
