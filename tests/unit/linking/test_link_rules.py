"""Which rule gives which code, and where none may."""

import pytest

from tcmstruct.errors import UsageError
from tcmstruct.linking import Code, Linker, shipped_codes


@pytest.fixture(scope="module")
def linker():
    return Linker()


@pytest.mark.parametrize(("surface", "kind", "code", "rule"), [
    ("湿热下注证", "证候", "4.5.4.2.6", "exact"),
    ("湿热下注", "证候", "4.5.4.2.6", "alias"),
    ("喘证", "中医病名", "6.4.4.2", "alias"),
    ("肝鬱脾虛證", "证候", "6.6.2.3.1.2", "normalised"),
    ("脾虚肝郁", "证候", "6.6.2.3.1.2", "normalised"),
    ("湿热下注型", "证候", "4.5.4.2.6", "normalised"),
    ("脾气虚弱证", "证候", "6.3.1.3.1", "normalised"),
    ("气滞血淤", "证候", "5.1.2.2.1", "normalised"),
    ("癫证", "中医病名", "6.1.20.1", "normalised"),
    ("尪痹病", "中医病名", "9.6.3", "normalised"),
    ("2型糖尿病", "西医诊断", "E11", "alias"),
    ("Ⅱ型糖尿病", "西医诊断", "E11", "alias"),
    ("左肾结石", "西医诊断", "N20", "normalised"),
    ("急性脑梗塞", "西医诊断", "I63", "alias"),
    ("慢性胃炎（轻度）", "西医诊断", "K29", "normalised"),
    ("降结肠低分化腺癌", "西医诊断", "C18", "composed"),
    ("(胃窦)印戒细胞癌", "西医诊断", "C16", "composed"),
    ("腹膜后淋巴结转移", "西医诊断", "C77", "composed"),
    ("肠易激综合征者", "西医诊断", "K58", "fuzzy"),
    ("肝郁脾虚证", "中医诊断", "6.6.2.3.1.2", "exact"),
    ("泄泻", "中医诊断", "6.3.7", "alias"),
    ("眩晕", "证候", "19.7", "exact"),
])
def test_rule(linker, surface, kind, code, rule):
    link = linker.link(surface, kind)
    assert link is not None
    assert (link.code, link.rule) == (code, rule)
    assert 0 < link.score <= 1
    assert (link.score == 1) == (rule in ("exact", "alias"))


@pytest.mark.parametrize(("surface", "kind"), [
    ("", "证候"), (" ", "西医诊断"), ("（）", "西医诊断"), ("a", "证候"),
    ("痞病", "syndrome"),
    ("风湿性关节炎", "西医诊断"),          # not 类风湿性关节炎
    ("子宫平滑肌肉瘤", "西医诊断"),        # not the benign 平滑肌瘤
    ("直肠癌术后", "西医诊断"),
    ("胃癌前病变", "西医诊断"),
    ("肺癌可能", "西医诊断"),
    ("左下肢", "西医诊断"),
    ("左小腿骨折愈合不良", "西医诊断"),
    ("低分化腺癌", "西医诊断"),           # no site
    ("宫颈直肠腺癌", "西医诊断"),         # two sites
    ("热入血室", "syndrome"),            # not 热入血分
    ("宗气不足", "证候"),                # not 元气不足
    ("肝郁脾虚", "西医诊断"),
])
def test_no_code(linker, surface, kind):
    assert linker.link(surface, kind) is None


def test_a_bracket_that_names_another_disease_is_not_dropped(linker):
    assert linker.link("病毒性肝炎（慢性乙型）", "西医诊断") is None
    assert linker.link("(宫颈)恶性肿瘤", "西医诊断").code == "C53"


PAIRS = ("阴阳", "气血", "寒热", "虚实", "上下", "表里", "心肾", "肝肺", "脾胃", "风湿", "痰瘀")


@pytest.mark.parametrize("pair", PAIRS)
def test_one_wrong_character_never_gives_the_same_code(linker, pair):
    swapped = str.maketrans(pair, pair[::-1])
    for code in shipped_codes():
        if code.kinds == ("syndrome",) and sum(code.name.count(char) for char in pair) == 1:
            link = linker.link(code.name.translate(swapped), "syndrome")
            assert link is None or link.code != code.code


def test_every_shipped_name_is_given_its_own_code(linker):
    for code in shipped_codes():
        for name in (code.name, *code.aliases):
            link = linker.link(name, code.kinds[0])
            assert (link.code, link.also) == (code.code, ())


def test_unknown_kind(linker):
    for call in (linker.link, linker.parts):
        with pytest.raises(UsageError, match="allowed: syndrome"):
            call("湿热下注", "方剂")


def own(name: str, code: str, system: str = "院内码", aliases: tuple[str, ...] = ()) -> Code:
    return Code(("syndrome",), system, code, name, aliases, own=True)


def test_own_table_adds_and_never_replaces():
    linker = Linker([own("湿热下注证", "Z01"), own("络痹血滞证", "Z02", aliases=("络痹",))])
    link = linker.link("湿热下注证", "证候")
    assert (link.system, link.code, link.rule) == ("院内码", "Z01", "exact")
    assert [(other.system, other.code, other.rule) for other in link.also] == [("GB/T 16751.2-2021", "4.5.4.2.6", "exact")]
    assert linker.link("络痹", "证候").code == "Z02"
    assert linker.link("肝郁脾虚", "证候").system == "GB/T 16751.2-2021"
    assert linker.conflicts == ()
    assert link.to_dict()["also"][0]["code"] == "4.5.4.2.6"


def test_own_row_stands_first_in_every_spelling():
    linker = Linker([own("湿热下注证", "Z01")])
    for surface in ("湿热下注", "湿热下注型", "濕熱下注"):
        link = linker.link(surface, "证候")
        assert (link.code, [other.code for other in link.also]) == ("Z01", ["4.5.4.2.6"])


def test_conflicts_are_named_and_both_codes_given():
    linker = Linker([own("湿热下注", "9.9.9", "GB/T 16751.2-2021")])
    (conflict,) = linker.conflicts
    assert (conflict.name, conflict.own, conflict.shipped) == ("湿热下注", "9.9.9", "4.5.4.2.6")
    assert "9.9.9 in the own table" in str(conflict)
    link = linker.link("湿热下注", "证候")
    assert (link.code, link.also[0].code) == ("9.9.9", "4.5.4.2.6")


def test_own_codes_of_two_systems_are_both_given():
    linker = Linker([own("络痹血滞证", "Z02"), own("络痹血滞证", "BN2", "医保码")], shipped=())
    link = linker.link("络痹血滞", "证候")
    assert (link.code, [other.code for other in link.also]) == ("Z02", ["BN2"])


def test_rows_that_fold_to_one_form_give_none():
    rows = [Code(("syndrome",), "院内码", "1", "肝郁脾虚证", own=True), Code(("syndrome",), "院内码", "2", "肝郁脾虚", own=True)]
    linker = Linker(rows, shipped=())
    assert linker.link("肝鬱脾虛", "证候") is None
    assert linker.link("肝郁脾虚", "证候").code == "2"
