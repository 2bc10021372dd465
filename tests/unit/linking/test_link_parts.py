"""Composite diagnoses."""

import pytest

from tcmstruct.linking import Linker


@pytest.fixture(scope="module")
def linker():
    return Linker()


@pytest.mark.parametrize(("text", "kind", "expected"), [
    ("痹证(风寒湿痹)", "中医诊断", [("痹证", "9.6"), ("风寒湿痹", "9.6.1")]),
    ("胸痹-气虚血瘀证", "中医病名", [("胸痹", "6.1.1"), ("气虚血瘀证", "5.1.3.6.2")]),
    ("喘证（痰热壅肺证）", "中医病名", [("喘证", "6.4.4.2"), ("痰热壅肺证", "4.9.5.1.3.1")]),
    ("1.胸痹；2、眩晕（肝阳上亢证）", "中医诊断", [("胸痹", "6.1.1"), ("眩晕", "19.7"), ("肝阳上亢证", "6.2.1.4.2.1")]),
    ("①泄泻②", "中医诊断", [("泄泻②", None)]),
    ("气阴两虚兼血瘀", "证候", [("气阴两虚", "5.1.5"), ("血瘀", "5.2.5")]),
    ("肝郁脾虚;肾阳虚", "证候", [("肝郁脾虚", "6.6.2.3.1.2"), ("肾阳虚", "6.5.1.3.3")]),
    ("胆囊炎、胆囊结石", "西医诊断", [("胆囊炎", "K81"), ("胆囊结石", "K80")]),
    ("慢性萎缩性胃炎伴糜烂", "西医诊断", [("慢性萎缩性胃炎", "K29"), ("糜烂", None)]),
    ("升结肠癌肝转移", "西医诊断", [("升结肠癌", "C18"), ("肝转移", "C78")]),
    ("高血压合并2型糖尿病", "西医诊断", [("高血压", "I10"), ("2型糖尿病", "E11")]),
    ("(胃窦、幽门)腺癌", "西医诊断", [("(胃窦、幽门)腺癌", "C16")]),
    ("", "西医诊断", []),
    ("；；", "中医诊断", []),
])
def test_split(linker, text, kind, expected):
    parts = linker.parts(text, kind)
    assert [(part.text, part.link and part.link.code) for part in parts] == expected
    assert all(text[part.start : part.end] == part.text for part in parts)


def test_the_table_that_gave_the_code_is_named(linker):
    assert [part.kind for part in linker.parts("喘证（痰热壅肺证）", "中医病名")] == ["disease_tcm", "syndrome"]


def test_json_shape(linker):
    (part,) = linker.parts("湿热下注", "证候")
    assert part.to_dict(offset=10) == {"start": 10, "end": 14, "system": "GB/T 16751.2-2021", "code": "4.5.4.2.6",
                                       "name": "湿热下注证", "score": 1.0, "rule": "alias"}
