"""Unary calls over real sockets: answers, errors, deadlines, cancellation, bounds, lost peers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.rpc.messages import (
    Answer,
    Echo,
    EchoInTask,
    Fail,
    Hang,
    Unheard,
    fill,
)

from zerohop.errors import (
    BucketNotFound,
    ConfigError,
    DeadlineExceeded,
    Internal,
    OutcomeUnknown,
    Overloaded,
    PeerUnavailable,
    UnknownOperation,
)
from zerohop.rpc.call import Call
from zerohop.rpc.client import RpcClient
from zerohop.rpc.frames import FrameKind, frame
from zerohop.rpc.handshake import ClientHandshake
from zerohop.rpc.message import encode
from zerohop.rpc.server import RpcServer

Make = Callable[..., RpcServer]
MakeClient = Callable[..., RpcClient]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture(params=["unix", "tcp"])
def place(request: pytest.FixtureRequest, folder: Path) -> str:
    return f"unix:{folder}/s" if request.param == "unix" else "tcp://127.0.0.1:0"


async def test_calls_are_answered(servers: Make, clients: MakeClient, place: str) -> None:
    server = fill(servers())
    client = clients(await server.listen(place))
    assert await client.call(Echo("a")) == Answer("a")
    assert await client.call(EchoInTask("b"), timeout_s=5) == Answer("b from test-client", 5)
    assert len((await client.call(Echo("", size=3 << 20))).text) == 3 << 20


async def test_many_calls_share_a_connection(servers: Make, clients: MakeClient, place: str) -> None:
    server = fill(servers())
    client = clients(await server.listen(place))
    texts = [str(number) for number in range(500)]
    answers = await asyncio.gather(*(client.call(EchoInTask(text)) for text in texts))
    assert [answer.text for answer in answers] == [f"{text} from test-client" for text in texts]
    assert len(server._sessions) == 1


async def test_one_server_listens_at_several_addresses(
    servers: Make, clients: MakeClient, folder: Path
) -> None:
    server = fill(servers())
    await server.listen(f"unix:{folder}/a")
    await server.listen("tcp://127.0.0.1:0")
    assert [address.port != 0 for address in server.addresses] == [False, True]
    for address in server.addresses:
        assert (await clients(address).call(Echo("x"))).text == "x"


async def test_errors_arrive_as_the_class_that_was_raised(
    servers: Make, clients: MakeClient, place: str
) -> None:
    client = clients(await fill(servers()).listen(place))
    with pytest.raises(BucketNotFound, match="no bucket b") as caught:
        await client.call(Fail("b"))
    assert caught.value.details == {"bucket": "b"}
    assert (await client.call(Echo("still there"))).text == "still there"


async def test_an_unknown_operation_is_named(servers: Make, clients: MakeClient, place: str) -> None:
    client = clients(await fill(servers()).listen(place))
    with pytest.raises(UnknownOperation, match="unheard"):
        await client.call(Unheard())
    client = clients(await servers().listen("tcp://127.0.0.1:0"))
    with pytest.raises(UnknownOperation, match="echo"):
        await client.call(Echo("x"))


@pytest.mark.parametrize("in_task", [True, False])
async def test_a_defect_of_a_handler_is_logged_and_told_nobody(
    servers: Make, clients: MakeClient, place: str, caplog: pytest.LogCaptureFixture, *, in_task: bool
) -> None:
    def broken(_request: Echo, _call: Call) -> Answer:
        raise ZeroDivisionError("secret cause")

    async def broken_in_task(_request: EchoInTask, _call: Call) -> Answer:
        raise ZeroDivisionError("secret cause")

    server = servers()
    server.register_sync(Echo, broken)
    server.register(EchoInTask, broken_in_task)
    client = clients(await server.listen(place))
    with pytest.raises(Internal) as caught:
        await client.call(EchoInTask("x") if in_task else Echo("x"))
    assert "secret cause" not in str(caught.value)
    assert "secret cause" in caplog.text
    caplog.clear()


async def test_a_passed_deadline_stops_the_handler(
    servers: Make, clients: MakeClient, place: str, eventually: Eventually
) -> None:
    server = fill(servers())
    client = clients(await server.listen(place))
    with pytest.raises(OutcomeUnknown) as caught:
        await client.call(Hang(), timeout_s=0.05)
    assert caught.value.details["reason"] == "deadline"
    await eventually(lambda: server._calls == 0)
    assert (await client.call(Echo("x"))).text == "x"


async def test_the_server_stops_a_handler_by_itself(
    servers: Make, clients: MakeClient, place: str, eventually: Eventually
) -> None:
    server = fill(servers())
    client = clients(await server.listen(place))
    await client.wait_ready(5)
    channel = client._channel
    assert channel is not None
    channel._deadlines.close()
    channel._deadlines.add = lambda call_id, when: None  # type: ignore[method-assign]
    with pytest.raises(OutcomeUnknown, match="while the call ran"):
        await client.call(Hang(), timeout_s=0.05)
    await eventually(lambda: server._calls == 0)


async def test_cancelling_a_call_cancels_its_handler(
    servers: Make, clients: MakeClient, place: str, eventually: Eventually
) -> None:
    server = fill(servers())
    client = clients(await server.listen(place))
    call = asyncio.create_task(client.call(Hang()))
    await eventually(lambda: server._calls == 1)
    call.cancel()
    await eventually(lambda: server._calls == 0)
    assert call.cancelled()
    assert (await client.call(Echo("x"))).text == "x"


async def test_a_lost_client_cancels_its_handlers(
    servers: Make, clients: MakeClient, place: str, eventually: Eventually
) -> None:
    server = fill(servers())
    client = clients(await server.listen(place))
    call = asyncio.create_task(client.call(Hang()))
    await eventually(lambda: server._calls == 1)
    await client.close()
    await eventually(lambda: server._calls == 0)
    with pytest.raises(OutcomeUnknown):
        await call


async def test_closing_drains_then_cuts(
    servers: Make, clients: MakeClient, place: str, eventually: Eventually
) -> None:
    release = asyncio.Event()

    async def slow(_request: EchoInTask, _call: Call) -> Answer:
        await release.wait()
        return Answer("drained")

    server = servers()
    server.register(EchoInTask, slow)
    client = clients(await server.listen(place))
    call = asyncio.create_task(client.call(EchoInTask("x")))
    await eventually(lambda: server._calls == 1)
    closing = asyncio.create_task(server.close(drain_s=10))
    await asyncio.sleep(0)
    with pytest.raises(PeerUnavailable):
        await client.call(EchoInTask("too late"))
    release.set()
    assert (await call).text == "drained"
    await closing
    await eventually(lambda: client._channel is not None and client._channel.closed)
    with pytest.raises(PeerUnavailable):
        await client.call(EchoInTask("gone"))


async def test_closing_without_draining_tells_the_callers(
    servers: Make, clients: MakeClient, place: str, eventually: Eventually
) -> None:
    server = fill(servers())
    client = clients(await server.listen(place))
    call = asyncio.create_task(client.call(Hang()))
    await eventually(lambda: server._calls == 1)
    await server.close()
    with pytest.raises(OutcomeUnknown) as caught:
        await call
    assert caught.value.details["reason"] == "shutdown"


@pytest.mark.parametrize("bounds", [{"max_calls": 2}, {"max_calls_per_connection": 2}])
async def test_too_many_calls_are_refused_at_once(
    servers: Make, clients: MakeClient, place: str, eventually: Eventually, bounds: dict[str, int]
) -> None:
    server = fill(servers(**bounds))
    client = clients(await server.listen(place))
    calls = [asyncio.create_task(client.call(Hang())) for _ in range(2)]
    await eventually(lambda: server._calls == 2)
    with pytest.raises(Overloaded):
        await client.call(Hang())
    for call in calls:
        call.cancel()
    await eventually(lambda: server._calls == 0)


async def test_too_many_connections_are_refused(servers: Make, clients: MakeClient, place: str) -> None:
    address = await fill(servers(max_connections=1)).listen(place)
    await clients(address).call(Echo("x"))
    with pytest.raises(Overloaded):
        await clients(address).call(Echo("x"))


async def test_nobody_there_is_said_at_once(clients: MakeClient, folder: Path) -> None:
    client = clients(f"unix:{folder}/nobody")
    for _ in range(3):
        with pytest.raises(PeerUnavailable):
            await client.call(Echo("x"), timeout_s=30)
    with pytest.raises(PeerUnavailable):
        await client.wait_ready(0.1)


async def test_a_silent_peer_costs_the_time_out_and_no_more(clients: MakeClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = clients(f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(DeadlineExceeded):
            await client.call(Echo("x"), timeout_s=0.05)


async def test_a_client_finds_a_server_that_came_back(
    servers: Make, clients: MakeClient, folder: Path, eventually: Eventually
) -> None:
    first = fill(servers())
    client = clients(await first.listen(f"unix:{folder}/s"))
    await client.call(Echo("x"))
    await first.close()
    await eventually(lambda: client._channel is not None and client._channel.closed)
    with pytest.raises(PeerUnavailable):
        await client.call(Echo("x"))
    second = fill(servers())
    await second.listen(f"unix:{folder}/s")
    await client.wait_ready(10)
    assert (await client.call(Echo("back"))).text == "back"


async def test_an_idempotent_call_survives_a_dead_connection(
    folder: Path, clients: MakeClient, servers: Make
) -> None:
    """The peer takes the request and hangs up; only what may be repeated is repeated."""
    hangups = 0

    async def hang_up(request: EchoInTask, _call: Call) -> Answer:
        nonlocal hangups
        if hangups < 2:
            hangups += 1
            for session in list(server._sessions):
                session.abort()
        return Answer(request.text)

    server = servers()
    server.register(EchoInTask, hang_up)
    client = clients(await server.listen(f"unix:{folder}/s"))
    with pytest.raises(OutcomeUnknown):
        await client.call(EchoInTask("x"))
    assert (await client.call(EchoInTask("x"), idempotent=True)).text == "x"
    assert hangups == 2


async def test_a_peer_that_does_not_read_is_not_read_from(
    servers: Make, folder: Path, eventually: Eventually
) -> None:
    """It asks for 2,000 answers of 1 MiB, and takes none: memory must not grow by more than the marks."""
    server = fill(servers())
    await server.listen(f"unix:{folder}/s")
    greedy = socket.socket(socket.AF_UNIX)
    greedy.connect(f"{folder}/s")
    greedy.sendall(ClientHandshake("greedy", None).start())
    requests = [
        frame(FrameKind.REQUEST, n, b"\0\0\xff\xff" + encode(Echo("", size=1 << 20))) for n in range(1, 2001)
    ]
    loop = asyncio.get_running_loop()
    greedy.settimeout(0)
    sending = asyncio.create_task(loop.sock_sendall(greedy, b"".join(requests)))
    await eventually(lambda: any(session.write_paused for session in server._sessions))
    (session,) = server._sessions
    assert session.transport.get_write_buffer_size() < 4 << 20
    assert session._decoder.buffered_bytes < 1 << 20
    sending.cancel()
    await asyncio.wait([sending])
    greedy.close()
    await eventually(lambda: not server._sessions)


async def test_socket_files_are_private_and_replaced_only_when_dead(
    servers: Make, clients: MakeClient, folder: Path
) -> None:
    path = folder / "s"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    server = fill(servers())
    address = await server.listen(f"unix:{path}")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="another process answers"):
        await servers().listen(f"unix:{path}")
    assert (await clients(address).call(Echo("x"))).text == "x"
    await server.close()
    assert not path.exists()
    path.write_text("a file")
    with pytest.raises(ConfigError, match="no socket"):
        await servers().listen(f"unix:{path}")
