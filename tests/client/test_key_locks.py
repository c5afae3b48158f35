from __future__ import annotations

import asyncio

from zerohop.key_locks import KeyLocks


async def test_holders_of_one_key_take_turns_in_order() -> None:
    locks = KeyLocks()
    order: list[int] = []

    async def work(number: int) -> None:
        await locks.acquire("k")
        order.append(number)
        await asyncio.sleep(0)
        assert order[-1] == number
        locks.release("k")

    await asyncio.gather(*(work(number) for number in range(10)))
    assert order == list(range(10))
    assert not locks._waiting


async def test_a_waiter_that_gives_up_passes_its_turn_on() -> None:
    locks = KeyLocks()
    await locks.acquire("k")
    waiters = [asyncio.create_task(locks.acquire("k")) for _ in range(3)]
    await asyncio.sleep(0)
    waiters[0].cancel()
    locks.release("k")
    waiters[1].cancel()  # at the moment at which it may have got the turn
    await waiters[2]
    locks.release("k")
    assert not locks._waiting


async def test_different_keys_do_not_wait() -> None:
    locks = KeyLocks()
    await locks.acquire("a")
    await locks.acquire("b")
