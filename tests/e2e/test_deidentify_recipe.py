"""`tcmstruct deidentify` from file to file."""

import io
import json
import stat

import pytest

from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.recipes.deidentify import deidentify_file

TEXT = "患者李建国，男，56岁，电话13800138000，2023年5月3日入院。舌红，苔黄腻，脉滑数。"


@pytest.fixture
def key(tmp_path):
    return tmp_path / "key"


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_text_file_and_standard_input(tmp_path, key, capfdbinary, encoding):
    (tmp_path / "a.txt").write_bytes(TEXT.encode(encoding))
    deidentify_file(str(tmp_path / "a.txt"), key_file=key)
    from_file = capfdbinary.readouterr()
    deidentify_file("-", key_file=key, stdin=io.BytesIO(TEXT.encode(encoding)))
    shown = capfdbinary.readouterr().out.decode()
    assert from_file.out.decode() == shown
    assert shown.endswith("舌红，苔黄腻，脉滑数。") and shown.startswith("患者[姓名-")
    told = from_file.err.decode()
    assert "patient 1, phone 1, date 1" in told
    for secret in ("李建国", "13800138000", "5月3日", key.read_text().strip()):
        assert secret not in shown + told


def test_a_table_becomes_json_lines_and_the_file_is_private(tmp_path, key):
    rows = f"住院号,姓名,科室,病历内容,联系电话\nZY001,李建国,骨科,{TEXT},13900139000\nZY002,王红,内科,,\n"
    (tmp_path / "a.csv").write_bytes(rows.encode("gb18030"))
    summary = deidentify_file(str(tmp_path / "a.csv"), tmp_path / "o.jsonl", key_file=key)
    (record,) = lines(tmp_path / "o.jsonl")
    assert summary.rejects == {"text_missing": 1}
    assert stat.S_IMODE((tmp_path / "o.jsonl").stat().st_mode) == 0o600
    assert record["dept"] == "骨科" and "苔黄腻" in record["text"]
    assert record["extra"]["姓名"] in record["text"]
    told = (tmp_path / "o.jsonl").read_text("utf-8")
    for secret in ("李建国", "13800138000", "13900139000", "ZY001", "2023年5月3日"):
        assert secret not in told


def test_records_of_convert_keep_their_fields_and_slices(tmp_path, key):
    at = TEXT.index("苔黄腻")
    record = {"id": "9", "text": TEXT, "entities": [{"type": "舌苔", "status": None, "text": "苔黄腻", "start": at, "end": at + 3}],
              "fields": {"苔色": {"value": ["黄"], "unit": None, "evidence": "苔黄腻", "start": at, "end": at + 3}}, "warnings": []}
    (tmp_path / "records.jsonl").write_text(json.dumps(record, ensure_ascii=False) + "\n", "utf-8")
    for source in (tmp_path / "records.jsonl", tmp_path):
        deidentify_file(str(source), tmp_path / "o.jsonl", key_file=key, dates="cut", keep=["phone"])
        (new,) = lines(tmp_path / "o.jsonl")
        field = new["fields"]["苔色"]
        assert new["text"][field["start"]:field["end"]] == field["evidence"] == "苔黄腻" == new["entities"][0]["text"]
        assert "13800138000" in new["text"] and "2023年5月入院" in new["text"] and "李建国" not in new["text"]


def test_what_cannot_be_done_is_said_and_leaves_nothing(tmp_path, key):
    (tmp_path / "a.txt").write_text(TEXT, "utf-8")
    (tmp_path / "bad.jsonl").write_text('{"id": "1", "text": "李建国"}\n{李建国\n', "utf-8")
    with pytest.raises(UsageError):
        deidentify_file(str(tmp_path / "none.txt"), key_file=key)
    with pytest.raises(UsageError):
        deidentify_file(str(tmp_path / "a.txt"), tmp_path / "a.txt", key_file=key)
    with pytest.raises(UsageError):
        deidentify_file(str(tmp_path / "a.txt"), key_file=key, keep=["nobody"])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputRefused) as raised:
        deidentify_file(str(tmp_path / "bad.jsonl"), tmp_path / "o.jsonl", key_file=key)
    assert "李建国" not in str(raised.value)
    assert sorted(tmp_path.iterdir()) == before
