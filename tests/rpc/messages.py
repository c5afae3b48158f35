"""Messages of the RPC tests, and a server process that answers them."""

from __future__ import annotations

import asyncio
import os
import sys

import msgspec

from zerohop.errors import BucketNotFound
from zerohop.rpc.call import Call, StreamInCall, StreamOutCall
from zerohop.rpc.descriptors import DescriptorServer, Holder, Lent
from zerohop.rpc.message import Request
from zerohop.rpc.server import RpcServer


class Answer(msgspec.Struct, array_like=True):
    text: str
    number: int = 0


class Echo(Request[Answer], tag="echo"):
    text: str
    size: int = 0


class EchoInTask(Request[Answer], tag="echo_in_task"):
    text: str


class Fail(Request[None], tag="fail"):
    bucket: str


class Hang(Request[None], tag="hang"):
    """Never answers by itself."""


class Unheard(Request[None], tag="unheard"):
    """Nobody registers it."""


class Upload(Request[Answer], tag="upload"):
    fail_after: int = -1


class Download(Request[Answer], tag="download"):
    size: int
    fail: bool = False
    hang: bool = False


class OpenFile(Request[Answer], tag="open_file"):
    path: str
    count: int = 1


class OpenFileInTask(Request[Answer], tag="open_file_in_task"):
    path: str


class GiveBack(msgspec.Struct, array_like=True):
    numbers: tuple[int, ...]


def echo(request: Echo, _call: Call) -> Answer:
    return Answer(request.text + "x" * request.size)


async def echo_in_task(request: EchoInTask, call: Call) -> Answer:
    await asyncio.sleep(0)
    return Answer(f"{request.text} from {call.peer.process}", round(call.timeout_s))


def fail(request: Fail, _call: Call) -> None:
    raise BucketNotFound(f"no bucket {request.bucket}", bucket=request.bucket)


async def hang(_request: Hang, _call: Call) -> None:
    await asyncio.Event().wait()


async def upload(request: Upload, call: StreamInCall) -> Answer:
    total = 0
    async for chunk in call:
        total += len(chunk)
        if 0 <= request.fail_after <= total:
            raise BucketNotFound("gone while writing")
    return Answer("stored", total)


async def download(request: Download, call: StreamOutCall) -> None:
    call.respond(Answer("head", request.size))
    piece = bytes(range(256)) * 1024
    left = request.size
    while left:
        await call.write(piece[:left])
        left -= min(left, len(piece))
    if request.fail:
        raise BucketNotFound("gone while reading")
    if request.hang:
        await asyncio.Event().wait()


def fill(server: RpcServer) -> RpcServer:
    """Registers all of the above."""
    server.register_sync(Echo, echo)
    server.register(EchoInTask, echo_in_task)
    server.register_sync(Fail, fail)
    server.register(Hang, hang)
    server.register_stream_in(Upload, upload)
    server.register_stream_out(Download, download)
    return server


def open_file(request: OpenFile, _holder: Holder) -> Lent:
    return Answer("opened", request.count), [os.open(request.path, os.O_RDONLY) for _ in range(request.count)]


async def open_file_in_task(request: OpenFileInTask, _holder: Holder) -> Lent:
    await asyncio.sleep(0)
    return Answer("opened"), [os.open(request.path, os.O_RDONLY)]


async def _serve(folder: str) -> None:
    server = fill(RpcServer("other-process"))
    await server.listen(f"unix:{folder}/rpc.sock")
    lender = DescriptorServer(f"{folder}/fd.sock", name="other-process")
    lender.register(OpenFile, open_file)
    await lender.listen()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
