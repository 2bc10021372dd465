import pytest

from tcmstruct.text.clauses import clauses, findings_only, names_a_diagnosis


def test_clauses_hold_every_character_but_the_signs_between():
    text = "胃脘胀痛，嗳气、反酸；\n 舌红，苔黄。"
    assert [text[a:b] for a, b in clauses(text)] == ["胃脘胀痛", "嗳气、反酸", " 舌红", "苔黄"]
    assert clauses("") == clauses("，。\n") == []


@pytest.mark.parametrize("clause", ["中医诊断：胃痛", "辨证为肝胃郁热", "门诊以“胃痛”收入院", "证属气虚血瘀",
                                    "治以疏肝和胃", "予柴胡疏肝散加减"])
def test_what_tells_the_answer_is_left_out(clause):
    assert names_a_diagnosis(clause)
    text = f"胃脘胀痛，{clause}，嗳气。"
    assert [text[a:b] for a, b in findings_only(text)] == ["胃脘胀痛", "嗳气"]


@pytest.mark.parametrize("clause", ["胃脘胀痛", "既往体健", "舌淡红", "大便日行三次"])
def test_findings_stay(clause):
    assert not names_a_diagnosis(clause)
