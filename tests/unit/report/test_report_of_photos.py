"""The report says what photographs did, lists conflicts, and takes odd lines as they come."""

import json

from tcmstruct.record import FieldValue, StructuredRecord
from tcmstruct.report import write_report
from tcmstruct.report.tally import MAX_CONFLICTS

TEXT = "舌红，苔白。"
CONFLICT = {"field": "舌色", "text": ["红", "<b>"], "image": "淡白", "confidence": 0.91}


def page_of(folder, lines):
    (folder / "records.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return write_report(folder, identified=True).read_text("utf-8")


def section_of(page):
    return page[page.index('<section id="photos"') : page.index('<section id="fields"')]


def line(id, tongue=None, warnings=(), source="text"):
    fields = {"舌色": FieldValue(["红"], "舌红", 0, 2, source=source)}
    return StructuredRecord(id, TEXT, [], fields, tongue=tongue, warnings=warnings).to_dict()


def test_filled_confirmed_contradicted_and_not_used_are_told(tmp_path):
    section = section_of(page_of(tmp_path, [
        line("一", {"quality": "ok", "conflicts": [CONFLICT]}), line("二", {"quality": "ok", "conflicts": []}, source="both"),
        line("三", None, ["image_blurred"]), line("四")]))
    assert "used</small> <b>2</b>" in section and "confirmed</small> <b>1</b>" in section and "<code>blurred</code> 1" in section
    assert all(part in section for part in ("一", "舌色", "红；&lt;b&gt;", "淡白", "0.91")) and "<b>；" not in section


def test_a_batch_without_photographs_has_no_such_section(tmp_path):
    page = page_of(tmp_path, [line("一"), line("二", warnings=["id_missing"])])
    assert 'id="photos"' not in page and "#photos" not in page


def test_the_list_of_conflicts_ends_and_says_so(tmp_path):
    section = section_of(page_of(tmp_path, [line(str(n), {"conflicts": [CONFLICT]}) for n in range(MAX_CONFLICTS + 5)]))
    assert section.count("<tr>") == MAX_CONFLICTS + 1 and "table.xlsx" in section


def test_odd_conflicts_do_not_stop_the_report(tmp_path):
    odd = [{}, "舌色", {"field": 5, "text": None, "image": ["a"]}]
    assert 'id="photos"' in page_of(tmp_path, [line("一", {"conflicts": odd}), line("二")])
