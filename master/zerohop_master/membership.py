"""Which workers belong to the cluster now: a state machine without I/O, told what was heard and what time it is.

    unknown --registered--> live --silent for lost_after_s--> lost --registered--> live (a new session)
                             |  --good-bye--> left --registered--> live

A worker that is not live can be forgotten: it is unknown then.

A restarted master starts with every registration of the store as live and just heard: so it declares nobody lost
before a whole detection interval has passed, and a heartbeat of the session that is registered is all that a worker
needs to stay. Time is that of a monotonic clock, in seconds; `last_heard_ms` is told to people only.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from zerohop.model import TierUse, WorkerInfo
from zerohop_master.rows import NodeRow

__all__ = ["Membership"]


@dataclass(slots=True)
class _Member:
    node: NodeRow
    heard_s: float
    heard_ms: int
    live: bool
    draining: bool = False
    tiers: tuple[TierUse, ...] = ()


class Membership:
    """All methods are plain decisions; whoever calls them does what they answer.

    `view_version` grows whenever the workers that proxies may use change.
    """

    def __init__(self, lost_after_s: float, *, first_version: int = 1) -> None:
        self.view_version = first_version
        self._lost_after_s = lost_after_s
        self._members: dict[str, _Member] = {}  # by worker id; every worker of the store, lost ones too

    def adopt(self, node: NodeRow, now_s: float, now_ms: int) -> None:
        """A registration found in the store, at a start of the master or of another one."""
        self._members[node.worker_id] = _Member(node, now_s, now_ms, live=not node.left)
        self.view_version += 1

    def registered(self, node: NodeRow, tiers: tuple[TierUse, ...], now_s: float, now_ms: int) -> None:
        """A worker has a new session."""
        self._members[node.worker_id] = _Member(node, now_s, now_ms, live=True, tiers=tiers)
        self.view_version += 1

    def knows(self, worker_id: str, session: bytes) -> bool:
        """Whether this is a session that was registered last, whatever became of it."""
        member = self._members.get(worker_id)
        return member is not None and member.node.session == session

    def heard(
        self,
        worker_id: str,
        session: bytes,
        tiers: tuple[TierUse, ...],
        now_s: float,
        now_ms: int,
        *,
        draining: bool = False,
    ) -> bool:
        """A heartbeat. False: the worker must register anew, because it was given up or has another session."""
        member = self._members.get(worker_id)
        if member is None or member.node.session != session or not member.live:
            return False
        if member.draining != draining:
            self.view_version += 1
        member.heard_s, member.heard_ms = now_s, now_ms
        member.tiers, member.draining = tiers, draining
        return True

    def left(self, worker_id: str, session: bytes) -> None:
        """An orderly good-bye; one of an older session says nothing."""
        member = self._members.get(worker_id)
        if member is not None and member.node.session == session:
            self.view_version += member.live
            member.live = False
            member.node = msgspec.structs.replace(member.node, left=True)

    def forget(self, worker_id: str) -> None:
        """It is not expected back; should it come all the same, it is a new one."""
        if self._members.pop(worker_id, None) is not None:
            self.view_version += 1

    def is_live(self, worker_id: str) -> bool:
        """Whether proxies may use it."""
        member = self._members.get(worker_id)
        return member is not None and member.live

    def is_member(self, worker_id: str) -> bool:
        """Whether it is live, or lost and expected back."""
        member = self._members.get(worker_id)
        return member is not None and _is_expected(member)

    def expire(self, now_s: float) -> list[str]:
        """Gives up those that were silent for too long; answers their ids."""
        lost = [
            worker_id
            for worker_id, member in self._members.items()
            if member.live and now_s - member.heard_s > self._lost_after_s
        ]
        for worker_id in lost:
            self._members[worker_id].live = False
        self.view_version += bool(lost)
        return lost

    def workers(self) -> tuple[WorkerInfo, ...]:
        """All workers, lost ones too, by id."""
        return tuple(_info(self._members[worker_id]) for worker_id in sorted(self._members))

    def count(self) -> int:
        """How many workers are live or lost, and so expected back; those that said good-bye are not."""
        return sum(map(_is_expected, self._members.values()))

    def live(self) -> tuple[WorkerInfo, ...]:
        """The workers that proxies may use, by id."""
        return tuple(worker for worker in self.workers() if worker.live)


def _is_expected(member: _Member) -> bool:
    return member.live or not member.node.left


def _info(member: _Member) -> WorkerInfo:
    node = member.node
    return WorkerInfo(
        worker_id=node.worker_id,
        session=node.session,
        host_id=node.host_id,
        address=node.address,
        unix_address=node.unix_address,
        descriptor_path=node.descriptor_path,
        version=node.version,
        started_ms=node.registered_ms,
        live=member.live,
        last_heard_ms=member.heard_ms,
        tiers=member.tiers,
        draining=member.draining,
        admin_address=node.admin_address,
    )
