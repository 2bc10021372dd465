import shutil

import pytest

from tcmstruct.schema import load_schema
from vocab import phrase_grammar
from vocab.phrase_grammar import PHRASES, Grammar, PhraseError, parse, shipped
from vocab.reader import VocabularyError


def told(phrase, kind=None):
    """(site, value, degree) of each affirmed part of a phrase that must parse completely."""
    read = parse(phrase, kind)
    assert read.complete, [phrase[start:end] for start, end in read.uncovered]
    return [(p.side + p.site, p.value, p.degree) for p in read.parts if not p.negated]


def fields(phrase, kind=None):
    read = parse(phrase, kind)
    assert read.complete, [phrase[start:end] for start, end in read.uncovered]
    return shipped().fields(read)


@pytest.mark.parametrize(("phrase", "parts"), [
    ("舌淡红", [("", "淡红", "")]),  # one colour, not two
    ("舌质淡红边有齿痕", [("", "淡红", ""), ("舌边", "齿痕", "")]),
    ("舌体略胖，舌尖稍红", [("", "胖大", "略"), ("舌尖", "红", "稍")]),
    ("舌下络脉轻度迂曲", [("舌下", "迂曲", "微")]),
    ("苔薄黄微腻", [("", "薄", ""), ("", "黄", ""), ("", "腻", "微")]),
    ("舌根苔厚腻", [("根", "厚", ""), ("根", "腻", "")]),
    ("苔根部黄腻，中部少津", [("根", "黄", ""), ("根", "腻", ""), ("中", "燥", "")]),
    ("薄白苔", [("", "薄", ""), ("", "白", "")]),
    ("舌根白腻", [("舌根", "白", ""), ("舌根", "腻", "")]),
    ("舌红苔白脉弦", [("", "红", ""), ("", "白", ""), ("", "弦", "")]),
    ("脉沉细无力", [("", "沉", ""), ("", "细", ""), ("", "无力", "")]),
    ("左尺弱", [("左尺", "弱", "")]),
    ("两尺俱弱", [("双尺", "弱", "")]),
    ("左脉弦右脉细", [("左", "弦", ""), ("右", "细", "")]),
    ("脉左弦右滑", [("左", "弦", ""), ("右", "滑", "")]),
    ("右手关脉滑利，尺沉", [("右关", "滑", ""), ("右尺", "沉", "")]),
    ("脉左沉弦", [("左", "沉", ""), ("左", "弦", "")]),
    ("脉弦而略数", [("", "弦", ""), ("", "数", "略")]),
    ("脉细微弦", [("", "细", ""), ("", "弦", "微")]),
    ("脉微弱", [("", "微", ""), ("", "弱", "")]),
    ("脉虚，两尺尤甚", [("", "虚", ""), ("双尺", "虚", "甚")]),
    ("六脉俱沉", [("", "沉", "")]),
    ("脉微欲绝", [("", "微", "")]),
    ("脉来三五不调", [("", "不齐", "")]),
    ("芤脉", [("", "芤", "")]),
    ("光面舌", [("", "无", "")]),
    ("大便先硬后溏，日行2~3次", [("", "干稀不调", ""), ("", "次", "")]),
    ("咳吐少量黄黏痰", [("", "少", ""), ("", "黄", ""), ("", "黏", "")]),
    ("小便频数而短黄", [("", "频", ""), ("", "短", ""), ("", "黄", "")]),
])
def test_site_quality_and_degree(phrase, parts):
    assert told(phrase) == parts


@pytest.mark.parametrize(("phrase", "values"), [
    ("舌质暗红，苔薄白", {"舌色": ["暗红"], "苔质": ["薄"], "苔色": ["白"]}),
    ("舌淡而边青紫", {"舌色": ["淡白", "紫暗"]}),
    ("舌红色偏暗", {"舌色": ["暗红"]}),
    ("舌边尖红", {"舌色": ["尖红"]}),
    ("舌下络脉青紫", {}),  # no colour of the tongue itself
    ("舌光红无苔", {"苔质": ["无"], "舌色": ["红"]}),
    ("舌干少津有裂纹", {"苔质": ["燥"], "舌形": ["裂纹"]}),
    ("无苔", {"苔质": ["无"]}),
    ("少苔", {"苔质": ["少"]}),
    ("花剥苔", {"苔质": ["剥"]}),
    ("苔灰黑而润", {"苔色": ["灰", "黑"], "苔质": ["润"]}),
    ("苔黄白相兼", {"苔色": ["白", "黄"]}),
    ("苔由白转黄", {"苔色": ["黄"]}),
    ("脉结代", {"脉象": ["结", "代"]}),
    ("脉洪大有力", {"脉象": ["洪", "有力"]}),  # 大 is no value of the field
    ("脉象平和", {"脉象": []}),
    ("两手脉象显示紧绷有力，跳动偏快", {"脉象": ["紧", "有力", "数"]}),
    ("脉搏按之空虚，如按葱管", {"脉象": ["虚", "芤"]}),
    ("左手脉象像琴弦一样紧绷", {"脉象": ["弦"]}),
    ("脉率约每分钟一百一十次，节律不齐", {"脉象": ["不齐"]}),
    ("痰白清稀多沫", {"痰色": ["白"], "痰质": ["稀", "泡沫"]}),
    ("痰中带血丝", {"痰色": ["血性"]}),
    ("大便黏滞不爽", {"大便性状": ["黏滞"]}),
])
def test_fields_of_a_phrase(phrase, values):
    assert {name: v for name, v in fields(phrase).items() if v} == {name: v for name, v in values.items() if v}


