import json
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tcmstruct.batch import run_batch
from tcmstruct.batch.folder import WORK
from tcmstruct.batch.verify import verify
from tcmstruct.emr.rows import Reject
from tcmstruct.errors import InputRefused
from tcmstruct.record import Record

sys.path.insert(0, str(Path(__file__).parents[2] / "fakes"))
import fake_structurers as fakes


@pytest.fixture
def out(tmp_path):
    rows = [Record("a", "有发热，体温37.8℃"), Reject("text_missing", "no text", "f:2", "b"), Record("c", "咳黄痰")]
    run_batch(iter(rows), None, tmp_path / "o", factory=fakes.Fake, formats=("jsonl", "csv"))
    return tmp_path / "o"


def failed(out):
    return [check for check, fault in verify(out) if fault is not None]


def rewrite(out, change, name="records.jsonl"):
    """Changes a file together with its fingerprints, as somebody would who wants it to pass."""
    lines = [json.loads(line) for line in (out / name).read_bytes().splitlines()]
    (out / name).write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in change(lines)), "utf-8")
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    data = (out / name).read_bytes()
    manifest["outputs"][name] = {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    (out / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    (out / "_SUCCESS").write_text(f"{sha256((out / 'manifest.json').read_bytes()).hexdigest()}  manifest.json\n")


def moved(lines):
    lines[0]["fields"]["有无发热"]["start"] += 1
    return lines


def test_a_result_as_it_was_made(out):
    assert [fault for _, fault in verify(out)] == [None] * 10


@pytest.mark.parametrize(("spoil", "check"), [
    (lambda out: (out / "table.csv").unlink(), "table.csv"),
    (lambda out: (out / "table.csv").write_bytes((out / "table.csv").read_bytes() + b"x"), "table.csv"),
    (lambda out: (out / "rejects.jsonl").write_bytes((out / "rejects.jsonl").read_bytes().replace(b'"b"', b'"d"')), "rejects.jsonl"),
    (lambda out: (out / "manifest.json").write_bytes((out / "manifest.json").read_bytes().replace(b'"in": 3', b'"in": 4')),
     "in = ok + warned + rejected"),
    (lambda out: rewrite(out, lambda lines: lines[:1]), "ok: 2"),
    (lambda out: rewrite(out, lambda lines: [*lines, *lines], "rejects.jsonl"), "rejected: 1"),
    (lambda out: rewrite(out, lambda lines: [lines[0], lines[0]]), "ids are unique"),
    (lambda out: rewrite(out, moved), "every value stands in its text")])
def test_what_was_changed_is_found(out, spoil, check):
    spoil(out)
    assert check in failed(out)


def test_no_result_and_an_unfinished_one_are_told_apart(out):
    (out / "_SUCCESS").unlink()
    for code in ("result_missing", "result_unfinished"):
        with pytest.raises(InputRefused) as caught:
            list(verify(out))
        assert caught.value.code == code
        (out / WORK).mkdir(exist_ok=True)


def test_a_line_that_is_no_json_says_where(out):
    (out / "records.jsonl").write_bytes(b'{"id"')
    with pytest.raises(InputRefused) as caught:
        list(verify(out))
    assert (caught.value.code, caught.value.where) == ("result_damaged", "records.jsonl:1")
