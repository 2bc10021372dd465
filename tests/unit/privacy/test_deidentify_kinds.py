"""What is replaced and what survives, kind by kind; every person, number and place is invented."""

import pytest

from tcmstruct.errors import UsageError
from tcmstruct.privacy import KINDS, Deidentifier, Key, deidentify

KEY = Key(b"a key of the tests, no secret at all")


def pieces(text, **options):
    return [(r.kind, text[r.start:r.end]) for r in deidentify(text, KEY, **options).replaced]


@pytest.mark.parametrize(("text", "expected"), [
    ("姓名：李建国 性别：男", ("patient", "李建国")),
    ("姓名：张　三　性别：女", ("patient", "张　三")),
    ("姓名：阿依古丽·买买提，女", ("patient", "阿依古丽·买买提")),
    ("患者张某某，男，60岁", ("patient", "张某某")),
    ("患者王红自诉头晕", ("patient", "王红")),
    ("患者欧阳志强诉腹痛", ("patient", "欧阳志强")),
    ("患者张\u200b三，头痛", ("patient", "张\u200b三")),
    ("沈玉兰，女，45岁。", ("patient", "沈玉兰")),
    ("其妻李秀英代诉病史", ("relative", "李秀英")),
    ("联系人：于海燕，关系：夫妻", ("relative", "于海燕")),
    ("请外科张建国教授会诊", ("staff", "张建国")),
    ("责任护士：周桂珍", ("staff", "周桂珍")),
    ("姓　　名：钱嘉怡　　性　　别：女", ("patient", "钱嘉怡")),
    ("呼救人孙新华，腹痛", ("staff", "孙新华")),
    ("以上由沙长河录入，弘露审核", ("staff", "弘露")),
    ("在全麻下由张燕主任主刀，王可、李妮协助", ("patient", "王可")),
    ("患者吴敏之子冷静波于2020年来院", ("relative", "冷静波")),
    ("赵小红女儿陪同，钱文家属要求出院", ("patient", "钱文")),
    ("随访：郑立新您好", ("staff", "郑立新")),
    ("病人德吉央宗诉头痛", ("patient", "德吉央宗")),
    ("今日次仁拉姆未诉不适", ("patient", "次仁拉姆")),
    ("见努尔兰·哈布力一般情况可", ("patient", "努尔兰·哈布力")),
    ("患者Li Weiming诉头痛", ("patient", "Li Weiming")),
    ("John Carter，男，40岁", ("patient", "John Carter")),
    ("12床　何晓燕　肺炎", ("patient", "何晓燕")),
    ("患者系第三棉纺厂会计", ("workplace", "第三棉纺厂")),
    ("头痛。\n秦菲　陆爱华　2021.3.4", ("staff", "陆爱华")),
    ("家庭医生上门，护士代签人员罗玉珍到场", ("staff", "罗玉珍")),
    ("|女|41岁|A40195|", ("record_number", "A40195")),
    ("现住址：杭州市西湖区文三路12号3幢501室，已婚", ("address", "杭州市西湖区文三路12号3幢501室")),
    ("家住南京市鼓楼区汉中路5号", ("address", "南京市鼓楼区汉中路5号")),
    ("曾至南京市鼓楼医院就诊", ("hospital", "南京市鼓楼医院")),
    ("就诊于东海大学医学院附属第一医院", ("hospital", "东海大学医学院附属第一医院")),
    ("转入××市中医院治疗", ("hospital", "××市中医院")),
    ("工作单位：红旗机械厂，已婚", ("workplace", "红旗机械厂")),
    ("身份证号：320106198001011234", ("id_card", "320106198001011234")),
    ("证号３２０１０６１９８００１０１１２３Ｘ。", ("id_card", "３２０１０６１９８００１０１１２３Ｘ")),
    ("320106 19800101 1239", ("id_card", "320106 19800101 1239")),
    ("号码320106800101123，", ("id_card", "320106800101123")),
    ("手机138-0013-8000。", ("phone", "138-0013-8000")),
    ("电话：+86 13800138000", ("phone", "+86 13800138000")),
    ("电话（0571）88886666转801", ("phone", "（0571）88886666转801")),
    ("随访(138****8000)", ("phone", "138****8000")),
    ("住院号：ZY20230117", ("record_number", "ZY20230117")),
    ("标本号 00123", ("record_number", "00123")),
    ("医保卡号：A1234567X", ("record_number", "A1234567X")),
    ("床号：加5床", ("bed", "加5床")),
    ("邮箱zhang.san@163.com", ("email", "zhang.san@163.com")),
    ("微信号：zs_1980", ("account", "zs_1980")),
    ("浙A·12345车主", ("plate", "浙A·12345")),
    ("账号 6222 0212 3456 7890 123", ("bank_card", "6222 0212 3456 7890 123")),
])
def test_what_names_somebody_is_replaced(text, expected):
    assert expected in pieces(text)