@pytest.mark.parametrize(("phrase", "denied", "affirmed"), [
    ("舌淡，无齿痕", ["齿痕"], ["淡白"]),
    ("舌红，无齿痕、裂纹，有点刺", ["齿痕", "裂纹"], ["红", "点刺"]),
    ("舌红无裂纹少津", ["裂纹"], ["红", "燥"]),  # the denial ends where another class begins
    ("脉不浮而沉", ["浮"], ["沉"]),
    ("脉不数，细弱", ["数"], ["细", "弱"]),
    ("苔白不腻", ["腻"], ["白"]),
    ("大便不干", ["干硬"], []),
    ("脉沉无力", [], ["沉", "无力"]),  # 无 is part of the word
    ("舌红无苔", [], ["红", "无"]),
])
def test_negation(phrase, denied, affirmed):
    read = parse(phrase)
    assert read.complete
    assert [p.value for p in read.parts if p.negated] == denied
    assert [p.value for p in read.parts if not p.negated] == affirmed


def test_pressure_and_course():
    soft, firm = parse("脉浮取滑，重按无力").parts
    assert (soft.pressure, firm.pressure, firm.value) == ("浮取", "沉取", "无力")
    was, turned = parse("苔由白转黄").parts
    assert (was.value, was.course, turned.value, turned.course) == ("白", "曾", "黄", "转")


def test_the_kind_is_told_by_the_caller_where_the_phrase_does_not_say():
    assert parse("边有齿痕", "tongue_body").complete
    assert parse("弦滑", "pulse").complete and not parse("弦滑").complete
    assert [p.kind for p in parse("滑", "tongue_coating").parts] == ["tongue_coating"]
    with pytest.raises(ValueError, match="unknown kind 'tongue'; allowed: pulse, sputum, stool"):
        parse("舌红", "tongue")


@pytest.mark.parametrize("phrase", ["舌质淡红，苔薄白腻", "舌 质 淡 红 ，胎薄白膩", "舌质淡红，\n苔薄白腻", "舌質淡紅，苔薄白膩"])
def test_variants_spaces_and_traditional_characters(phrase):
    read = parse(phrase)
    assert read.complete
    assert [p.value for p in read.parts] == ["淡红", "薄", "白", "腻"]
    for part in read.parts:
        assert phrase[part.start] in "淡薄白腻膩"


def test_full_width_and_known_misspellings_read_the_same():
    for one, other in [("苔粘腻", "苔黏腻"), ("舌黯红有淤点", "舌暗红有瘀点"), ("脉絃細", "脉弦细"), ("脉率９０次/分", "脉率90次/分")]:
        assert [p.value for p in parse(one).parts] == [p.value for p in parse(other).parts]
        assert parse(one).complete and parse(other).complete


@pytest.mark.parametrize(("phrase", "uncovered"), [
    ("舌红某某边有齿痕", ["某某"]),
    ("脉弦细提示肝郁", ["提", "肝郁"]),
    ("苔微", ["微"]),  # a degree of nothing
    ("脉弦而", ["而"]),
    ("舌淡红，苔", ["苔"]),  # cut off
    ("舌淡红苔", ["苔"]),
    ("脉舌弦", ["舌"]),
])
def test_what_the_grammar_does_not_read_is_reported(phrase, uncovered):
    read = parse(phrase)
    assert not read.complete
    assert [phrase[start:end] for start, end in read.uncovered] == uncovered


@pytest.mark.parametrize("phrase", [
    "", "  ", "，。", "舌质", "脉象", "苔", "的", "仍有",
    "舌弦滑数", "苔沉迟", "头痛", "失眠多梦", "患者面色苍白", "服药后好转",
])
def test_nothing_but_function_words_or_other_findings_is_never_complete(phrase):
    assert not parse(phrase).complete


def test_function_words_are_a_short_closed_list():
    fillers = [word for surface, readings in shipped().words.items() for word in [surface]
               if any(reading.role == "filler" for reading in readings)]
    assert len(fillers) < 300 and max(map(len, fillers)) <= 6
    assert not {"弦", "红", "腻", "齿痕", "痛"} & set(fillers)


