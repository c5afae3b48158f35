"""Bytes from one worker; from another one as well when the first is slow to begin, and then from who begins first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import NamedTuple

from zerohop.client.hedging import Pace, Step
from zerohop.client.worker_links import WorkerLinks
from zerohop.errors import DeadlineExceeded, TransportError, ZerohopError
from zerohop.rpc.splicing import PipedBytes

__all__ = ["Pieces", "Race", "Source"]

_Piece = bytes | memoryview | PipedBytes
Pieces = AsyncGenerator[_Piece, None]

_SLOW = "slow"


class Source(NamedTuple):
    """Bytes that a worker will give; `begin` asks for them. `patient`: nobody else is asked however slow it is."""

    worker_id: str
    begin: Callable[[], Pieces]
    patient: bool = False


class _Runner:
    """A source that was asked."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.worker_id = source.worker_id
        self.pieces = source.begin()
        self.asked_s = asyncio.get_running_loop().time()

    @property
    def waited_s(self) -> float:
        return asyncio.get_running_loop().time() - self.asked_s


class Race:
    """The bytes of `first`, or those of the source that `hedge` answers, which is called at most once (None: no hedge
    any more). `is_late`: it was decided already that `first` is late.

    The first source is awaited in place until its first piece: a read that is not late costs no task.
    """

    def __init__(
        self,
        workers: WorkerLinks,
        first: Source,
        hedge: Callable[[], Source] | None,
        *,
        is_late: bool = False,
    ) -> None:
        self._workers = workers
        self._hedging = workers.hedging
        self._second = hedge
        self._is_late = is_late
        self._first = self._winner = _Runner(first)
        self._runners = [self._first]
        self._hedge: asyncio.Task[_Piece | None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._limit: asyncio.Timeout | None = None  # while the first is awaited

    @property
    def winner_id(self) -> str:
        """Of the source that the pieces come from."""
        return self._winner.worker_id

    async def pieces(self) -> Pieces:
        """Raises what the sources raise, and DeadlineExceeded when one is given up as too slow; a worker that cannot
        be reached is avoided. Close it (`aclosing`) when left early.
        """
        try:
            piece = await self._first_piece()
            pace = None if self._winner.source.patient else Pace()
            while piece is not None:
                yield piece
                piece = await self._next(pace)
        except TransportError as error:
            if error.details.get("reason") != _SLOW:
                self._workers.avoid(self.winner_id)
            raise
        finally:
            await self._close()

    async def _first_piece(self) -> _Piece | None:
        self._hedging.asked()
        if self._is_late and self._second is not None:
            self._start_hedge(self._second())
        elif not self._first.source.patient:
            self._wait()
        try:
            async with asyncio.timeout(None) as self._limit:
                piece = await anext(self._first.pieces, None)
        except TimeoutError:
            return self._overtaken()
        except ZerohopError as error:
            hedge = self._hedge
            if hedge is None:
                raise
            if isinstance(error, TransportError):
                self._workers.avoid(self._first.worker_id)
        else:
            if not self._is_late:
                self._hedging.answered(self._first.worker_id, self._first.waited_s)
            return piece
        finally:
            self._limit = None
            if self._timer is not None:
                self._timer.cancel()
        self._winner = self._runners[-1]
        return await hedge

    def _overtaken(self) -> _Piece | None:
        self._too_slow(self._first.waited_s)
        if self._hedge is None:
            raise _given_up(self._first.worker_id)
        self._hedging.wins += 1
        self._winner = self._runners[-1]
        self._hedging.answered(self.winner_id, self._winner.waited_s)
        return self._hedge.result()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._hedging.delay_s, self._on_time)

    def _on_time(self) -> None:
        step = self._hedging.late(
            self._first.worker_id, self._workers.avoided(), may_hedge=self._second is not None
        )
        if step is Step.HEDGE:
            assert self._second is not None
            self._start_hedge(self._second())
        elif step is Step.MOVE:
            self._stop_waiting()
        else:
            self._wait()

    def _start_hedge(self, source: Source) -> None:
        runner = _Runner(source)
        self._runners.append(runner)
        self._hedge = asyncio.create_task(_first_of(runner.pieces), name="hedged read")
        self._hedge.add_done_callback(self._hedge_done)

    def _hedge_done(self, hedge: asyncio.Task[_Piece | None]) -> None:
        if hedge.cancelled() or self._limit is None:
            return
        error = hedge.exception()
        if error is None:
            self._stop_waiting()
            return
        self._hedge = None  # the first may still answer
        if isinstance(error, TransportError):
            self._workers.avoid(self._runners[-1].worker_id)

    def _stop_waiting(self) -> None:
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time())

    async def _next(self, pace: Pace | None) -> _Piece | None:
        pieces = self._winner.pieces
        if pace is None:
            return await anext(pieces, None)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            async with asyncio.timeout(pace.patience_s):
                piece = await anext(pieces, None)
        except TimeoutError:
            self._too_slow(pace.patience_s)
            raise _given_up(self.winner_id) from None
        if piece is not None:
            pace.moved(loop.time() - began_s, len(piece))
        return piece

    def _too_slow(self, after_s: float) -> None:
        avoid_s = self._hedging.beaten(self.winner_id, after_s)
        if avoid_s:
            self._workers.avoid(self.winner_id, avoid_s)

    async def _close(self) -> None:
        """Cuts whatever still runs."""
        if self._hedge is not None and not self._hedge.done():
            self._hedge.cancel()
            await asyncio.wait((self._hedge,))
        if self._hedge is not None and not self._hedge.cancelled():
            self._hedge.exception()  # seen: it came too late, or failed, and is of no interest
        for runner in self._runners:
            await runner.pieces.aclose()


async def _first_of(pieces: Pieces) -> _Piece | None:
    return await anext(pieces, None)


def _given_up(worker_id: str) -> DeadlineExceeded:
    return DeadlineExceeded(f"worker {worker_id} sends too slowly", reason=_SLOW)
