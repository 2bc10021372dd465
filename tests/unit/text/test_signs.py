import pytest

from tcmstruct.text.signs import sign_after, without_sign


@pytest.mark.parametrize(("after", "said"), [
    ("（-）", "无"), ("（－），", "无"), ("(-)", "无"), ("( — )", "无"), ("【－】", "无"), (" (-)", "无"), ("：(-)", "无"), ("－，", "无"),
    ("-", "无"), ("×。", "无"), ("✗ ", "无"), ("：无；", "无"), (":否", "无"), ("： 阴性，", "无"), ("：未见。", "无"), ("：没有）", "无"),
    ("（+）", "有"), ("（＋＋）", "有"), ("(+++)", "有"), ("＋，", "有"), ("√", "有"), ("：有，", "有"), ("：是", "有"), ("：阳性。", "有"),
    ("（±）", "不确定"), ("(+-)", "不确定"), ("±，", "不确定"), ("(-/+)", "不确定")])
def test_a_sign_says_whether_a_finding_is_there(after, said):
    text = "麻木" + after
    kind, end = sign_after(text, 2)
    assert kind == said and text[:end].strip("，。；） ") == text.strip("，。；） ")


@pytest.mark.parametrize("after", [
    "", "，", "-呕吐", "－胀痛", "×3天", "+发热", "：无痰", "：无明显诱因出现", "：有痰", "（左）", "（2+）", "（-10）", "(", "：", "3-5天",
    "（无）疑", "、无发热"])
def test_what_is_no_sign(after):
    assert sign_after("咳嗽" + after, 2) is None


def test_a_mention_does_not_keep_its_sign():
    assert without_sign("口干＋＋，", 0, 4) == 2 and without_sign("恶心×", 0, 3) == 2
    assert without_sign("白-赛综合征", 0, 6) == 6 and without_sign("++", 0, 2) == 2


def test_blanks_and_brackets_cost_nothing():
    text = "痛" + "（ " * 200_000
    assert sign_after(text, 1) is None and sign_after("痛" + " " * 400_000, 1) is None
