from hypothesis import given
from hypothesis import strategies as st

from tcmstruct.emr.sections import cut_sections, label_pairs


def test_titles_labels_and_what_precedes_them():
    facts, sections = cut_sections(
        "某院门诊病历\n姓名：甲某  性别：女　年龄：46岁\n住院号: ZY001\n主诉：咳嗽3天。\n【现病史】3天前受凉。\n查体：未做。\n"
        "入院后咳嗽加重：夜间为甚。\n二、既往史：体健\n初步诊断：咳嗽病\n风热犯肺证\n鉴别诊断：与哮病鉴别。\n")
    assert facts == {"姓名": "甲某", "性别": "女", "年龄": "46岁", "住院号": "ZY001", "初步诊断": "咳嗽病\n风热犯肺证",
                     "鉴别诊断": "与哮病鉴别。"}
    assert sections == [("", "某院门诊病历"), ("主诉", "咳嗽3天。"), ("现病史", "3天前受凉。"),
                        ("查体", "未做。\n入院后咳嗽加重：夜间为甚。"), ("既往史", "体健")]


def test_a_known_name_within_a_sentence_cuts_nothing():
    text = "患者今日查体：T36.5℃，主诉：头痛，姓名：不详。"
    assert cut_sections(text) == ({}, [("", text)])
    assert label_pairs("患者姓名：甲某，因头痛入院。" + "头痛" * 40) == ()


def test_spaced_labels():
    assert label_pairs("姓　名：甲某　　性 别：女") == [("姓名", "甲某"), ("性别", "女")]


PIECES = ["主诉：", "现病史:", "姓名：甲", "【舌脉】", "。", "头痛", " ", "\n", "诊断：", "：", "1、", "\t", "\u2028"]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_no_character_is_lost(text):
    facts, sections = cut_sections(text)
    kept = "".join((*facts, *facts.values(), *(part for section in sections for part in section)))
    for char in set("头痛甲"):
        assert (char in text) == (char in kept)
