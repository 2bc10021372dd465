"""A batch that is cut off goes on where it stopped, and ends in the bytes of an undisturbed one."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tcmstruct.batch import journal, run_batch
from tcmstruct.batch.folder import WORK
from tcmstruct.batch.stopping import Stopped
from tcmstruct.emr.rows import Reject
from tcmstruct.errors import TcmstructError, UsageError
from tcmstruct.record import Record

sys.path.insert(0, str(Path(__file__).parents[2] / "fakes"))
import fake_structurers as fakes

FILES = ("records.jsonl", "rejects.jsonl", "table.csv", "table.xlsx")


@pytest.fixture(autouse=True)
def a_shard_for_every_chunk(monkeypatch):
    monkeypatch.setattr(journal, "SHARD_S", 0.0)


def rows(n=400):
    found = [Record(f"r{k}", f"有发热{k}", where=f"f:{k}", extra={f"c{k // 100}": "x"}) for k in range(n)]
    found[7] = Reject("text_missing", "no text", "f:7", "r7")
    found[n // 2] = Record("r0", "咳嗽", where="f:again")  # the id of the first
    return found


def cut_off(items, after):
    for k, item in enumerate(items):
        if k == after:
            raise KeyboardInterrupt
        yield item


def convert(items, out, structurer=None, **options):
    return run_batch(iter(items), None, out, factory=lambda: structurer or fakes.Fake(), formats=("jsonl", "csv", "xlsx"), window=32,
                     **options)


def contents(out):
    return {name: (out / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "o"
    convert(rows(), out)
    return contents(out)


@pytest.mark.parametrize("after", [0, 1, 33, 200, 201, 399])
def test_the_same_bytes_come_whenever_it_was_cut_off(tmp_path, undisturbed, after):
    with pytest.raises(KeyboardInterrupt):
        convert(cut_off(rows(), after), tmp_path / "o")
    assert not any((tmp_path / "o" / name).exists() for name in FILES)
    summary = convert(rows(), tmp_path / "o")
    assert summary.resumed == max(0, after // 32 * 32)
    assert contents(tmp_path / "o") == undisturbed
    assert not (tmp_path / "o" / WORK).exists()
    assert summary.counts == {"in": 400, "ok": 398, "warned": 0, "rejected": 2}


def test_cut_off_again_and_again(tmp_path, undisturbed):
    for after in range(40, 400, 40):
        with pytest.raises(KeyboardInterrupt):
            convert(cut_off(rows(), after), tmp_path / "o")
    convert(rows(), tmp_path / "o")
    assert contents(tmp_path / "o") == undisturbed


def test_what_is_done_is_not_structured_again(tmp_path):
    fake = fakes.Fake()
    with pytest.raises(KeyboardInterrupt):
        convert(cut_off(rows(), 200), tmp_path / "o")
    convert(rows(), tmp_path / "o", fake)
    assert sum(fake.sizes) == 398 - 191  # of the 192 rows done one was a reject


def test_workers_go_on_with_what_one_process_began(tmp_path, undisturbed):
    with pytest.raises(KeyboardInterrupt):
        convert(cut_off(rows(), 100), tmp_path / "o")
    run_batch(iter(rows()), None, tmp_path / "o", factory=fakes.Fake, workers=2, formats=("jsonl", "csv", "xlsx"))
    assert contents(tmp_path / "o") == undisturbed


def test_fresh_begins_anew(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        convert(cut_off(rows(), 200), tmp_path / "o")
    assert convert(rows(), tmp_path / "o", fresh=True).resumed == 0


def test_a_result_stays_whole_until_the_fresh_one_is_complete(tmp_path, undisturbed):
    convert(rows(), tmp_path / "o")
    with pytest.raises(KeyboardInterrupt):
        convert(cut_off(rows(50), 40), tmp_path / "o", fresh=True)
    assert contents(tmp_path / "o") == undisturbed
    assert convert(rows(50), tmp_path / "o").resumed == 32  # the leave to replace was given when it began


def test_a_finished_result_is_not_made_again_unasked(tmp_path):
    convert(rows(), tmp_path / "o")
    with pytest.raises(UsageError) as caught:
        convert(rows(), tmp_path / "o")
    assert caught.value.code == "out_exists"


class OtherModel(fakes.Fake):
    model_fingerprint = "m2"


@pytest.mark.parametrize(("items", "options"), [
    (rows()[1:], {"factory": fakes.Fake}), (rows(), {"factory": OtherModel}),
    (rows(), {"factory": fakes.Fake, "identity": {"map": ["a=id"]}})])
def test_a_changed_input_model_or_option_is_refused(tmp_path, items, options):
    with pytest.raises(KeyboardInterrupt):
        run_batch(cut_off(rows(), 200), None, tmp_path / "o", factory=fakes.Fake, window=32)
    held = sorted(p.name for p in (tmp_path / "o" / WORK).iterdir())
    with pytest.raises(UsageError) as caught:
        run_batch(iter(items), None, tmp_path / "o", window=32, **options)
    assert caught.value.code == "run_changed"
    assert sorted(p.name for p in (tmp_path / "o" / WORK).iterdir()) == held
    run_batch(iter(rows()), None, tmp_path / "o", factory=fakes.Fake, window=32)  # and the unfinished one can still be finished


class Asking(fakes.Fake):
    """Sends its own process a signal at the third batch, as a service manager would."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def structure_many(self, records):
        if len(self.sizes) == 2:
            os.kill(os.getpid(), self.number)
        return super().structure_many(records)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_in_good_order(tmp_path, undisturbed, number):
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as caught:
        convert(rows(), tmp_path / "o", Asking(number))
    assert caught.value.exit_code == 128 + number
    assert "96 rows are done" in str(caught.value)
    assert signal.getsignal(number) is before
    assert not (tmp_path / "o" / WORK / "running").exists()
    assert convert(rows(), tmp_path / "o").resumed == 96
    assert contents(tmp_path / "o") == undisturbed


def test_one_process_at_a_time(tmp_path):
    class Meeting(fakes.Fake):
        def structure_many(self, records):
            if not self.sizes:
                with pytest.raises(UsageError) as caught:
                    convert(rows(), tmp_path / "o", fresh=True)
                assert caught.value.code == "out_locked"
            return super().structure_many(records)

    assert convert(rows(), tmp_path / "o", Meeting()).counts["rejected"] == 2
    assert not list((tmp_path / "o").glob(".*"))


def test_a_full_disk_keeps_what_is_done(tmp_path, monkeypatch, undisturbed):
    import errno

    real, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) == 30:
            raise OSError(errno.ENOSPC, "no space left", None)
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TcmstructError) as caught:
        convert(rows(), tmp_path / "o")
    assert (caught.value.code, caught.value.exit_code) == ("disk_full", 1)
    assert convert(rows(), tmp_path / "o").resumed > 0
    assert contents(tmp_path / "o") == undisturbed


def test_a_damaged_shard_is_said(tmp_path, undisturbed):
    with pytest.raises(KeyboardInterrupt):
        convert(cut_off(rows(), 200), tmp_path / "o")
    (tmp_path / "o" / WORK / "shard-000002.records").write_bytes(b"torn")
    summary = convert(rows(), tmp_path / "o")
    assert (summary.resumed, summary.notes) == (64, ("shard_damaged",))
    assert contents(tmp_path / "o") == undisturbed
    assert json.loads((tmp_path / "o" / "manifest.json").read_text())["timing"]["resumed"] == 64
