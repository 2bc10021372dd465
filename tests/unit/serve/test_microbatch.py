"""Waiting items go out together, in order, and each gets its own result."""

import asyncio

import pytest

from tcmstruct.serve.microbatch import MicroBatcher


class Runs:
    """Doubles numbers; holds calls back until they are let go."""

    def __init__(self):
        self.calls, self.go, self.most_at_once, self.now = [], asyncio.Event(), 0, 0

    async def __call__(self, items):
        self.calls.append(list(items))
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        await self.go.wait()
        self.now -= 1
        if "bad" in items:
            raise ValueError("bad")
        return [item * 2 for item in items]


async def gathered(batcher, runs, items, first=0):
    futures = [batcher.put(item) for item in items[:first]]
    await asyncio.sleep(0.01)
    futures += [batcher.put(item) for item in items[first:]]
    await asyncio.sleep(0.01)
    runs.go.set()
    return await asyncio.gather(*futures, return_exceptions=True)


def test_what_gathers_while_a_call_runs_goes_out_together():
    async def main():
        runs = Runs()
        batcher = MicroBatcher(runs, 1)
        assert await gathered(batcher, runs, list(range(10)), first=1) == [2 * n for n in range(10)]
        assert runs.calls == [[0], list(range(1, 10))]
        await batcher.close()

    asyncio.run(main())


def test_a_lone_item_waits_for_nobody():
    async def main():
        runs = Runs()
        runs.go.set()
        batcher = MicroBatcher(runs, 2, linger_s=3600)
        assert await asyncio.wait_for(batcher.put(4), 5) == 8
        await batcher.close()

    asyncio.run(main())


def test_free_slots_share_what_waits_and_are_never_more():
    async def main():
        runs = Runs()
        batcher = MicroBatcher(runs, 3)
        await gathered(batcher, runs, list(range(9)))
        assert runs.calls == [[0, 1, 2], [3, 4, 5], [6, 7, 8]] and runs.most_at_once == 3
        await batcher.close()

    asyncio.run(main())


def test_a_call_is_bounded_in_number_and_in_size():
    async def main():
        runs = Runs()
        runs.go.set()
        batcher = MicroBatcher(runs, 1, size=lambda n: n, most_size=10, most=4)
        futures = [batcher.put(n) for n in (6, 4, 1, 50, 1, 1, 1, 1, 1)]
        await asyncio.gather(*futures)
        assert runs.calls == [[6, 4], [1], [50], [1, 1, 1, 1], [1]]
        await batcher.close()

    asyncio.run(main())


def test_the_patient_let_the_urgent_pass():
    async def main():
        runs = Runs()
        batcher = MicroBatcher(runs, 1, most=2)
        futures = [batcher.put(n, urgent=False) for n in (1, 2, 3, 4)] + [batcher.put(9)]
        runs.go.set()
        await asyncio.gather(*futures)
        assert runs.calls[0] == [9, 1]
        await batcher.close()

    asyncio.run(main())


def test_a_call_that_fails_costs_its_own_items_only():
    async def main():
        runs = Runs()
        batcher = MicroBatcher(runs, 1)
        found = await gathered(batcher, runs, ["bad", 1, 2], first=1)
        assert isinstance(found[0], ValueError) and found[1:] == [2, 4]
        await batcher.close()

    asyncio.run(main())


def test_what_was_given_up_is_not_worked_on():
    async def main():
        runs = Runs()
        batcher = MicroBatcher(runs, 1)
        first, given_up, last = batcher.put(0), batcher.put(1), batcher.put(2)
        given_up.cancel()
        runs.go.set()
        await asyncio.gather(first, last)
        assert [n for call in runs.calls for n in call] == [0, 2]
        await batcher.close()

    asyncio.run(main())


def test_closing_cancels_what_waits():
    async def main():
        runs = Runs()
        batcher = MicroBatcher(runs, 1)
        first = batcher.put(1)
        await asyncio.sleep(0.01)
        second = batcher.put(2)
        await batcher.close()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert second.cancelled()

    asyncio.run(main())
