"""The structurer in processes of its own."""

import asyncio
import os
import signal
import subprocess

import pytest
from fake_structurers import Fake, broken_model, dies

from tcmstruct.errors import TcmstructError
from tcmstruct.record import Record
from tcmstruct.serve.workers import WORKER_LOST, Job, Refused, Workers


class Dying(Fake):
    """Ends its process on a text with 坏."""

    def structure_many(self, records):
        if any("坏" in record.text for record in records):
            os._exit(9)
        return super().structure_many(records)


def pid(_):
    return os.getpid()


def answered(factory, jobs, processes=1):
    async def main():
        workers = Workers(factory, processes)
        try:
            return await workers.answer(jobs), await workers.answer(jobs[:1])
        finally:
            workers.close()

    return asyncio.run(main())


def jobs(*texts):
    return [Job(Record("same", text)) for text in texts]


@pytest.mark.parametrize("processes", [0, 1])
def test_answers_come_in_order_whatever_their_ids(processes):
    (first, second, third), _ = answered(Fake, jobs("甲发热", "乙无发热", "丙"), processes)
    assert "甲" in first.decode() and "乙" in second.decode() and "丙" in third.decode()


def test_a_record_that_ends_its_process_costs_itself_only():
    found, again = answered(Dying, jobs("甲", "坏", "乙"))
    assert isinstance(found[0], bytes) and isinstance(found[2], bytes) and isinstance(again[0], bytes)
    assert isinstance(found[1], Refused) and found[1].code == WORKER_LOST


def test_a_process_that_never_starts_is_told_and_not_waited_for():
    found, _ = answered(dies, jobs("甲"))
    assert found[0].code == WORKER_LOST


def test_a_model_that_cannot_be_used_is_raised_with_its_code_and_exit_code():
    async def main():
        workers = Workers(broken_model, 1)
        try:
            await workers.warm()
        finally:
            workers.close()

    with pytest.raises(TcmstructError, match="weights are missing") as told:
        asyncio.run(main())
    assert (told.value.code, told.value.exit_code) == ("model_missing", 4)


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="the sender of a signal is told on Linux only")
def test_a_request_to_stop_that_meets_the_whole_group_leaves_workers_working():
    async def main():
        workers = Workers(Fake, 1)
        try:
            child = await workers.call(pid)
            for name in ("TERM", "INT"):  # by another process, as a service manager or a terminal sends them
                subprocess.run(["kill", f"-{name}", str(child)], check=True)
            await asyncio.sleep(0.1)
            return child, await workers.call(pid)
        finally:
            workers.close()

    before, after = asyncio.run(main())
    assert before == after != os.getpid()
