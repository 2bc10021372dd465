import hashlib
import json
import os
import stat
import sys
from functools import partial
from pathlib import Path

import pytest

from tcmstruct.batch import run_batch
from tcmstruct.batch.pool import CHUNKS_AHEAD
from tcmstruct.batch.progress import Progress
from tcmstruct.batch.run import FIRST_WINDOW, SMALL_BATCH, WORKER_CHUNK
from tcmstruct.emr.rows import ReadRecord, Reject
from tcmstruct.errors import ModelError, TcmstructError, UsageError
from tcmstruct.record import Record

sys.path.insert(0, str(Path(__file__).parents[2] / "fakes"))
import fake_structurers as fakes

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")


def records(n, text="无发热，体温37.8℃，咳黄痰"):
    return [Record(f"r{k}", f"{text}{k}", where=f"f.csv:{k}") for k in range(n)]


def lines(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def manifest(out):
    return json.loads((out / "manifest.json").read_text("utf-8"))


def run(items, out, structurer=None, **options):
    return run_batch(iter(items), (structurer or fakes.Fake()).structure_many, out, **options)


def test_records_stand_in_input_order_and_counts_add_up(tmp_path):
    items = records(100)
    items[3] = Reject("text_missing", "no text", "f.csv:3", "r3")
    items[5] = ReadRecord("r5", "咳嗽", warnings=("id_missing",))
    summary = run(items, tmp_path / "o")
    out = lines(tmp_path / "o" / "records.jsonl")
    assert [r["id"] for r in out] == [f"r{k}" for k in range(100) if k != 3]
    assert out[4]["warnings"] == ["id_missing"]
    assert lines(tmp_path / "o" / "rejects.jsonl") == [
        {"id": "r3", "where": "f.csv:3", "code": "text_missing", "reason": "no text"}]
    assert summary.counts == {"in": 100, "ok": 98, "warned": 1, "rejected": 1} == manifest(tmp_path / "o")["counts"]
    assert summary.exit_code == 3


def test_nothing_in_is_success(tmp_path):
    summary = run([], tmp_path / "o", formats=("jsonl", "csv", "xlsx"))
    assert summary.exit_code == 0
    assert summary.counts["in"] == 0
    assert (tmp_path / "o" / "records.jsonl").read_bytes() == b""
    assert manifest(tmp_path / "o")["model"] == "" == manifest(tmp_path / "o")["schema"]
    assert (tmp_path / "o" / "_SUCCESS").exists()


def test_what_the_reader_knew_reaches_the_result(tmp_path):
    run([ReadRecord("1", "发热", "肛肠科", None, {"年龄": "46"})], tmp_path / "o")
    (found,) = lines(tmp_path / "o" / "records.jsonl")
    assert (found["dept"], found["extra"], found["text"]) == ("肛肠科", {"年龄": "46"}, "发热")


def test_the_later_of_two_equal_ids_is_rejected(tmp_path):
    items = [Record("a", "头痛1", where="f:2"), Record("b", "头痛2"), Record("a", "头痛3", where="f:4")]
    run(items, tmp_path / "o")
    assert [r["text"] for r in lines(tmp_path / "o" / "records.jsonl")] == ["头痛1", "头痛2"]
    (reject,) = lines(tmp_path / "o" / "rejects.jsonl")
    assert (reject["code"], reject["id"], reject["where"]) == ("duplicate_id", "a", "f:4")


@pytest.mark.parametrize("window", [1, 7, 64, 1000])
def test_the_window_changes_nothing(tmp_path, window):
    items = records(150)
    items[70] = Record("坏", "坏的")
    run(items, tmp_path / "o", fakes.Failing(), window=window)
    digest = [hashlib.sha256((tmp_path / "o" / n).read_bytes()).hexdigest() for n in ("records.jsonl", "rejects.jsonl")]
    run(items, tmp_path / "p", fakes.Failing())
    assert digest == [hashlib.sha256((tmp_path / "p" / n).read_bytes()).hexdigest() for n in ("records.jsonl", "rejects.jsonl")]


def test_a_second_run_gives_the_same_bytes(tmp_path):
    for name in "ab":
        run(records(40), tmp_path / name, formats=("jsonl", "csv", "xlsx"))
    for name in ("records.jsonl", "rejects.jsonl", "table.csv", "table.xlsx"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


class Counting:
    """An endless-looking source that knows how far ahead of the structurer it was read."""

    def __init__(self, n):
        self.n, self.taken, self.done, self.furthest = n, 0, 0, 0

    def __iter__(self):
        for k in range(self.n):
            self.taken += 1
            self.furthest = max(self.furthest, self.taken - self.done)
            yield Record(f"r{k}", f"咳嗽{k}")


def test_never_more_than_the_window_is_taken_ahead(tmp_path):
    source, fake = Counting(1000), fakes.Fake()

    def structure_many(batch):
        result = fake.structure_many(batch)
        source.done += len(batch)
        return result

    run_batch(source, structure_many, tmp_path / "o", window=50)
    assert source.furthest == 50
    assert fake.sizes == [FIRST_WINDOW] + [50] * 19 + [18]


def test_workers_take_no_more_ahead_than_their_chunks(tmp_path):
    source = Counting(1500)

    class Steps(Progress):
        def step(self, done, rejected, fraction):
            source.done = done

    run_batch(source, None, tmp_path / "o", factory=fakes.Fake, workers=2, progress=Steps())
    assert source.furthest <= WORKER_CHUNK * (CHUNKS_AHEAD * 2 + 1)
    assert [r["id"] for r in lines(tmp_path / "o" / "records.jsonl")] == [f"r{k}" for k in range(1500)]



def test_workers_give_the_bytes_that_one_process_gives(tmp_path):
    items = records(400)
    items[200] = Record("x", "坏的", where="f.csv:200")
    one = run(items, tmp_path / "one", fakes.Failing(), formats=("jsonl", "csv"))
    many = run_batch(iter(items), None, tmp_path / "many", factory=fakes.Failing, workers=2, formats=("jsonl", "csv"))
    assert one.counts == many.counts
    assert manifest(tmp_path / "many")["settings"]["workers"] == 2
    for name in ("records.jsonl", "rejects.jsonl", "table.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes(), name


def test_a_small_batch_stays_in_one_process(tmp_path):
    run_batch(iter(records(SMALL_BATCH)), None, tmp_path / "o", factory=fakes.dies_if_not(os.getpid()), workers=4)
    assert manifest(tmp_path / "o")["settings"]["workers"] == 1


@pytest.mark.parametrize(("factory", "code", "exit_code"), [
    (fakes.broken_model, "model_missing", 4), (fakes.dies, "worker_lost", 1)])
def test_a_worker_that_cannot_work_stops_the_run_and_leaves_nothing(tmp_path, factory, code, exit_code):
    with pytest.raises(TcmstructError) as caught:
        run_batch(iter(records(200)), None, tmp_path / "o", factory=factory, workers=2)
    assert (caught.value.code, caught.value.exit_code) == (code, exit_code)
    assert not (tmp_path / "o").exists()


def test_a_broken_model_stops_the_run_in_one_process_too(tmp_path):
    with pytest.raises(ModelError):
        run_batch(iter(records(2)), None, tmp_path / "o", factory=fakes.broken_model)
    assert not (tmp_path / "o").exists()


def test_an_interrupt_leaves_nothing_and_keeps_an_earlier_result(tmp_path):
    def interrupted():
        yield from records(300)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupted(), tmp_path / "deep" / "o")
    assert not (tmp_path / "deep").exists()

    run(records(3), tmp_path / "o")
    before = {p.name: p.read_bytes() for p in (tmp_path / "o").iterdir()}
    with pytest.raises(KeyboardInterrupt):
        run(interrupted(), tmp_path / "o", fresh=True)
    assert {p.name: p.read_bytes() for p in (tmp_path / "o").iterdir()} == before


def test_the_manifest_names_what_a_reader_of_the_result_needs(tmp_path):
    run(records(10), tmp_path / "o", formats=("csv",), facts=lambda: [{"file": "f.csv"}], settings={"map": []})
    found = manifest(tmp_path / "o")
    assert found["fields"] == {}
    assert found["coverage"] == {"有无发热": 10, "最高体温": 10, "痰色": 10}
    assert found["inputs"] == [{"file": "f.csv"}]
    assert found["settings"]["formats"] == ["jsonl", "csv"]
    assert {"elapsed_s", "records_per_s", "first_record_s"} <= found["timing"].keys()
    for name, facts in found["outputs"].items():
        data = (tmp_path / "o" / name).read_bytes()
        assert facts == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    said = (tmp_path / "o" / "_SUCCESS").read_text().split()[0]
    assert said == hashlib.sha256((tmp_path / "o" / "manifest.json").read_bytes()).hexdigest()


def test_a_structurer_that_describes_itself_fills_the_manifest(tmp_path):
    run_batch(iter(records(3)), None, tmp_path / "o", factory=fakes.Fake)
    found = manifest(tmp_path / "o")
    assert (found["model"], found["schema"], found["review_threshold"]) == ("m1", "s1", 0.95)
    assert found["fields"] == {"general": ["有无发热", "最高体温"], "呼吸内科": ["痰色"]}


def test_the_report_is_made_from_the_finished_files(tmp_path):
    def write_report(folder):
        assert json.loads((folder / "manifest.json").read_text())["counts"]["in"] == 3
        assert (folder / "records.jsonl").exists()
        (folder / "report.html").write_text("<p>ok</p>")
        return folder / "report.html"

    summary = run(records(3), tmp_path / "o", write_report=write_report)
    assert summary.report == tmp_path / "o" / "report.html"
    assert summary.report.read_text() == "<p>ok</p>"


def test_a_report_that_fails_does_not_cost_the_result(tmp_path):
    def write_report(folder):
        raise ValueError(fakes.MARKER)

    summary = run(records(3), tmp_path / "o", write_report=write_report)
    assert (summary.notes, summary.report) == (("report_failed",), None)
    assert fakes.MARKER not in (tmp_path / "o" / "manifest.json").read_text("utf-8")
    assert len(lines(tmp_path / "o" / "records.jsonl")) == 3


@posix
def test_files_are_for_their_owner_only(tmp_path):
    previous = os.umask(0)
    try:
        run(records(3), tmp_path / "o", formats=("jsonl", "csv", "xlsx"),
            write_report=partial(lambda folder: Path(folder / "report.html").write_text("x") and folder / "report.html"))
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "o").stat().st_mode) == 0o700
    for path in (tmp_path / "o").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_options_out_of_range(tmp_path):
    for options in ({"formats": ("pdf",)}, {"workers": 0}, {"window": 0}, {"workers": 2}):
        with pytest.raises(UsageError):
            run(records(1), tmp_path / "o", **options)
    assert not (tmp_path / "o").exists()


