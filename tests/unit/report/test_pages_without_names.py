"""Pages and the first record of `inspect` replace what names a person, and say so; `identified` shows all as it is."""

import json

import pytest

from tcmstruct.image.refusal import ImageRefused
from tcmstruct.recipes.inspect_file import SHOWN_CHARACTERS, as_text, inspect_file
from tcmstruct.record import FieldValue, Mention, StructuredRecord
from tcmstruct.report import write_report, write_view

TEXT = "患者李建国，男，56岁，电话13800138000，于2023年5月3日至南京市鼓楼医院就诊。舌红，苔黄腻，脉滑数。"
SECRETS = ("李建国", "13800138000", "5月3日", "鼓楼医院", "ZY0012345", "王小红")


def at(words):
    return TEXT.index(words), TEXT.index(words) + len(words)


def record():
    return StructuredRecord(
        "ZY0012345", TEXT, [Mention("舌质", *at("舌红")), Mention("舌苔", *at("苔黄腻"))],
        {"苔色": FieldValue(["黄"], "苔黄腻", *at("苔黄腻")),
         "就诊医院": FieldValue("南京市鼓楼医院", "南京市鼓楼医院", *at("南京市鼓楼医院"))},
        "鼓楼医院骨科", {"image": "李建国/01.jpg", "conflicts": [{"field": "苔色", "text": ["黄"], "image": "白", "confidence": 0.9}]})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "records.jsonl").write_text(json.dumps(record().to_dict(), ensure_ascii=False) + "\n", "utf-8")
    reject = {"code": "text_missing", "where": "王小红.docx:1"}
    (tmp_path / "rejects.jsonl").write_text(json.dumps(reject, ensure_ascii=False) + "\n", "utf-8")
    (tmp_path / "manifest.json").write_text(json.dumps({"inputs": [{"file": "王小红.docx"}]}, ensure_ascii=False), "utf-8")
    return tmp_path


def page(folder, kind, **options):
    if kind == "report":
        return write_report(folder, **options).read_text("utf-8")
    return write_view(folder, folder / "page.html", **options).read_text("utf-8")


@pytest.mark.parametrize("kind", ["report", "view"])
def test_no_name_is_on_a_page_and_what_is_clinical_is(folder, kind):
    shown = page(folder, kind)
    assert not [secret for secret in SECRETS if secret in shown]
    assert "已去标识" in shown and "[姓名-" in shown and "[编号-" in shown
    assert "舌红</mark>" in shown and "苔黄腻</mark>" in shown, "marks stand on the words that they stood on"
    assert "其处文字与依据不符" not in shown and "differs" not in shown.split("<script>")[0].split("</style>")[1]


@pytest.mark.parametrize("kind", ["report", "view"])
def test_identified_shows_all_and_says_so(folder, kind):
    shown = page(folder, kind, identified=True)
    assert all(secret in shown for secret in SECRETS[:5]) and "未去标识" in shown and "已去标识" not in shown


def test_a_photograph_is_looked_up_by_the_record_as_it_is_and_named_by_its_pseudonym(folder):
    asked = []

    def photos(record):
        asked.append((record.id, record.tongue["image"], record.text))
        raise ImageRefused("not_found")

    shown = page(folder, "view", photos=photos)
    assert asked == [("ZY0012345", "李建国/01.jpg", TEXT)]
    assert not [secret for secret in SECRETS if secret in shown] and ".jpg" in shown


def test_a_pseudonym_is_the_same_on_every_page(folder):
    word = page(folder, "view").split("[姓名-")[1][:8]
    assert f"[姓名-{word}]" in page(folder, "report")


def test_a_page_is_made_where_no_key_can_be_kept(folder, monkeypatch):
    (folder / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "file"))
    assert "李建国" not in page(folder, "view")


def test_inspect_shows_the_first_record_without_names_and_leaves_no_key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    long = TEXT + "腰痛" * SHOWN_CHARACTERS
    (tmp_path / "a.csv").write_text(f"住院号,姓名,科室,病历内容\nZY0012345,李建国,骨科,{long}\nZY0012346,王小红,内科,咳嗽\n", "utf-8")
    found = inspect_file(tmp_path / "a.csv")
    told = as_text(found) + json.dumps(found, ensure_ascii=False)
    assert not [secret for secret in SECRETS if secret in told] and "骨科" in told and "咳嗽" not in told
    assert len(found["first_record"]["text"]) == SHOWN_CHARACTERS
    assert not (tmp_path / "config").exists()
    shown = inspect_file(tmp_path / "a.csv", identified=True)
    assert shown["first_record"]["extra"] == {"姓名": "李建国"} and shown["first_record"]["id"] == "ZY0012345"
    assert "identified" in as_text(shown)


def test_inspect_of_a_file_without_records_shows_none(tmp_path):
    (tmp_path / "a.csv").write_text("id,text\n", "utf-8")
    found = inspect_file(tmp_path / "a.csv")
    assert found["first_record"] is None and "first record" not in as_text(found)
