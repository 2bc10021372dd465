"""Folders as `convert` writes them, small or large, with texts of our own."""

import json

from fake_structurers import finds_fever

from tcmstruct.record import FieldValue, Mention, Record

TEXTS = ("患者咳嗽3天，咳黄痰，无发热，体温37.8℃。", "发热2天，咳嗽，咳黄痰。", "胃脘胀痛，无发热，纳差。", "发热，体温37.8℃，头痛。")
DEPTS = ("呼吸内科", "消化内科", "肛肠科")
HOSTILE = "<script>window.ran=1</script><img src=x onerror=window.ran=1>"


def structured(number, text=None):
    """A record with values above and below the review threshold, nested mentions, and every third with a warning."""
    text = text or TEXTS[number % len(TEXTS)] + f"第{number}份。"
    record = finds_fever(Record(f"r{number:06}", text, DEPTS[number % len(DEPTS)]))
    record.fields = {name: value for name, value in record.fields.items() if name != "痰色"}
    at = text.find("黄痰")
    if at > 0:
        record.fields["痰色"] = FieldValue(["黄"], "黄痰", at, at + 2, confidence=0.6 + number % 7 / 100, review=True)
        record.entities = [*record.entities, Mention("症状体征", at - 1, at + 2, "有", 0.8), Mention("症状体征", at, at + 2, "有", 0.7)]
    if number % 3 == 0:
        record.warnings = ["id_missing"]
    return record


def write_folder(out, records):
    """OUT with records.jsonl and the little of a manifest that pages read."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "records.jsonl").open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record.to_dict(), ensure_ascii=False, separators=(",", ":")) + "\n")
    fields = {"general": ["有无发热", "最高体温"], "呼吸内科": ["痰色", "痰量", "咳嗽"]}
    (out / "manifest.json").write_text(json.dumps({"tool": "tcmstruct", "fields": fields, "model": "m1", "schema": "s1"}), encoding="utf-8")
    return out
