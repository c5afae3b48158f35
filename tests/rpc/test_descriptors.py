"""Descriptors lent between processes: they arrive with their answer, and none leaks."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.rpc.messages import (
    Answer,
    GiveBack,
    OpenFile,
    OpenFileInTask,
    Unheard,
    open_file,
    open_file_in_task,
)

from zerohop.errors import (
    ConfigError,
    Internal,
    OutcomeUnknown,
    ProtocolViolation,
    TooLarge,
    UnknownOperation,
    ZerohopError,
)
from zerohop.rpc import handshake
from zerohop.rpc.descriptors import DescriptorClient, DescriptorServer, Holder, Lent, close_descriptors
from zerohop.rpc.frames import FrameKind
from zerohop.rpc.message import encode
from zerohop.rpc.packets import PacketSocket, packet

Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


def open_now() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def file(folder: Path) -> str:
    path = folder / "block"
    path.write_bytes(b"0123456789")
    return str(path)


class Lender:
    """A server with what its callbacks saw, and a client."""

    def __init__(self, folder: Path) -> None:
        self.path = f"{folder}/fd.sock"
        self.events: list[str] = []
        self.returned: list[GiveBack] = []
        self.server = DescriptorServer(
            self.path,
            name="worker",
            on_connect=lambda holder: self.events.append(f"+{holder.peer.process}"),
            on_lost=lambda holder: self.events.append(f"-{holder.peer.process}"),
        )
        self.server.register(OpenFile, open_file)
        self.server.register(OpenFileInTask, open_file_in_task)
        self.server.register_notice(GiveBack, lambda notice, _holder: self.returned.append(notice))
        self.asked: list[GiveBack] = []
        self.client = DescriptorClient(self.path, name="proxy", on_lost=lambda: self.events.append("lost"))
        self.client.register_notice(GiveBack, self.asked.append)


@pytest.fixture
async def lender(folder: Path) -> AsyncIterator[Lender]:
    made = Lender(folder)
    await made.server.listen()
    yield made
    await made.client.close()
    await made.server.close()


async def test_descriptors_come_with_their_answer(lender: Lender, file: str) -> None:
    before = open_now()
    for request in (OpenFile(file), OpenFileInTask(file)):
        answer, descriptors = await lender.client.call(request)
        assert answer.text == "opened"
        (descriptor,) = descriptors
        assert os.pread(descriptor, 100, 0) == b"0123456789"
        assert fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        close_descriptors(descriptors)
    assert open_now() <= before + 2  # the two ends of the connection


async def test_pipelined_calls_keep_their_own(lender: Lender, folder: Path) -> None:
    for number in range(50):
        (folder / str(number)).write_text(str(number))
    calls = (
        lender.client.call((OpenFile, OpenFileInTask)[number % 2](f"{folder}/{number}"))
        for number in range(50)
    )
    for number, (_, descriptors) in enumerate(await asyncio.gather(*calls)):
        assert os.pread(descriptors[0], 10, 0) == str(number).encode()
        close_descriptors(descriptors)


async def test_many_descriptors_travel_in_one_answer(lender: Lender, file: str) -> None:
    answer, descriptors = await lender.client.call(OpenFile(file, count=250))
    assert answer.number == len(set(descriptors)) == 250
    close_descriptors(descriptors)


@pytest.mark.parametrize("in_task", [False, True])
async def test_the_lender_hears_of_an_answer_that_could_not_be_sent(
    folder: Path, file: str, in_task: bool
) -> None:
    unsent: list[tuple[str, int]] = []
    kind: Any = OpenFileInTask if in_task else OpenFile

    def lend(request: Any, _holder: Holder) -> Lent:
        return Answer("x" * 100_000), [os.open(request.path, os.O_RDONLY)]

    async def lend_in_task(request: Any, holder: Holder) -> Lent:
        return lend(request, holder)

    server = DescriptorServer(f"{folder}/fd.sock", name="worker")
    server.register(
        kind,
        lend_in_task if in_task else lend,
        unsent=lambda request, answer, _holder: unsent.append((request.path, len(answer.text))),
    )
    await server.listen()
    client = DescriptorClient(f"{folder}/fd.sock", name="proxy")
    with pytest.raises(TooLarge):
        await client.call(kind(file))
    before = open_now()
    with pytest.raises(TooLarge):
        await client.call(kind(file))
    assert unsent == [(file, 100_000)] * 2
    assert open_now() == before
    await client.close()
    await server.close()


async def test_errors_carry_no_descriptors(
    lender: Lender, folder: Path, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    await lender.client.call(OpenFile(file, count=0))
    before = open_now()
    with pytest.raises(Internal):
        await lender.client.call(OpenFile(f"{folder}/nothing"))
    with pytest.raises(Internal):
        await lender.client.call(OpenFileInTask(f"{folder}/nothing"))
    with pytest.raises(UnknownOperation):
        await lender.client.call(Unheard())
    assert open_now() == before
    caplog.clear()


async def test_descriptors_for_a_cancelled_call_are_closed(
    lender: Lender, file: str, eventually: Eventually
) -> None:
    await lender.client.call(OpenFile(file, count=0))
    before = open_now()
    for turns in range(8):
        calls = [asyncio.create_task(lender.client.call(OpenFile(file, count=10))) for _ in range(10)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(outcome, tuple):
                close_descriptors(outcome[1])
    await lender.client.call(OpenFile(file, count=0))
    await eventually(lambda: open_now() == before)


async def test_a_call_that_times_out_leaks_nothing(folder: Path, file: str, eventually: Eventually) -> None:
    release = asyncio.Event()
    cancelled: list[bool] = []

    async def hang(request: OpenFileInTask, _holder: Holder) -> Lent:
        try:
            await release.wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return Answer(""), [os.open(request.path, os.O_RDONLY)]

    server = DescriptorServer(f"{folder}/fd.sock", name="worker")
    server.register(OpenFileInTask, hang)
    await server.listen()
    client = DescriptorClient(f"{folder}/fd.sock", name="proxy")
    with pytest.raises(OutcomeUnknown):
        await client.call(OpenFileInTask(file), timeout_s=0.05)
    await eventually(lambda: bool(cancelled))
    await client.close()
    await server.close()


async def test_both_sides_learn_that_a_connection_is_lost(
    lender: Lender, file: str, eventually: Eventually
) -> None:
    await lender.client.call(OpenFile(file, count=0))
    assert lender.events == ["+proxy"]
    await lender.client.close()
    await eventually(lambda: "-proxy" in lender.events)
    other = DescriptorClient(lender.path, name="other", on_lost=lambda: lender.events.append("other lost"))
    await other.call(OpenFile(file, count=0))
    await lender.server.close()
    await eventually(lambda: "other lost" in lender.events)
    assert "-other" in lender.events
    await other.close()


async def test_notices_go_both_ways(lender: Lender, file: str, eventually: Eventually) -> None:
    assert not lender.client.notify(GiveBack((1,)))
    await lender.client.call(OpenFile(file, count=0))
    assert lender.client.notify(GiveBack((1, 2)))
    await eventually(lambda: lender.returned == [GiveBack((1, 2))])
    (holder,) = lender.server.holders
    holder.notify(GiveBack((3,)))
    await eventually(lambda: lender.asked == [GiveBack((3,))])


async def test_a_full_socket_queues_and_loses_nothing(
    lender: Lender, file: str, eventually: Eventually
) -> None:
    """More notices than a socket buffers, before the reader gets a turn of the loop."""
    await lender.client.call(OpenFile(file, count=0))
    sent = [GiveBack(tuple(range(number, number + 500))) for number in range(400)]
    for notice in sent:
        lender.client.notify(notice)
    await eventually(lambda: len(lender.returned) == 400)
    assert lender.returned == sent


async def test_answers_to_a_holder_that_does_not_read_are_bounded(
    lender: Lender, file: str, eventually: Eventually
) -> None:
    before = open_now()
    greedy = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    greedy.connect(lender.path)
    hello = handshake.ClientHandshake("greedy", None).start()[4:]
    greedy.send(hello)
    greedy.settimeout(0)
    request = packet(FrameKind.REQUEST, 1, encode(OpenFile(file, count=1)))
    sent = 0
    for _ in range(5000):
        try:
            greedy.send(request)
            sent += 1
        except (BlockingIOError, BrokenPipeError):
            await asyncio.sleep(0)
    assert sent > 0
    assert open_now() - before < 700
    greedy.close()
    await eventually(lambda: open_now() <= before and not lender.server.holders)


async def test_descriptors_cut_off_by_the_kernel_are_an_error(file: str) -> None:
    """The receiver has no number left for a new descriptor: MSG_CTRUNC."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.settimeout(0)
    lost: list[ZerohopError | None] = []
    taken: list[int] = []
    loop = asyncio.get_running_loop()
    receiver = PacketSocket(loop, theirs, lambda _kind, _id, _payload, fds: taken.extend(fds), lost.append)
    descriptor = os.open(file, os.O_RDONLY)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = open_now()
    ours.sendmsg([packet(1, 1)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor] * 5))])
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    spare = [os.dup(descriptor) for _ in range(highest - before + 4)]
    try:
        top = max(spare) + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (top, limits[1]))
        receiver._reading = True
        receiver._readable()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        close_descriptors(spare)
    assert [type(error) for error in lost] == [ProtocolViolation]
    assert not taken
    os.close(descriptor)
    ours.close()
    assert open_now() == before - 3


async def test_versions_are_checked_here_too(
    lender: Lender, file: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stranger.connect(lender.path)
    monkeypatch.setattr(handshake, "PROTOCOL_MAJOR", 9)
    stranger.send(handshake.ClientHandshake("new", None).start()[4:])
    monkeypatch.undo()
    stranger.setblocking(False)
    async with asyncio.timeout(10):
        answer = await asyncio.get_running_loop().sock_recv(stranger, 4096)
    assert b"IncompatiblePeer" in answer
    stranger.close()
    assert lender.events == []
    caplog.clear()
    await lender.client.call(OpenFile(file, count=0))


async def test_only_one_lender_has_the_path(lender: Lender) -> None:
    assert os.stat(lender.path).st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="another process answers"):
        await DescriptorServer(lender.path, name="second").listen()
