import pytest
from record_files import read

HEAD = "MSH|^~\\&|EMR|H|CDR|H|20260301||ORU^R01|{}|P|2.4|||||CHN|{}"
PID = "PID|1||P7^^^HIS||甲某||19800102|F"


def message(number, *segments, charset="GB 18030-2000", end="\r"):
    return end.join((HEAD.format(number, charset), PID, *segments)) + end


def obx(name, value, code="DE04.01.119.00", kind="TX"):
    return f"OBX|1|{kind}|{code}^{name}||{value}||||||F"


CHIEF = obx("主诉", "胃脘胀痛3天")


@pytest.mark.parametrize(("charset", "encoding"), [
    ("GB 18030-2000", "gb18030"), ("UNICODE UTF-8", "utf-8"), ("UNICODE UTF-8", "gb18030"), ("GB 18030-2000", "utf-8"), ("", "gbk"),
    ("8859/1", "utf-8"), ("ASCII", "gb18030"),
])
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_the_character_set_of_msh_18_is_a_hint(tmp_path, charset, encoding, end):
    source, items = read(tmp_path, message(1, CHIEF, charset=charset, end=end) + message(2, CHIEF, charset=charset, end=end), encoding)
    assert source.facts.format == "hl7"
    assert [(item.id, item.text) for item in items] == [("1", "主诉：胃脘胀痛3天"), ("2", "主诉：胃脘胀痛3天")]
    assert items[0].extra == {"患者ID": "P7", "患者姓名": "甲某", "出生日期": "19800102", "性别": "女"}


def test_characters_whose_second_byte_is_a_delimiter(tmp_path):
    words = "".join(bytes((lead, trail)).decode("gb18030") for lead in (0x81, 0x90) for trail in b"|^~\\")
    _, (record,) = read(tmp_path, message(1, obx("主诉", f"胃脘胀痛{words}")), "gb18030")
    assert record.text == f"主诉：胃脘胀痛{words}"


def test_disease_syndrome_and_what_is_ruled_out(tmp_path):
    shared = "DE05.10.172.00"
    _, (record,) = read(tmp_path, message(
        1, CHIEF, obx("中医病名名称", "胃痛", shared, "ST"), obx("中医证候名称", "湿热中阻证", shared, "ST"),
        obx("鉴别诊断-中医病名名称", "胁痛", shared, "ST"), obx("既往史", "无"), obx("", "青霉素过敏", "DE02.10.022.00"),
        "DG1|1||K29.5^慢性胃炎|||W"))
    assert record.text == "主诉：胃脘胀痛3天\n过敏史：青霉素过敏"
    want = {"中医病名名称": "胃痛", "中医证候名称": "湿热中阻证", "鉴别诊断-中医病名名称": "胁痛", "初步诊断名称": "慢性胃炎"}
    assert want.items() <= record.extra.items()


def test_escapes_repetitions_and_lines_within_a_field(tmp_path):
    _, (record,) = read(tmp_path, message(1, obx("现病史",
                                                 "甲\\F\\乙\\S\\丙\\T\\丁\\R\\戊\\E\\己\\.br\\庚\\X0D\\辛~壬\n癸OBX\\Q\\"), CHIEF))
    assert record.text.split("\n") == ["现病史：甲|乙^丙&丁~戊\\己", "庚", "辛", "壬", "癸OBX\\Q\\", "主诉：胃脘胀痛3天"]


def test_one_section_in_several_segments(tmp_path):
    _, (record,) = read(tmp_path, message(1, obx("现病史", "第一段。"), CHIEF, obx("现病史", "第二段。")))
    assert record.text == "现病史：第一段。\n第二段。\n主诉：胃脘胀痛3天"


def test_visit_numbers_go_before_the_message_number(tmp_path):
    visit = "|".join(["PV1", "1", "O", "呼吸科^^^", *[""] * 15, "V88"])
    _, (record,) = read(tmp_path, message(1, visit, CHIEF))
    assert (record.id, record.dept) == ("V88", "呼吸科")


def test_batches_frames_numbers_and_unknown_observations(tmp_path):
    weight = obx("体重", "60", "x", "NM").replace("||||||F", "|kg|||||F")
    content = ("FHS|^~\\&|X\rBHS|^~\\&|X\r\x0b" + message(1, CHIEF, weight, obx("某某评估", "患者神清，纳可。", "x")) + "\x1c\r"
               + message(2, CHIEF) + "BTS|2\rFTS|1\r")
    _, items = read(tmp_path, content)
    assert [item.text for item in items] == ["主诉：胃脘胀痛3天\n某某评估：患者神清，纳可。", "主诉：胃脘胀痛3天"]
    assert items[0].extra["体重"] == "60kg"


def test_bad_messages_are_rejected_and_the_others_read(tmp_path):
    _, items = read(tmp_path, message(1, CHIEF) + "MSH|\r" + message(2) + message(3, CHIEF.replace("胀", "\0")) + message(4, CHIEF))
    assert [getattr(item, "code", None) for item in items] == [None, "hl7_invalid", "text_missing", "nul_character", None]
    bad = message(1, CHIEF).encode("gb18030") * 20 + message(2, CHIEF).encode("gb18030").replace("胀".encode("gb18030"), b"\xff\xff")
    _, items = read(tmp_path, bad)
    assert [getattr(item, "code", None) for item in items] == [None] * 20 + ["undecodable"]
