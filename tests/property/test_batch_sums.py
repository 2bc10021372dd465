"""in = ok + warned + rejected, and no marker of a failing record is met outside the records."""

import json
import sys
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tcmstruct.batch import run_batch
from tcmstruct.emr.rows import ReadRecord, Reject

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))
import fake_structurers as fakes

ITEMS = st.lists(st.one_of(
    st.builds(lambda n, t: ReadRecord(f"r{n}", f"{t}发热"), st.integers(0, 30), st.text(st.characters(codec="utf-8"), max_size=9)),
    st.builds(lambda n: ReadRecord(f"w{n}", "咳嗽", warnings=("id_missing",)), st.integers(0, 30)),
    st.builds(lambda n: ReadRecord(f"b{n}", f"坏{fakes.MARKER}"), st.integers(0, 30)),
    st.just(Reject("ragged_row", "x", "f:1")),
), max_size=60)


@settings(max_examples=25, deadline=None)
@given(ITEMS, st.integers(1, 20))
def test_sums_and_markers(items, window):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "o"
        summary = run_batch(iter(items), fakes.Failing().structure_many, out, window=window, formats=("jsonl", "csv"))
        counts = summary.counts
        assert counts["in"] == len(items) == counts["ok"] + counts["warned"] + counts["rejected"]
        records = [json.loads(line) for line in (out / "records.jsonl").read_bytes().splitlines()]
        rejects = (out / "rejects.jsonl").read_bytes().splitlines()
        assert (len(records), len(rejects)) == (counts["ok"] + counts["warned"], counts["rejected"])
        assert len({r["id"] for r in records}) == len(records)
        for record in records:
            for value in (*record["fields"].values(), *record["entities"]):
                assert record["text"][value["start"]:value["end"]] == value.get("evidence", value.get("text"))
        for path in out.iterdir():
            assert fakes.MARKER.encode() not in path.read_bytes(), path.name
        assert summary.exit_code == (3 if rejects else 0)