@pytest.mark.parametrize("text", [
    "周身酸楚，干呕，白苔，黄疸，高热，张口受限，许氏曰，章门穴，曹氏囊，安宫牛黄丸。",
    "左归丸、黄芪、白术、王不留行、何首乌、徐长卿、刘寄奴、杜仲、龙胆、马齿苋、金银花、石膏。",
    "患者黄疸3天，患者白带增多，患者康复出院，患者常规检查，患者时有头晕，患者曾于外院治疗，患者石膏固定。",
    "患者于午后发热，温度38.5℃，舒张压85mmHg，时间3小时。", "其子宫附件正常，其母高血压，其父体健。",
    "血压120/80mmHg，心率76次/分，血小板156000，尿蛋白定量123456mg。", "3天前受凉，2周前加重，病程5月余，10年前手术，23年5月余。",
    "当地医院查CT，我院门诊，外院治疗，市中医院取药，上级医院会诊。", "胰岛素08-06-08u，CA19-9 37.5U/ml，rs1801133，国药准字Z20025001。",
    "随车医生，感谢大夫，昨日患者劳累后下腹痛，与患者家属充分沟通，患者仰卧，能示意家属，纳谷正常，过程顺利，小便黄发红。",
    "小学教师，煤矿工人，当地银行职员，予金水宝、拜新同，双肺CT MR示结节，HBV DNA诉阴性。",
    "胃窦区黏膜充血，双肾区无叩痛，心前区疼痛，通路3号导管。", "医生：请问哪里不舒服？主任：同意。卧床3天，床边心电图。",
])
@pytest.mark.parametrize("dates", ["shift", "cut", "keep"])
def test_what_describes_an_illness_survives(text, dates):
    assert pieces(text, dates=dates) == []


def test_a_name_found_once_is_found_wherever_it_stands():
    text = "姓名：李建国\n李建国昨夜咳嗽。家属与李建国同来。"
    assert pieces(text) == [("patient", "李建国")] * 3


def test_a_person_keeps_the_pseudonym_within_a_key_and_loses_it_with_another():
    one, two = deidentify("患者李建国，男", KEY).text, deidentify("签名：李建国", KEY).text
    assert one[2:15] == two[3:16] == "[姓名-" + KEY.code("姓名", "李建国") + "]"
    assert deidentify("患者李建国，男", Key(b"another key of the tests")).text != one


def test_old_and_new_identity_numbers_of_a_person_are_one():
    old, new = deidentify("号码320106800101123，", KEY).text, deidentify("号码32010619800101123X，", KEY).text
    assert old == new


def test_a_surname_with_a_title_is_the_one_person_of_that_surname():
    text = deidentify("今日张建国主任医师查房。张主任指示复查。", KEY).text
    assert text.count(KEY.code("姓名", "张建国")) == 2


@pytest.mark.parametrize("date", ["2023年5月3日", "2023-05-03", "2023.5.3", "2023/05/03", "20230503", "２０２３年５月３日",
    "2023年5月", "5月3日",
                                  "二〇二三年五月三日", "23年5月3日"])
def test_dates_move_and_keep_their_form(date):
    moved = deidentify(f"于{date}入院", KEY, patient="p").text[1:-2]
    assert moved != date
    assert [c for c in moved if not c.isalnum()] == [c for c in date if not c.isalnum()]
    assert [c for c in moved if c in "年月日"] == [c for c in date if c in "年月日"]


def test_intervals_and_days_of_the_week_hold():
    text = deidentify("2024-02-26入院，2024-03-01手术，2024-03-11出院", KEY, patient="p").text
    from datetime import date
    days = [date.fromisoformat(text[a:a + 10]) for a in (0, 13, 26)]
    assert [(b - days[0]).days for b in days] == [0, 4, 14]
    assert days[0].weekday() == date(2024, 2, 26).weekday()
    assert days[0] < date(2024, 2, 26)


def test_the_shift_is_the_patients():
    one, two = (deidentify(f"住院号：100{n}，2023-05-03入院", KEY).text[-12:] for n in (1, 2))
    again = deidentify("2023-05-03手术，住院号：1001", KEY).text[:10]
    assert one[:10] == again != two[:10]


@pytest.mark.parametrize(("text", "cut"), [("2023年5月3日入院", "2023年5月入院"), ("2023-05-03 08:30", "2023-05 08:30"), ("5月3日",
    "5月"),
                                           ("出生日期：1950年3月2日", "出生日期：1950年"), ("3天前", "3天前"), ("2023年5月",
                                               "2023年5月")])
def test_dates_are_cut(text, cut):
    assert deidentify(text, KEY, dates="cut").text == cut


def test_a_date_that_no_calendar_holds_becomes_a_pseudonym():
    assert deidentify("2023-02-30入院", KEY).text.startswith("[日期-")


def test_kinds_can_be_kept():
    text = "患者李建国，电话13800138000，2023-05-03入院"
    assert [kind for kind, _ in pieces(text, keep=["patient", "date"])] == ["phone"]
    assert [kind for kind, _ in pieces(text, dates="keep")] == ["patient", "phone"]
    with pytest.raises(UsageError, match="allowed: patient"):
        Deidentifier(KEY, keep=["nurse"])
    with pytest.raises(UsageError, match="shift, cut, keep"):
        Deidentifier(KEY, dates="drop")


def test_counts_are_by_kind_in_the_order_of_kinds():
    counts = deidentify("电话13800138000，患者李建国，男", KEY).counts()
    assert counts == {"patient": 1, "phone": 1}
    assert list(counts) == [kind for kind in KINDS if kind in counts]
