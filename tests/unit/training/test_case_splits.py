import numpy as np

from tcmstruct.training.case_splits import folds_of, near_duplicates
from tcmstruct.training.cases import Case

A = "胃脘胀痛反复三年，饥时明显，进食后缓解，伴反酸烧心，夜间口苦，大便偏干，两日一行，近一周因饮酒加重。"
B = "左侧肢体无力半日，言语含糊，口角向右歪斜，无头痛呕吐，既往血压偏高，未规律服药，夜寐一般，纳可。"


def test_copies_share_a_group_whatever_their_signs():
    groups = near_duplicates([A, B, A.replace("，", " ") + "今来复诊。", B[:40]])
    assert groups[0] == groups[2] and groups[1] == groups[3] and groups[0] != groups[1]


def test_a_forms_own_wording_makes_no_copies():
    form = "意识清楚，精神可，体型匀称，言语流利，口唇色泽如常，皮肤未见异常。"
    texts = [f"{''.join(chr(0x4E00 + (i * 977 + j * 131) % 9000) for j in range(40))}。{form}" for i in range(30)]
    assert len(set(near_duplicates(texts))) == 30


def test_folds_come_from_the_text_alone():
    cases = [Case(f"c{i}", "made up", f"{chr(0x4E00 + i)}病{i}" * 12, {"disease": "x"}) for i in range(60)]
    groups = near_duplicates([case.text for case in cases])
    folds = folds_of(cases, groups)
    turned = folds_of(cases[::-1], groups[::-1])[::-1]
    assert np.array_equal(folds, turned) and len(set(folds)) == 5
    some = folds_of(cases[:20], groups[:20])
    assert np.array_equal(some, folds[:20])  # more data moves nobody


def test_copies_of_a_held_out_case_are_held_out():
    cases = [Case("a", "records", A, {}), Case("b", "records", B, {}), Case("c", "gold_dev", A + "复诊。", {}, held_out=True)]
    folds = folds_of(cases, near_duplicates([case.text for case in cases]))
    assert folds[0] == folds[2] == -1 and folds[1] >= 0
