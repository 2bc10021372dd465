import numpy as np
import pytest

from tcmstruct.errors import InputRefused
from tcmstruct.training.case_labels import Normaliser, label_cases
from tcmstruct.training.cases import Case


@pytest.fixture(scope="module")
def normaliser():
    return Normaliser()


def cases_of(task, conclusions):
    return [Case(f"c{i}", "made up", f"第{i}份", {task: said}) for i, said in enumerate(conclusions)]


def test_names_are_the_standards_whatever_the_author_wrote(normaliser):
    labels, truth = label_cases(cases_of("syndrome", ["气虚血瘀", "血瘀气虚证", "湿热下注证", "湿热下注"]), "syndrome", 2, normaliser)
    assert [(one.name, one.code, one.n) for one in labels.labels] == [("湿热下注证", "4.5.4.2.6", 2), ("气虚血瘀证", "5.1.3.6.2", 2)]
    assert truth.tolist() == [[0, 1], [0, 1], [1, 0], [1, 0]]


def test_a_composite_conclusion_has_several_labels(normaliser):
    _, truth = label_cases(cases_of("syndrome", ["气虚血瘀证；湿热下注证", "气虚血瘀证", "湿热下注证"]), "syndrome", 2, normaliser)
    assert truth[0].tolist() == [1, 1]


def test_rare_labels_go_to_what_they_are_a_kind_of(normaliser):
    said = ["混合痔"] * 2 + ["内痔", "外痔"] + ["中风病"] * 3
    labels, truth = label_cases(cases_of("disease", said), "disease", 3, normaliser)
    assert {one.code: one.n for one in labels.labels} == {"9.1.1": 3, "10.3.1": 4}  # 痔疮 holds 混合痔, 内痔 and 外痔
    assert truth[:, [one.code for one in labels.labels].index("10.3.1")].tolist() == [1, 1, 1, 1, 0, 0, 0]


def test_words_that_no_standard_knows_keep_their_own_name(normaliser):
    labels, _ = label_cases(cases_of("syndrome", ["风痰瘀阻证"] * 2 + ["湿热下注证"] * 2), "syndrome", 2, normaliser)
    assert ("风痰瘀阻证", None, None) in {(one.name, one.system, one.code) for one in labels.labels}


def test_a_rare_conclusion_is_known_to_be_none_of_the_labels_and_a_missing_one_is_not_known(normaliser):
    cases = [*cases_of("disease", ["中风病", "中风病", "混合痔", "混合痔", "疟疾"]), Case("x", "made up", "无诊断", {})]
    _, truth = label_cases(cases, "disease", 2, normaliser)
    assert truth[4].tolist() == [0, 0] and np.isnan(truth[5]).all()


def test_held_out_cases_make_no_label(normaliser):
    held = [Case(f"h{i}", "gold_dev", f"外{i}", {"disease": "疟疾"}, held_out=True) for i in range(5)]
    labels, truth = label_cases([*cases_of("disease", ["中风病"] * 2 + ["混合痔"] * 2), *held], "disease", 2, normaliser)
    assert len(labels.labels) == 2 and truth.shape == (9, 2)


@pytest.mark.parametrize("said", [[], ["中风病"], ["中风病"] * 5])
def test_too_few_labels_are_refused(normaliser, said):
    with pytest.raises(InputRefused) as refused:
        label_cases(cases_of("disease", said), "disease", 2, normaliser)
    assert refused.value.code == "labels_too_few"


def test_copies_of_a_case_count_once(normaliser):
    cases = cases_of("disease", ["中风病"] * 3 + ["混合痔"] * 3 + ["消渴病"] * 3)
    labels, _ = label_cases(cases, "disease", 2, normaliser, groups=[0, 0, 0, 1, 2, 3, 4, 4, 5])
    assert {one.code: one.n for one in labels.labels} == {"10.3.1.3": 3, "8.9": 2}
