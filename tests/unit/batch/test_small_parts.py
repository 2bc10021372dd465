"""The id ledger, sizes and workers, progress lines."""

import io

import pytest

from tcmstruct.batch import resources
from tcmstruct.batch.ids import IdLedger
from tcmstruct.batch.progress import BarProgress, PlainProgress, clock, progress_for, remaining_s
from tcmstruct.batch.resources import WORKER_BYTES, available_bytes, available_cores, default_workers, parse_bytes
from tcmstruct.errors import UsageError
from tcmstruct.runtime.memory import PHOTO_BYTES


def test_the_ledger_is_a_set():
    ledger = IdLedger()
    assert all(ledger.add(f"id{n}") for n in range(3_000))
    assert not any(ledger.add(f"id{n}") for n in range(3_000))
    assert ledger.add("id3000")
    assert len(ledger) == 3_001
    assert ledger.add("\ud800")


@pytest.mark.parametrize(("text", "n"), [("1GB", 10**9), ("1 gib", 2**30), ("512MiB", 2**29), ("1.5G", 15 * 10**8),
                                         ("800", 800), ("100k", 100_000)])
def test_sizes(text, n):
    assert parse_bytes(text) == n


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1TBX", "0", "1e9", "1 2"])
def test_what_is_no_size(text):
    with pytest.raises(UsageError):
        parse_bytes(text)


def test_workers_follow_cores_and_memory(monkeypatch):
    monkeypatch.setattr(resources, "available_cores", lambda: 8)
    assert default_workers(WORKER_BYTES * 3) == 3
    assert default_workers(WORKER_BYTES * 100) == 8
    assert default_workers(1) == 1
    assert default_workers((WORKER_BYTES + PHOTO_BYTES) * 3, photos=True) == 3 == default_workers(WORKER_BYTES * 3)
    monkeypatch.setattr(resources, "available_bytes", lambda: None)
    assert default_workers() == 8


def test_a_containers_limits_count(monkeypatch, tmp_path):
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    monkeypatch.setattr(resources, "_CGROUP", tmp_path)
    assert available_cores() == 1
    assert available_bytes() == 600


def test_time_left():
    assert remaining_s(10, 0.25) == 30
    assert remaining_s(10, None) is None
    assert [clock(s) for s in (None, 5, 65, 3725)] == ["?", "0:05", "1:05", "1:02:05"]


def test_plain_lines_name_count_rate_rejects_and_time_left():
    stream = io.StringIO()
    progress = PlainProgress(stream, seconds=0)
    progress.step(1234, 5, 0.5)
    progress.say("writing table.csv")
    line, stage = stream.getvalue().splitlines()
    assert line.startswith("1,234 records (50%) · ")
    assert all(part in line for part in ("/s", "rejected 5", "elapsed", "left"))
    assert stage == "writing table.csv"


def test_a_terminal_gets_a_bar_and_a_file_gets_lines():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert isinstance(progress_for(io.StringIO()), PlainProgress)
    stream = Terminal()
    progress = progress_for(stream)
    assert isinstance(progress, BarProgress)
    with progress:
        progress.step(10, 1, 0.5)
        progress.step(20, 1, None)
        progress.say("x")
