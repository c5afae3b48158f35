"""The worker's place in the cluster: registration, heartbeats, and telling the master what is persisted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Protocol, TypeVar

from zerohop.errors import (
    ConfigError,
    ContentNotFound,
    IncompatiblePeer,
    PeerRejected,
    SessionFenced,
    ZerohopError,
)
from zerohop.model import Segment, TierUse
from zerohop.rpc.master_api import (
    AddHolders,
    ClusterView,
    GetClusterView,
    ListUnpersisted,
    MarkPersisted,
    RegisterWorker,
    UnregisterWorker,
    WorkerHeartbeat,
)
from zerohop.rpc.message import Request
from zerohop_worker.contents import Contents
from zerohop_worker.understore.interface import UnderStore

__all__ = ["MasterCalls", "Membership"]

_log = logging.getLogger(__name__)
R = TypeVar("R")

_CALL_TIMEOUT_S = 5.0
_FIRST_PAUSE_S = 0.1
_LAST_PAUSE_S = 5.0
_MARK_BATCH = 500
_RECONCILE_ROUNDS = 10
"""Heartbeat intervals between two looks at what the master believes to be unpersisted. A commit may arrive there
after the content was persisted and reported: then nobody else would ever tell."""

_HOPELESS = (ConfigError, IncompatiblePeer, PeerRejected)


class MasterCalls(Protocol):
    """The way to the master."""

    async def call(self, request: Request[R], *, timeout_s: float) -> R: ...


class Membership:
    """`registration` is sent as it is at each registration; `tiers()` gives their present use.
    `on_view` is told the master's view of the cluster with each heartbeat, and before the first write.
    """

    def __init__(
        self,
        master: MasterCalls,
        registration: RegisterWorker,
        contents: Contents,
        under_store: UnderStore,
        tiers: Callable[[], tuple[TierUse, ...]],
        on_view: Callable[[ClusterView], None] = lambda _view: None,
    ) -> None:
        self._master = master
        self._registration = registration
        self._contents = contents
        self._under_store = under_store
        self._tiers = tiers
        self._on_view = on_view
        self._unmarked: set[bytes] = set()  # persisted, and the master was not told yet
        self._heartbeat_s = 1.0
        self.on_session: Callable[[], None] = lambda: None
        """Called when a session begins: between two of them the master tells this worker nothing."""
        self._missing = 0  # contents that the last look found nowhere
        self.draining = False
        self.registered = asyncio.Event()
        self.heard_s = 0.0
        """When the master answered last, on the monotonic clock."""
        self.lost_after_s = 0.0

    def persisted(self, contents: Sequence[bytes]) -> None:
        """The master is told with the next heartbeat at the latest."""
        self._unmarked.update(contents)

    async def run(self) -> None:
        """Registers, then sends heartbeats, for ever. A master that does not answer is asked again and again.

        Raises what no repetition can heal: ConfigError (another under-store), IncompatiblePeer, PeerRejected.
        """
        telling = asyncio.create_task(self._tell())
        try:
            await self._beat_for_ever()
        finally:
            telling.cancel()
            await asyncio.wait((telling,))

    async def _beat_for_ever(self) -> None:
        failures = 0
        while True:
            try:
                await self._beat()
                failures = 0
                pause_s = self._heartbeat_s
            except _HOPELESS:
                raise
            except SessionFenced:
                _log.warning("the master has given this worker up, or is a new one: registering anew")
                self.registered.clear()
                pause_s = 0.0 if failures == 0 else _FIRST_PAUSE_S
                failures += 1
            except ZerohopError as error:
                pause_s = min(_FIRST_PAUSE_S * 2.0 ** min(failures, 10), _LAST_PAUSE_S)
                if failures % 10 == 0:
                    _log.warning("the master does not take our heartbeat: %s", error)
                failures += 1
            await asyncio.sleep(pause_s)

    async def _beat(self) -> None:
        if not self.registered.is_set():
            await self._register()
            return
        request = WorkerHeartbeat(
            worker_id=self._registration.worker_id,
            session=self._contents.session,
            tiers=self._tiers(),
            draining=self.draining,
        )
        await self._master.call(request, timeout_s=_CALL_TIMEOUT_S)
        self.heard_s = monotonic()
        await self.look()

    async def look(self) -> None:
        """Takes the master's view of the cluster now, as each heartbeat does."""
        self._on_view(await self._master.call(GetClusterView(), timeout_s=_CALL_TIMEOUT_S))

    async def retire(self) -> None:
        """The worker is on its way out: returns when everyone who writes has had time to hear of it."""
        self.draining = True
        if not self.registered.is_set():
            return
        try:
            await self._beat()
        except ZerohopError as error:
            _log.info("the master does not hear that this worker is draining: %s", error)
            return
        await asyncio.sleep(self._heartbeat_s * 1.1)

    async def _tell(self) -> None:
        """What is persisted. Apart from the heartbeats, which a slow under-store must not hold up."""
        rounds = 0
        while True:
            await self.registered.wait()
            try:
                await self.mark()
                if rounds % _RECONCILE_ROUNDS == 0:
                    await self._reconcile()
                rounds += 1
            except ZerohopError as error:
                _log.info("the master is told later what is persisted: %s", error)
            await asyncio.sleep(self._heartbeat_s)

    async def _register(self) -> None:
        self._registration.tiers = self._tiers()
        answer = await self._master.call(self._registration, timeout_s=_CALL_TIMEOUT_S)
        self._heartbeat_s = answer.settings.heartbeat_s
        self.lost_after_s, self.heard_s = answer.settings.lost_after_s, monotonic()
        await self.look()  # before the first write: it says how many have to hold an unpersisted content
        self._contents.begin_session(answer.session, answer.settings.block_size_bytes)
        self.on_session()
        self.registered.set()
        _log.info("registered, session %s", answer.session.hex())

    async def mark(self) -> None:
        """Tells the master what has been persisted."""
        while self._unmarked:
            batch = sorted(self._unmarked)[:_MARK_BATCH]
            await self._master.call(
                MarkPersisted(
                    worker_id=self._registration.worker_id,
                    session=self._contents.session,
                    contents=tuple(batch),
                ),
                timeout_s=_CALL_TIMEOUT_S,
            )
            self._unmarked.difference_update(batch)

    async def tell_holders(self, content: bytes, holders: tuple[str, ...]) -> None:
        """Tells the master who holds an unpersisted content, too."""
        request = AddHolders(
            worker_id=self._registration.worker_id,
            session=self._contents.session,
            content=content,
            holders=holders,
        )
        await self._master.call(request, timeout_s=_CALL_TIMEOUT_S)

    async def _reconcile(self) -> None:
        after = b""
        missing = 0
        while True:
            page = await self._master.call(
                ListUnpersisted(worker_id=self._registration.worker_id, after=after),
                timeout_s=_CALL_TIMEOUT_S,
            )
            for segment in page.contents:
                if segment.content not in self._contents.held and not await self._is_persisted(segment):
                    missing += 1
            after = page.next_after
            if not after:
                break
        if missing > self._missing:
            _log.error(
                "%d contents are lost: this worker was their only holder and has them no more", missing
            )
        self._missing = missing
        await self.mark()

    async def _is_persisted(self, segment: Segment) -> bool:
        try:
            stored = await self._under_store.stat(segment.content)
        except ContentNotFound:
            return False
        if stored.length == segment.length:
            self._unmarked.add(segment.content)
        return stored.length == segment.length

    async def leave(self) -> None:
        """An orderly end: tells the rest and unregisters. Not reaching the master is no obstacle."""
        if not self.registered.is_set():
            return
        try:
            await self.mark()
            await self._master.call(
                UnregisterWorker(worker_id=self._registration.worker_id, session=self._contents.session),
                timeout_s=_CALL_TIMEOUT_S,
            )
        except ZerohopError as error:
            _log.warning("cannot unregister: %s", error)