def test_extra_columns_without_end_are_capped_in_tables_only(tmp_path):
    items = [Record(f"r{k}", "咳嗽", extra={f"c{k}": "v"}) for k in range(300)]
    summary = run(items, tmp_path / "o", formats=("csv",))
    assert summary.notes == ("extra_columns_capped",)
    assert lines(tmp_path / "o" / "records.jsonl")[299]["extra"] == {"c299": "v"}
    header = (tmp_path / "o" / "table.csv").read_text("utf-8-sig").splitlines()[0]
    assert "c255" in header
    assert "c256" not in header


def test_photos_are_counted_and_their_reasons_with_them(tmp_path):
    class Looking(fakes.Fake):
        def structure_many(self, records):
            found = super().structure_many(records)
            for record, result in zip(records, found, strict=True):
                if record.image == "好.jpg":
                    result.tongue = {"quality": "ok", "conflicts": []}
                elif record.image:
                    result.warnings = ["image_blurred", "image_too_dark"]
            return found

    items = [Record(str(n), "咳嗽", image=image) for n, image in enumerate(["好.jpg", "糊.jpg", None, "好.jpg", "糊.jpg"])]
    summary = run([*items, Reject("text_missing", "no text", "f.csv:9", "9")], tmp_path / "o", Looking())
    assert manifest(tmp_path / "o")["photos"] == summary.photos == {"named": 4, "used": 2, "refused": {"blurred": 2, "too_dark": 2}}
    assert summary.counts == {"in": 6, "ok": 3, "warned": 2, "rejected": 1}