def test_the_28_pulses_are_values_of_their_own():
    for pulse in "浮沉迟数滑涩虚实长短洪微紧缓弦芤革牢濡弱散细伏动促结代疾":
        assert fields(f"脉{pulse}") == {"脉象": [pulse]}


def test_what_the_grammar_states_is_what_the_packs_allow():
    schema, grammar = load_schema("all"), shipped()
    for surface, readings in grammar.words.items():
        for word in readings:
            own = grammar.classes[word.kind, word.name]
            if own.field:
                stated = set(word.values) - own.outside
                assert stated <= set(schema.fields[own.field].values), (word.kind, word.name, surface)


# -------------------------------------------------------------------- strict reading


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(PHRASES, tmp_path / "phrases")
    return tmp_path / "phrases"


@pytest.mark.parametrize(("file", "old", "new", "message"), [
    ("pulse.toml", 'reads = []', 'read = []', r"pulse\.toml: unknown key 'read'; allowed: at, class, follows, kind"),
    ("pulse.toml", 'name = "force"', 'name = "force"\ncolour = 1', r"class 'force': unknown key 'colour'; allowed: closes, field"),
    ("pulse.toml", 'role = "side"', 'role = "hand"', r"class 'hand': role: unknown 'hand'; allowed: site, side, pressure"),
    ("pulse.toml", 'kind = "pulse"', 'kind = "puls"', r"kind = 'puls'; allowed: 'pulse', the name of the file"),
    ("pulse.toml", 'reads = []', 'reads = ["tongue"]', r"pulse\.toml: reads: unknown 'tongue'; allowed: pulse, sputum"),
    ("pulse.toml", 'reads = []', 'reads = ["stool/form"]', r"pulse\.toml: reads: unknown 'stool/form'; allowed: pulse"),
    ("pulse.toml", 'reads = []', 'reads = "stool"', r"pulse\.toml: 'reads' is str; allowed: a list"),
    ("pulse.toml", 'opens = true', 'opens = 1', r"class 'pulse taken': opens, whole, closes; allowed: true or false"),
    ("pulse.toml", '"小" = ["小"', '"小" = ["", "小"', r"class 'pulse': an empty word"),
    ("pulse.toml", 'name = "force"', 'name = "pulse"', r"class 'pulse': named twice"),
    ("pulse.toml", '"无力" = ["无力"', '"无力" = ["弦", "无力"', r"class 'force': '弦' stands in 'pulse' \(弦\) too"),
    ("pulse.toml", '"无力" = ["无力"', '"无力" = ["无(力", "无力"', r"'无\(力'; allowed: characters, \(a\|b\)"),
    ("pulse.toml", '"次/分" = ["', '"次/分" = ["(", "', r"class 'figure': patterns: '次/分'"),
    ("pulse.toml", 'name = "force"\n', '', r"class 3|class \d+: no key 'name'; needed: name, role"),
    ("tongue_body.toml", 'class = "shape"', 'class = "form"', r"at \d: class: unknown 'form'; allowed: tongue, said of"),
    ("tongue_body.toml", 'to = "暗红"', 'into = "暗红"', r"merge 1: unknown key 'into'; allowed: class, of, to"),
    ("common.toml", 'negation = ["quality"', 'negation = ["colour"', r"follows: negation: unknown 'colour'; allowed: site"),
    ("common.toml", 'tail = ["site"', 'tails = ["site"', r"follows: no key 'tail'; needed: start"),
    ("common.toml", '"粘" = "黏"', '"粘粘" = "黏"', r"variants: '粘粘'; allowed: one character = one character"),
    ("stool.toml", 'reads = []', 'reads = [', r"stool\.toml: not TOML in UTF-8"),
])
def test_a_grammar_is_read_strictly(folder, file, old, new, message):
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PhraseError, match=message):
        Grammar.read(folder)


def test_a_gbk_file_and_a_missing_common_file_are_refused(folder):
    (folder / "urine.toml").write_bytes('kind = "urine"\ntitle = "小便"\n'.encode("gbk"))
    with pytest.raises(VocabularyError, match=r"urine\.toml: not TOML in UTF-8"):
        Grammar.read(folder)
    (folder / "common.toml").unlink()
    with pytest.raises(VocabularyError, match=r"holds no common\.toml"):
        Grammar.read(folder)


def test_words_with_choices_are_expanded():
    assert list(phrase_grammar._expand("舌(质|体)?红", "")) == ["舌质红", "舌体红", "舌红"]
    assert list(phrase_grammar._expand("(左|右)(手)?脉", "")) == ["左手脉", "左脉", "右手脉", "右脉"]
