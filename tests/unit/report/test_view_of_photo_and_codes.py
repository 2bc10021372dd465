"""The reading page shows what the photograph said, where it disagrees, and the codes of a diagnosis."""

import json

from tcmstruct.recipes.view import view
from tcmstruct.record import FieldValue, Mention, StructuredRecord

TEXT = "高血压病史。舌红，苔黄。"
RECORD = StructuredRecord(
    "1", TEXT,
    [Mention("西医诊断", 0, 3, codes=({"start": 0, "end": 3, "system": "ICD-10", "code": "I10", "name": "特发性高血压", "score": 1.0,
                                     "rule": "alias"},))],
    {"舌色": FieldValue(["红"], "舌红", 6, 8, confidence=0.95, review=True),
     "舌形": FieldValue(["裂纹"], "", 0, 0, confidence=0.99, source="image", review=True)},
    tongue={"quality": "ok", "measures": {}, "conflicts": [{"field": "舌色", "text": ["红"], "image": "淡白", "confidence": 0.9}],
            "attributes": {"裂纹": {"value": "重", "confidence": 0.99, "status": "answered"},
                           "腻": {"value": None, "confidence": 0.5, "status": "unsure"},
                           "红": {"value": None, "confidence": 0.0, "status": "not_assessed"}}})


def test_photo_conflict_and_codes_are_on_the_page(tmp_path):
    (tmp_path / "r.jsonl").write_text(json.dumps(RECORD.to_dict(), ensure_ascii=False) + "\n", encoding="utf-8")
    page = view(tmp_path / "r.jsonl", tmp_path / "v.html", 10, None).read_text("utf-8")
    assert "不确定 unsure" in page and "未评估 not assessed" in page
    assert "重 (0.99)" in page and "(0.00)" not in page
    assert "冲突" in page and "淡白" in page
    assert "ICD-10 I10" in page
