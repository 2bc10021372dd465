"""Frames of pandas with the types of the fields, and a notebook that runs."""

import json
import sys

import pytest

pd = pytest.importorskip("pandas")

from tcmstruct.errors import InputRefused, MissingExtra, UsageError  # noqa: E402
from tcmstruct.frames import indicators, read  # noqa: E402
from tcmstruct.record import FieldValue, Mention, StructuredRecord  # noqa: E402

CODE = {"system": "GB/T 16751.2-2021", "code": "6.6", "name": "脾肾阳虚证", "start": 0, "end": 2}


def value(what, unit=None, **more):
    return FieldValue(what, "依据", 0, 2, unit, 0.9, **more)


@pytest.fixture
def out(tmp_path):
    records = [
        StructuredRecord("007", "依据", [Mention("证候", 0, 2, codes=(CODE,))], {
            "发热": value("无"), "体温": value(37.0, "℃"), "舌色": value(["红", "暗"], review=True), "大便频次": value("1-1/2")},
            "骨科", extra={"就诊日期": "2025-03-01", "床号": "01", "发热": "原表"}),
        StructuredRecord("008", "依据", [], {"体温": value(38.5, "℃"), "舌色": value(["红"])}, extra={"床号": "02"}),
        StructuredRecord("009", "依据")]
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(r.to_dict(), ensure_ascii=False) + "\n" for r in records), "utf-8")
    manifest = {"fields": {"general": ["发热", "体温", "舌色", "咳嗽"]}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False), "utf-8")
    return tmp_path


def test_visits_have_the_types_of_the_fields(out):
    visits = read(out).visits
    assert list(visits.index) == ["007", "008", "009"] and visits.index.dtype == "string"
    assert list(visits.columns) == ["dept", "发热", "体温", "舌色", "咳嗽", "大便频次", "就诊日期", "床号", "发热（原列）"]
    assert visits["体温"].dtype == "Float64" and visits["体温"].mean() == 37.75
    assert visits.loc["007", "发热"] == "无" and visits.loc["008", "发热"] is pd.NA, "denied is not silence"
    assert visits.loc["007", "舌色"] == ["红", "暗"] and visits.loc["009", "舌色"] is None
    assert visits.loc["008", "床号"] == "02" and visits["床号"].dtype == "string"
    assert visits["咳嗽"].isna().all() and pd.to_datetime(visits["就诊日期"]).dt.month.iloc[0] == 3


def test_values_are_a_row_each(out):
    values = read(out).values
    assert values[["id", "field", "value"]].values.tolist() == [
        ["007", "发热", "无"], ["007", "体温", "37"], ["007", "舌色", "红"], ["007", "舌色", "暗"], ["007", "大便频次", "1-1/2"],
        ["008", "体温", "38.5"], ["008", "舌色", "红"]]
    assert values.set_index("field")["number"].dropna().to_dict() == {"体温": 38.5, "大便频次": 0.5}
    assert values["review"].sum() == 2 and values["unit"].iloc[4] == "次/日" and values["confidence"].dtype == "Float64"


def test_codes_are_a_row_each(out):
    codes = read(out).codes
    assert codes.to_dict("records") == [{"id": "007", "type": "证候", "text": "依据", "system": CODE["system"], "code": "6.6",
                                         "name": "脾肾阳虚证", "confidence": 1.0}]


def test_indicators_know_silence(out):
    visits = read(out).visits
    table = indicators(visits["舌色"])
    assert list(table.columns) == ["红", "暗"] and table.loc["008"].tolist() == [True, False] and table.loc["009"].isna().all()
    assert table["暗"].mean() == 0.5
    assert indicators(visits["发热"])["无"].tolist() == [True, pd.NA, pd.NA]
    with pytest.raises(UsageError):
        indicators(visits["体温"])


def test_reading_ends_where_it_is_told_and_needs_records(out, tmp_path):
    assert len(read(out / "records.jsonl", most=2).visits) == 2
    (tmp_path / "none").mkdir()
    with pytest.raises(InputRefused):
        read(tmp_path / "none")


def test_an_empty_result_has_empty_frames(tmp_path):
    (tmp_path / "records.jsonl").write_text("")
    frames = read(tmp_path)
    assert len(frames.visits) == len(frames.values) == len(frames.codes) == 0 and list(frames.visits.columns) == ["dept"]


def test_without_pandas_it_says_so(out, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"\[pandas\]"):
        read(out)