class Telling(fakes.Fake):
    """Tells of its batches as the tagger of a real structurer does."""

    class tagger:
        @staticmethod
        def memory():
            return {"budget": {"source": "constants"}, "largest_batch": {"windows": 3, "chars": 64}, "halvings": 2}


def test_the_manifest_tells_what_was_held(tmp_path):
    for name, structurer in (("a", fakes.Fake), ("b", Telling)):
        run_batch(iter(records(3)), None, tmp_path / name, factory=structurer, memory_limit_bytes=10**9)
    plain, told = (manifest(tmp_path / name)["memory"] for name in "ab")
    for memory in (plain, told):
        assert memory["limit_bytes"] == 10**9
        assert [p["process"] for p in memory["processes"]] == ["main"]
        assert memory["peak_bytes"] == memory["processes"][0]["peak_bytes"] > 10**7
    assert (plain["budget"], plain["largest_batch"], plain["halvings"]) == (None, None, 0)
    assert (told["budget"], told["largest_batch"], told["halvings"]) == ({"source": "constants"}, {"windows": 3, "chars": 64}, 2)


def test_every_worker_is_in_the_manifest(tmp_path):
    run_batch(iter(records(600)), None, tmp_path / "o", factory=Telling, workers=2)
    memory = manifest(tmp_path / "o")["memory"]
    names = [p["process"] for p in memory["processes"]]
    assert names[0] == "main"
    assert set(names[1:]) == {"worker"}
    assert memory["peak_bytes"] == sum(p["peak_bytes"] for p in memory["processes"])
    assert memory["halvings"] == 2 * len(names[1:])
