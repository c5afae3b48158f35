from __future__ import annotations

from zerohop_master.membership import Membership
from zerohop_master.rows import NodeRow


def node(worker_id: str = "w1", session: bytes = b"session1", *, left: bool = False) -> NodeRow:
    return NodeRow(
        worker_id=worker_id,
        session=session,
        host_id="h",
        address="a",
        unix_address="",
        descriptor_path="",
        version="1",
        registered_ms=1,
        left=left,
    )


def test_a_silent_worker_is_lost_and_must_register_anew() -> None:
    membership = Membership(5.0)
    membership.registered(node(), (), 0.0, 0)
    assert membership.heard("w1", b"session1", (), 4.0, 4000)
    assert membership.expire(9.0) == []
    assert membership.expire(9.1) == ["w1"]
    assert membership.expire(9.2) == []
    assert (membership.live(), [worker.live for worker in membership.workers()]) == ((), [False])
    assert not membership.heard("w1", b"session1", (), 9.3, 9300)
    membership.registered(node(session=b"session2"), (), 10.0, 10_000)
    assert [worker.session for worker in membership.live()] == [b"session2"]
    assert not membership.heard("w1", b"session1", (), 10.0, 10_000)


def test_a_restarted_master_gives_nobody_up_before_a_whole_interval() -> None:
    membership = Membership(5.0)
    membership.adopt(node(), 100.0, 0)
    membership.adopt(node("w2", left=True), 100.0, 0)
    assert [worker.worker_id for worker in membership.live()] == ["w1"]
    assert membership.expire(105.0) == []
    assert membership.heard("w1", b"session1", (), 105.0, 0)
    assert membership.expire(106.0) == []


def test_the_version_of_the_view_grows_with_each_change_of_it() -> None:
    membership = Membership(5.0, first_version=7)
    versions = [membership.view_version]
    membership.registered(node(), (), 0.0, 0)
    versions.append(membership.view_version)
    membership.heard("w1", b"session1", (), 1.0, 0, draining=True)
    versions.append(membership.view_version)
    assert membership.live()[0].draining
    membership.heard("w1", b"session1", (), 2.0, 0, draining=True)
    assert membership.view_version == versions[-1]
    membership.left("w1", b"another1")
    assert membership.view_version == versions[-1]
    membership.left("w1", b"session1")
    versions.append(membership.view_version)
    assert versions == sorted(set(versions))
    assert not membership.heard("w1", b"session1", (), 3.0, 0)


def test_lost_workers_belong_to_the_cluster_until_they_say_good_bye() -> None:
    membership = Membership(5.0)
    for worker_id in ("w1", "w2", "w3"):
        membership.registered(node(worker_id), (), 0.0, 0)
    membership.left("w3", b"session1")
    membership.heard("w1", b"session1", (), 9.0, 9000)
    assert membership.expire(10.0) == ["w2"]
    assert ([worker.worker_id for worker in membership.live()], membership.count()) == (["w1"], 2)
    membership.left("w2", b"session1")
    assert membership.count() == 1


def test_a_forgotten_worker_is_waited_for_no_more_and_may_come_back_as_a_new_one() -> None:
    membership = Membership(5.0)
    membership.registered(node(), (), 0.0, 0)
    membership.registered(node("w2"), (), 0.0, 0)
    membership.heard("w2", b"session1", (), 9.0, 9000)
    assert membership.expire(9.0) == ["w1"]
    assert (membership.is_live("w1"), membership.is_member("w1"), membership.count()) == (False, True, 2)
    before = membership.view_version
    membership.forget("w1")
    assert (membership.is_member("w1"), membership.count()) == (False, 1)
    assert membership.view_version > before
    assert not membership.heard("w1", b"session1", (), 9.1, 9100)
    membership.forget("w1")
    membership.registered(node(session=b"session2"), (), 10.0, 10_000)
    assert (membership.is_live("w1"), membership.count()) == (True, 2)
