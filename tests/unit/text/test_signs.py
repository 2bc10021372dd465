import pytest

from tcmstruct.text.signs import Sign, sign_of, without_sign


@pytest.mark.parametrize(("after", "said"), [
    ("（-）", "无"), ("（－），", "无"), ("(-)", "无"), ("( — )", "无"), ("【－】", "无"), (" (-)", "无"), ("：(-)", "无"), ("－，", "无"),
    ("-", "无"), ("×。", "无"), ("✗ ", "无"), ("：无；", "无"), (":否", "无"), ("： 阴性，", "无"), ("：未见。", "无"), ("：没有）", "无"),
    ("（+）", "有"), ("（＋＋）", "有"), ("(+++)", "有"), ("＋，", "有"), ("√", "有"), ("：有，", "有"), ("：是", "有"), ("：阳性。", "有"),
    ("（±）", "不确定"), ("(+-)", "不确定"),
    ("(有)", "有"), ("（无）", "无"), (" 无；", "无"), (" 有\n", "有"), ("□ ", "无"), ("☑，", "有"), ("±，", "不确定"),
    ("(-/+)", "不确定")])
def test_a_sign_says_whether_a_finding_is_there(after, said):
    text = "麻木" + after
    sign = sign_of(text, 0, 2)
    assert sign.status == said and text[: sign.end].strip("，。；） \n") == text.strip("，。；） \n")


@pytest.mark.parametrize("after", [
    "", "，", "-呕吐", "－胀痛", "×3天", "+发热", "：无痰", "：无明显诱因出现", "：有痰", "（左）", "（2+）", "（-10）", "(", "：", "3-5天",
    " 无发热", " 无 发热", "□发热", "、无发热"])
def test_what_is_no_sign(after):
    assert sign_of("咳嗽" + after, 0, 2) is None


def test_a_mention_does_not_keep_its_sign():
    assert without_sign("口干＋＋，", 0, 4) == 2 and without_sign("恶心×", 0, 3) == 2
    assert without_sign("白-赛综合征", 0, 6) == 6 and without_sign("++", 0, 2) == 2


def test_blanks_and_brackets_cost_nothing():
    text = "痛" + "（ " * 200_000
    assert sign_of(text, 0, 1) is None and sign_of("痛" + " " * 400_000, 0, 1) is None


@pytest.mark.parametrize(("before", "said"), [
    ("□", "无"), ("☐ ", "无"), ("☑", "有"), ("既往：■", "有"), ("，□", "无"), ("咳嗽□", None)])
def test_a_box_before_a_finding(before, said):
    sign = sign_of(before + "发热", len(before), len(before) + 2)
    assert (sign and sign.status) == said and sign in (None, Sign(said, len(before) + 2, False))
